"""Two threads that train two models at once: each gets the bits that it gets alone, whatever the other one does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn

STEPS = 7


class Net(nn.Module):
    """Every hot family once, and attention over the batch, whose products are large enough for BLAS's own threads."""

    def __init__(self, generator: minidl.Generator | None) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 5, padding=2), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 16, 3), nn.BatchNorm2d(16)
        self.dropout = nn.Dropout(0.3, generator=generator)
        self.fc1, self.fc2 = nn.Linear(144, 50), nn.Linear(50, 10)

    def forward(self, x: minidl.Tensor) -> minidl.Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.avg_pool2d(F.relu(self.bn2(self.conv2(x))), 2).flatten(1)
        rows = x.unsqueeze(0)  # (N, 144) -> (1, N, 144)
        x = x + F.scaled_dot_product_attention(rows, rows, rows)[0]
        return self.fc2(self.dropout(F.leaky_relu(self.fc1(x)).tanh()))


class Job(NamedTuple):
    """How one thread trains; own: dropout draws from a generator of its own, not from the thread's."""

    seed: int
    optimizer: Callable[[Any], Any]
    dtype: str = "float32"
    batch: int = 6
    captured: bool = False
    watched: bool = False
    own: bool = False


JOBS = {
    "SGD": Job(1, lambda p: minidl.optim.SGD(p, lr=0.05, momentum=0.9)),
    "Adam": Job(2, lambda p: minidl.optim.Adam(p, lr=1e-3), own=True),
    "SGD captured": Job(3, lambda p: minidl.optim.SGD(p, lr=0.05, momentum=0.9), captured=True),
    "Adam captured": Job(4, lambda p: minidl.optim.Adam(p, lr=1e-3), captured=True, own=True),
    "Adam watched": Job(5, lambda p: minidl.optim.Adam(p, lr=1e-3), watched=True),
    "RMSprop, large batches of float64": Job(6, lambda p: minidl.optim.RMSprop(p), dtype="float64", batch=90),
}


def train(job: Job) -> dict[str, bytes]:
    """Some steps with an evaluation after each and a smaller batch among them; the losses and the state as bytes."""
    minidl.manual_seed(job.seed)
    rng = np.random.default_rng(job.seed)
    net = Net(minidl.Generator(job.seed) if job.own else None).to(getattr(minidl, job.dtype))
    optimizer = job.optimizer(net.parameters())

    def step(x: minidl.Tensor, y: minidl.Tensor) -> minidl.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = minidl.capture(step) if job.captured else step
    losses = []
    for i in range(STEPS):
        x = minidl.tensor(rng.standard_normal((job.batch - i % 2, 3, 16, 16)).astype(job.dtype))
        y = minidl.tensor(rng.integers(0, 10, x.shape[0]))
        with minidl.autograd.detect_anomaly() if job.watched else nullcontext():
            losses.append(run(x, y).item())
        with minidl.no_grad():
            net.eval()
            losses.append(net(x).sum().item())
            net.train()
            assert not minidl.is_grad_enabled()
        assert minidl.is_grad_enabled()
        (minidl.zeros(1, requires_grad=True) / 0).sum().backward()  # nobody watches here, so nobody is to complain
    state = {name: value.numpy().tobytes() for name, value in net.state_dict().items()}
    return {**state, "losses": np.array(losses).tobytes()}


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """The results of functions that start together, each in a thread of its own."""
    results: list[Any] = [None] * len(functions)
    start = threading.Barrier(len(functions))

    def run(place: int) -> None:
        start.wait()
        try:
            results[place] = functions[place]()
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.fixture(autouse=True)
def quick_changes() -> Iterator[None]:
    """Python changes between threads a hundred times as often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(interval)


ALONE: dict[str, dict[str, bytes]] = {}


def alone(name: str) -> dict[str, bytes]:
    if name not in ALONE:
        (ALONE[name],) = at_once(lambda: train(JOBS[name]))
    return ALONE[name]


PAIRS = [(a, b) for i, a in enumerate(JOBS) for b in list(JOBS)[i:]]
ORDINARY = [*PAIRS[3:5], PAIRS[7], PAIRS[10], *PAIRS[14:17]]


def compare(first: str, second: str) -> None:
    both = at_once(lambda: train(JOBS[first]), lambda: train(JOBS[second]))
    for name, got in zip((first, second), both):
        assert [key for key, value in alone(name).items() if got[key] != value] == [], name


@pytest.mark.parametrize(("first", "second"), ORDINARY)
def test_two_trainings_at_once(first: str, second: str) -> None:
    compare(first, second)


@pytest.mark.long
def test_all_pairs_of_trainings_twenty_times() -> None:
    for _ in range(20):
        for pair in PAIRS:
            compare(*pair)


def test_one_captured_function_in_two_threads() -> None:
    """A recording has one set of places for its arrays: the threads take turns."""
    sys.setswitchinterval(1e-6)
    minidl.manual_seed(0)
    layers = nn.Sequential(nn.Linear(30, 40), nn.Tanh(), nn.Linear(40, 3)).eval()

    @minidl.capture
    def predict(x: minidl.Tensor) -> minidl.Tensor:
        return layers(x)

    def ask(first: int) -> list[float]:
        return [predict(minidl.full((2, 30), float(i))).sum().item() for i in range(first, first + 500)]

    expected = ask(0), ask(1000)
    assert tuple(at_once(lambda: ask(0), lambda: ask(1000))) == expected
    assert predict.recordings == 1


def test_numbas_workqueue_is_entered_by_one_thread_at_a_time() -> None:
    """It ends the process where two enter it; Numba chooses it at the first launch, here in two threads at once."""
    code = "from test_threads import *; compare('RMSprop, large batches of float64', 'SGD captured'); "
    code += "import numba; assert numba.threading_layer() == 'workqueue'"
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"}
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, env=environment, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
