"""Captured steps on the stand-in for a GPU: a tape, replayed over poisoned memory, gives the bits of the step."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stand_in import StandIn

import minidl
from minidl import nn, optim
from minidl.errors import GraphError
from minidl.gpu_capture import GraphSteps
from minidl.nn import functional as F

BATCH = 6


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))


class Training:
    """A network, an optimizer and a step on the stand-in, seeded, eager or captured."""

    def __init__(
        self,
        captured: bool,
        build: Callable[[], nn.Module] = network,
        optimizer: Callable[[Any], Any] = lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
    ) -> None:
        minidl.manual_seed(3)
        self.net = build().to("gpu")
        self.optimizer = optimizer(self.net.parameters())
        self.rng = np.random.default_rng(5)
        steps = GraphSteps(self.step)
        self.recorded = steps
        self.run: Callable[..., Any] = (lambda *arguments: steps(arguments)) if captured else self.step
        self.losses: list[float] = []

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        scores = self.net(x)
        loss = F.cross_entropy(scores, y)
        loss.backward()
        self.optimizer.step()
        return loss, (scores.argmax(1) == y).sum()

    def batch(self, size: int = BATCH) -> tuple[Any, Any]:
        x = self.rng.standard_normal((size, 3, 2, 2)).astype(np.float32)
        return minidl.from_numpy(x).to("gpu"), minidl.from_numpy(self.rng.integers(0, 5, size)).to("gpu")

    def steps(self, number: int, size: int = BATCH) -> None:
        for _ in range(number):
            loss, right = self.run(*self.batch(size))
            self.losses += [loss.item(), right.item()]

    def everything(self) -> list[np.ndarray]:
        state = [tensor.cpu().numpy() for tensor in self.net.state_dict().values()]
        gradients = [p.grad.cpu().numpy() for p in self.net.parameters() if p.grad is not None]
        buffers = [
            np.asarray(buffer.detach().cpu().numpy())
            for values in self.optimizer.state.values()
            for buffer in values.values()
        ]
        versions = [p._version.value for p in self.net.parameters()]
        return [np.array(self.losses), *state, *gradients, *buffers, np.array(versions)]


def both(scenario: Callable[[Training], None], *arguments: Any) -> Training:
    """Play a scenario eagerly and captured; all bits must agree. Returns the captured training."""
    trainings = [Training(captured, *arguments) for captured in (False, True)]
    for training in trainings:
        scenario(training)
    eager, replayed = (training.everything() for training in trainings)
    assert len(eager) == len(replayed)
    for a, b in zip(eager, replayed):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(eager[0]).all()
    return trainings[1]


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD, plain": lambda parameters: optim.SGD(parameters, lr=0.1),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.01, weight_decay=0.01),
    "AdamW, amsgrad": lambda parameters: optim.AdamW(parameters, lr=0.01, amsgrad=True),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_equal_eager(name: str, cupy: StandIn) -> None:
    training = both(lambda t: t.steps(20), network, OPTIMIZERS[name])
    assert training.recorded.recordings == 1
    assert cupy.replays >= 18


def test_a_replay_copies_nothing_and_waits_for_nothing(cupy: StandIn) -> None:
    training = Training(True)
    training.steps(4)
    x, y = training.batch()
    with cupy.counting() as counted:
        training.run(x, y)
    assert (counted.to_device, counted.to_host, counted.synchronizations) == ([], [], 0)
    assert counted.replays >= 1


def test_the_learning_rate_is_read_at_every_replay(cupy: StandIn) -> None:
    def scenario(training: Training) -> None:
        for lr in (0.1, 0.1, 0.1, 0.1, 0.05, 0.2, 0.0):
            training.optimizer.param_groups[0]["lr"] = lr
            training.steps(1)

    for optimizer in ("SGD", "Adam", "RMSprop"):
        assert both(scenario, network, OPTIMIZERS[optimizer]).recorded.recordings == 1


def test_other_settings_are_recorded_anew(cupy: StandIn) -> None:
    def scenario(training: Training) -> None:
        training.steps(4)
        training.optimizer.param_groups[0]["weight_decay"] = 0.3
        training.steps(4)
        training.optimizer.param_groups[0]["weight_decay"] = 0.0
        training.steps(2)

    assert both(scenario).recorded.recordings == 2


def test_a_smaller_batch_and_evaluation_have_recordings_of_their_own(cupy: StandIn) -> None:
    def scenario(training: Training) -> None:
        for _ in range(4):
            training.steps(2)
            training.steps(1, size=4)
        training.net.eval()
        training.steps(4)
        training.net.train()
        training.steps(2)

    assert both(scenario).recorded.recordings == 3


def test_frozen_rebound_and_loaded(cupy: StandIn) -> None:
    def scenario(training: Training) -> None:
        training.steps(4)
        training.net[1].weight.requires_grad_(False)
        training.steps(4)
        training.net[1].weight.requires_grad_(True)
        training.net[4].weight.data = training.net[4].weight.data.copy()
        training.steps(4)
        training.optimizer.load_state_dict(training.optimizer.state_dict())
        training.steps(4)
        training.net.load_state_dict({k: v.cpu() for k, v in training.net.state_dict().items()})
        training.steps(2)

    both(scenario)


def test_gradients_from_outside_accumulate(cupy: StandIn) -> None:
    """A step without zero_grad: gradients are cleared outside, every second time."""

    def scenario(training: Training) -> None:
        def step(x: Any, y: Any) -> Any:
            loss = F.cross_entropy(training.net(x), y)
            loss.backward()
            return loss, loss

        steps = GraphSteps(step)
        training.run = (lambda *a: steps(a)) if training.run is not training.step else step  # type: ignore[comparison-overlap]
        for number in range(10):
            if number % 2 == 0:
                training.optimizer.zero_grad()
            training.steps(1)

    both(scenario)


def test_the_gradient_of_an_argument(cupy: StandIn) -> None:
    results = []
    for captured in (False, True):
        training = Training(captured)

        def step(x: Any) -> Any:
            y = (x * x).sum()
            y.backward()
            return y

        steps = GraphSteps(step)
        grads = []
        for number in range(5):
            x = minidl.from_numpy(np.arange(3.0) + number).to("gpu").requires_grad_(True)
            (lambda *a: steps(a))(x) if captured else step(x)
            grads.append(x.grad.cpu().numpy())
        results.append(grads)
        del training
    np.testing.assert_array_equal(*results)


def test_what_is_returned_is_a_copy(cupy: StandIn) -> None:
    training = Training(True)
    training.steps(3)
    first, _ = training.run(*training.batch())
    value = first.item()
    training.steps(2)
    assert first.item() == value


def test_values_seen_by_python_are_refused_at_the_first_call(cupy: StandIn) -> None:
    training = Training(True)
    for look in (lambda loss: loss.item(), bool, float, lambda loss: loss.cpu().numpy()):
        steps = GraphSteps(lambda x, y, look=look: look(F.cross_entropy(training.net(x), y)))
        with pytest.raises(GraphError, match="captured step"):
            steps(training.batch())


def test_a_step_that_fails_while_it_is_recorded_leaves_the_streams_as_they_were(cupy: StandIn) -> None:
    training = Training(True)
    calls = []

    def step(x: Any, y: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 3:
            raise KeyError("something")
        return training.step(x, y)

    steps = GraphSteps(step)
    enabled = gc.isenabled()
    for number in range(6):
        if number == 2:
            with pytest.raises(KeyError):
                steps(training.batch())
        else:
            assert np.isfinite(steps(training.batch())[0].item())
    assert steps.recordings == 1
    assert cupy.stream is cupy.null
    assert gc.isenabled() == enabled


def test_memory_does_not_grow(cupy: StandIn) -> None:
    training = Training(True)
    training.steps(5)
    gc.collect()
    before = minidl.gpu.memory().used
    training.steps(30)
    gc.collect()
    assert minidl.gpu.memory().used == before
