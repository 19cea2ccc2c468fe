"""Training for long: the process does not grow, with the cycle collector switched off."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl.models import LeNet


@pytest.fixture(autouse=True)
def collector_off() -> Iterator[None]:
    """Only reference counts free memory in these tests."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def resident_bytes() -> int:
    """The memory of this process that lies in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize(
    ("first", "steps", "bound"),
    [(200, 1_200, 1_000_000), pytest.param(1_000, 20_000, 5_000_000, marks=pytest.mark.long)],
    ids=["short", "long"],
)
def test_resident_memory_of_a_training_stays(captured: bool, first: int, steps: int, bound: int) -> None:
    minidl.manual_seed(0)
    rng = np.random.default_rng(0)
    model = LeNet()
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step(images: minidl.Tensor, labels: minidl.Tensor) -> minidl.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    run = minidl.capture(step) if captured else step
    before = 0
    for i in range(steps):
        if i == first:
            before = resident_bytes()
        images = minidl.tensor(rng.standard_normal((4, 3, 32, 32), dtype=np.float32))
        assert np.isfinite(run(images, minidl.tensor(rng.integers(0, 10, 4))).item())
    grown = resident_bytes() - before
    assert grown < bound, f"{before} bytes after {first} steps, {grown} more after {steps}"
