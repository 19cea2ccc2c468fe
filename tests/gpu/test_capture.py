"""A captured step on a GPU is a CUDA graph that gives the bits of the step itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import models, nn, optim
from minidl.errors import GraphError
from minidl.nn import functional as F


def with_dropout() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(8 * 256, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Dropout(0.5), nn.Linear(32, 10),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any]]] = {
    "LeNet": (models.LeNet, lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.9)),
    "model A": (models.FourConvNet, lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.9)),
    "003 network": (models.AveragePoolConvNet, lambda parameters: optim.Adam(parameters, lr=0.0005)),
    "with dropout": (with_dropout, lambda parameters: optim.AdamW(parameters, lr=0.001)),
    "RMSprop, between graphs": (models.LeNet, lambda parameters: optim.RMSprop(parameters, lr=0.0005)),
}


def train(name: str, captured: bool, steps: int = 20) -> list[np.ndarray]:
    """The losses, the network's state and the gradients after some steps, the last batch of five a smaller one."""
    minidl.manual_seed(1)
    build, make_optimizer = NETWORKS[name]
    net = build().to("gpu")
    optimizer = make_optimizer(net.parameters())
    rng = np.random.default_rng(2)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        scores = net(x)
        loss = F.cross_entropy(scores, y)
        loss.backward()
        optimizer.step()
        return loss, (scores.argmax(1) == y).sum()

    run: Any = minidl.capture(step) if captured else step
    losses = []
    for number in range(steps):
        if number == 12:
            optimizer.param_groups[0]["lr"] *= 0.5
        size = 16 if number % 5 == 4 else 32
        x = minidl.from_numpy(rng.standard_normal((size, 3, 32, 32)).astype(np.float32)).to("gpu")
        y = minidl.from_numpy(rng.integers(0, 10, size)).to("gpu")
        losses += [value.item() for value in run(x, y)]
    if captured:
        assert run.recordings == 2, "one recording for each size of the batch"
    state = [tensor.cpu().numpy() for tensor in net.state_dict().values()]
    return [np.array(losses), *state, *[p.grad.cpu().numpy() for p in net.parameters()]]


@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_equal_eager(name: str) -> None:
    eager, replayed = train(name, False), train(name, True)
    assert np.isfinite(eager[0]).all()
    for a, b in zip(eager, replayed, strict=True):
        np.testing.assert_array_equal(b, a)


def test_the_same_run_gives_the_same_bits() -> None:
    for a, b in zip(train("003 network", False, 6), train("003 network", False, 6), strict=True):
        np.testing.assert_array_equal(b, a)


def test_values_seen_by_python_are_refused() -> None:
    step = minidl.capture(lambda x: x.sum().item())
    with pytest.raises(GraphError, match="captured step"):
        step(minidl.ones(3, device="gpu"))
    assert minidl.ones(3, device="gpu").sum().item() == 3  # the stream is as it was
