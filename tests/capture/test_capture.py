"""A captured step does what the step does, bit for bit, whatever changes between replays."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import models, nn, optim
from minidl.errors import DTypeError, GraphError


class Training:
    """A network, an optimizer and a step, seeded, eager or captured."""

    def __init__(self, build: Callable[[], nn.Module], captured: bool, shape: tuple[int, ...] = (3, 32, 32)) -> None:
        minidl.manual_seed(3)
        self.net = build()
        self.optimizer: Any = optim.Adam(self.net.parameters(), lr=1e-3)
        self.shape = shape
        self.rng = np.random.default_rng(5)
        self.run = minidl.capture(self.step) if captured else self.step
        self.losses: list[float] = []

    def step(self, images: minidl.Tensor, labels: minidl.Tensor) -> Any:
        self.optimizer.zero_grad()
        scores = self.net(images)
        loss = F.cross_entropy(scores, labels)
        loss.backward()
        self.optimizer.step()
        return loss, (scores.argmax(1) == labels).sum()

    def steps(self, number: int, batch: int = 6) -> None:
        for _ in range(number):
            images = minidl.from_numpy(self.rng.standard_normal((batch, *self.shape)).astype(np.float32))
            labels = minidl.from_numpy(self.rng.integers(0, 10, batch))
            loss, correct = self.run(images, labels)
            self.losses += [loss.item(), correct.item()]

    def everything(self) -> list[np.ndarray]:
        state = [tensor.numpy() for tensor in self.net.state_dict().values()]
        grads = [p.grad.numpy() for p in self.net.parameters() if p.grad is not None]
        return [np.array(self.losses), *state, *grads]


def both(
    build: Callable[[], nn.Module],
    scenario: Callable[[Training], None],
    shape: tuple[int, ...] = (3, 32, 32),
    rtol: float = 0,
) -> int:
    """Play a scenario eagerly and captured; the bits, or numbers to ``rtol`` of the largest, must agree.

    Returns the number of recordings.
    """
    results = []
    for captured in (False, True):
        training = Training(build, captured, shape)
        scenario(training)
        results.append(training.everything())
    eager, replayed = results
    assert len(eager) == len(replayed)
    for a, b in zip(eager, replayed):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * float(np.abs(a).max()))
    return training.run.recordings  # type: ignore[attr-defined]


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(36, 10),
    )


SMALL = (3, 8, 8)


@pytest.mark.parametrize("build", [models.LeNet, lambda: models.FourConvNet(dropout=0.2)])
def test_the_networks_of_the_reports(build: Callable[[], nn.Module]) -> None:
    assert both(build, lambda training: training.steps(4)) == 1


def test_the_network_with_batch_normalization_and_average_pooling() -> None:
    def scenario(training: Training) -> None:
        # Not Adam, which makes whole steps of the rounding errors that a bias in front of batch normalisation receives.
        training.optimizer = optim.SGD(training.net.parameters(), lr=0.01, momentum=0.9)
        training.steps(3)
        for name, parameter in training.net.named_parameters():
            if name.endswith("bias"):
                parameter.grad = None

    # Fused, the sums of batch normalisation's gradient are added in another order.
    assert both(models.AveragePoolConvNet, scenario, rtol=2e-5) == 1


def test_a_smaller_last_batch_is_recorded_once_more() -> None:
    def scenario(training: Training) -> None:
        for _ in range(2):
            training.steps(2, 6)
            training.steps(1, 5)

    assert both(small, scenario, SMALL) == 2


def test_a_changed_learning_rate_counts() -> None:
    def scenario(training: Training) -> None:
        training.steps(2)
        training.optimizer.param_groups[0]["lr"] = 0.05
        training.steps(2)

    assert both(small, scenario, SMALL) == 1


def test_loaded_weights_and_statistics_count() -> None:
    def scenario(training: Training) -> None:
        training.steps(2)
        before = {name: tensor.clone() for name, tensor in training.net.state_dict().items()}
        training.steps(2)
        training.net.load_state_dict(before)
        training.steps(2)

    assert both(small, scenario, SMALL) == 1


def test_rebound_parameters_count() -> None:
    def scenario(training: Training) -> None:
        training.steps(2)
        for parameter in training.net.parameters():
            parameter.data = parameter.data * np.float32(0.5)
        training.steps(2)

    assert both(small, scenario, SMALL) == 1


def test_evaluation_and_training_are_two_recordings() -> None:
    def scenario(training: Training) -> None:
        training.steps(2)
        training.net.eval()
        training.steps(2)
        training.net.train()
        training.steps(2)

    assert both(small, scenario, SMALL) == 2


def test_frozen_parameters_are_recorded_anew_and_stay() -> None:
    def scenario(training: Training) -> None:
        training.steps(2)
        training.net[0].requires_grad_(False)  # type: ignore[index]
        training.steps(2)
        training.net[0].requires_grad_(True)  # type: ignore[index]
        training.steps(2)

    assert both(small, scenario, SMALL) == 2


def test_dropout_draws_anew_and_other_draws_may_come_between() -> None:
    def scenario(training: Training) -> None:
        for _ in range(3):
            training.steps(1)
            F.dropout(minidl.ones(3), 0.5)

    assert both(small, scenario, SMALL) == 1


def test_gradients_accumulate_without_zero_grad() -> None:
    results = []
    for captured in (False, True):
        w = minidl.tensor([1.0, 2.0], requires_grad=True)

        def step(x: minidl.Tensor, w: minidl.Tensor = w) -> minidl.Tensor:
            loss = (x * w * w).sum()
            loss.backward()
            return loss

        run = minidl.capture(step) if captured else step
        for i in range(3):
            run(minidl.tensor([1.0, i]))
        w.grad.mul_(2)
        run(minidl.tensor([1.0, 1.0]))
        w.grad = None
        run(minidl.tensor([3.0, 1.0]))
        results.append(w.grad.numpy())
    np.testing.assert_array_equal(*results)


def test_in_place_updates_by_hand_are_replayed() -> None:
    results = []
    for captured in (False, True):
        w = minidl.tensor(np.linspace(-1, 1, 6).reshape(2, 3), requires_grad=True)

        def step(x: minidl.Tensor, w: minidl.Tensor = w) -> minidl.Tensor:
            w.grad = None
            loss = (x @ w).tanh().sum()
            loss.backward()
            with minidl.no_grad():
                w[0] = w[0] - 0.1 * w.grad[0]
                w.sub_(0.5 * w.grad)
            return loss

        run = minidl.capture(step) if captured else step
        losses = [run(minidl.tensor(np.full((2, 2), float(i)))).item() for i in range(4)]
        results.append(np.append(w.detach().numpy(), losses))
    np.testing.assert_array_equal(*results)


def test_tensors_that_no_operation_made_may_be_results() -> None:
    places = minidl.tensor([2, 0])

    def step(x: minidl.Tensor) -> Any:
        return x * 2, minidl.zeros(3), x[places], places

    captured = minidl.capture(step)
    for values in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]):
        x = minidl.tensor(values)
        for got, expected in zip(captured(x), step(x), strict=True):
            assert got.tolist() == expected.tolist()


def test_results_are_copies() -> None:
    run = minidl.capture(lambda x: (x, x + 1, None, 3))
    first = run(minidl.tensor([1.0]))
    second = run(minidl.tensor([5.0]))
    assert (first[0].item(), first[1].item()) == (1.0, 2.0)
    assert (second[0].item(), second[1].item(), second[2], second[3]) == (5.0, 6.0, None, 3)
    x = minidl.tensor([7.0])
    third = run(x)
    third[0].zero_()
    assert x.item() == 7.0


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("item", lambda x: x * x.sum().item()),
        ("bool", lambda x: x if x.sum() > 0 else -x),
        ("numpy", lambda x: x * x.numpy()),
        ("tolist", lambda x: x * x.tolist()[0]),
        ("item", lambda x: x * float(x.sum())),
        ("random", lambda x: x + minidl.randn(1)),
    ],
)
def test_what_depends_on_values_cannot_be_recorded(name: str, step: Callable[[Any], Any]) -> None:
    with pytest.raises(GraphError, match=name):
        minidl.capture(step)(minidl.tensor([1.0]))
    assert minidl.tensor([1.0]).item() == 1.0, "the recorder must be gone after an error"


def test_bad_calls() -> None:
    with pytest.raises(DTypeError, match=r"capture.*Tensors.*float"):
        minidl.capture(lambda x: x)(1.0)
    inner = minidl.capture(lambda x: x + 1)
    with pytest.raises(GraphError, match="inside a capture"):
        minidl.capture(lambda x: inner(x))(minidl.tensor([1.0]))
    with pytest.raises(DTypeError, match=r"returns.*dict"):
        minidl.capture(lambda x: {"x": x})(minidl.tensor([1.0]))


def test_recording_holds_no_more_memory_than_the_step() -> None:
    alive: list[Any] = []

    def step(x: minidl.Tensor) -> Any:
        with minidl.no_grad():
            for _ in range(4):
                x = x * 2.0
                alive.append(weakref.ref(x.data))
            return x.sum(), sum(ref() is not None for ref in alive)

    _, held = minidl.capture(step)(minidl.ones(5))
    assert held == 1
