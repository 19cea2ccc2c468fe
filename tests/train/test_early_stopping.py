"""Early stopping: when it says stop, what it remembers, and that the best weights come back."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError
from minidl.train import EarlyStopping, load_checkpoint, save_checkpoint


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))


def mark(net: Any, value: float) -> None:
    """Weights and a buffer by which an epoch is known again."""
    with minidl.no_grad():
        net[0].weight.fill_(value)
        net[1].running_mean.fill_(-value)


def figures_until_stop(figures: list[float], **options: Any) -> tuple[int, EarlyStopping, Any]:
    net = model()
    stopping = EarlyStopping(net, **options)
    for epoch, figure in enumerate(figures, 1):
        mark(net, epoch)
        if stopping.update(figure):
            return epoch, stopping, net
    return 0, stopping, net


@pytest.mark.parametrize(
    ("figures", "options", "stops", "best"),
    [
        ([3, 2, 1, 2, 3, 4], {"patience": 2}, 5, 3),
        ([3, 2, 1, 1, 1, 1], {"patience": 3}, 6, 3),  # a tie is no improvement
        ([1, 2, 3, 2, 2.5, 4, 0, 0, 0], {"patience": 3, "mode": "max"}, 9, 6),
        ([5, 4.95, 4.9, 4.85], {"patience": 3, "min_delta": 0.2}, 4, 1),
        ([5, 4.95, 4.9, 4.7], {"patience": 3, "min_delta": 0.2}, 0, 4),
        ([math.nan, 2, math.nan, math.nan], {"patience": 2}, 4, 2),
        ([math.inf, math.nan, 2], {"patience": 3}, 0, 3),
        ([2, 3], {"patience": 1}, 2, 1),
        ([3, 2, 1], {"patience": 1}, 0, 3),
    ],
)
def test_when_it_stops_and_what_it_gives_back(
    figures: list[float], options: dict[str, Any], stops: int, best: int
) -> None:
    epoch, stopping, net = figures_until_stop(figures, **options)
    assert epoch == stops
    assert stopping.best_epoch == best
    assert stopping.best == figures[best - 1]
    mark(net, 99)
    stopping.restore()
    assert net[0].weight.tolist() == [[best, best]]
    assert net[1].running_mean.tolist() == [-best]
    mark(net, 98)  # the copy was not handed out
    stopping.restore()
    assert net[0].weight.tolist() == [[best, best]]


def test_without_a_figure_there_is_nothing_to_restore() -> None:
    epoch, stopping, _ = figures_until_stop([math.nan] * 5, patience=3)
    assert epoch == 3
    with pytest.raises(ArgumentError, match=r"EarlyStopping.restore: expected an epoch with a figure, got none"):
        stopping.restore()


@pytest.mark.parametrize("at", [0, 1, 3, 4])
def test_a_checkpoint_holds_it(tmp_path: Path, at: int) -> None:
    figures = [3.0, 1.0, 2.0, 2.5, 3.0, 4.0]
    net = model()
    stopping = EarlyStopping(net, patience=3)
    for epoch, figure in enumerate(figures[:at], 1):
        mark(net, epoch)
        stopping.update(figure)
    save_checkpoint(tmp_path / "c", {"model": net, "stopping": stopping})
    again = model()
    resumed = EarlyStopping(again, patience=3)
    load_checkpoint(tmp_path / "c", {"model": again, "stopping": resumed})
    stops = [resumed.update(figure) for figure in figures[at:]]
    assert stops == [stopping.update(figure) for figure in figures[at:]]
    assert stops.index(True) + at == 4
    if at > 1:
        resumed.restore()
        assert again[0].weight.tolist() == [[2, 2]]


def test_the_weights_of_a_state_are_copied() -> None:
    _, stopping, net = figures_until_stop([1.0], patience=3)
    state = stopping.state_dict()
    resumed = EarlyStopping(net)
    resumed.load_state_dict(state)
    with minidl.no_grad():
        state["weights"]["0.weight"].fill_(50)
    resumed.restore()
    np.testing.assert_array_equal(net[0].weight.detach().numpy(), 1)


def load(**changes: Any) -> None:
    _, stopping, net = figures_until_stop([1.0, 2.0], patience=3)
    state = {**stopping.state_dict(), **changes}
    resumed = EarlyStopping(net)
    try:
        resumed.load_state_dict({key: value for key, value in state.items() if value != "gone"})
    finally:
        assert resumed.epoch == 0


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: EarlyStopping(model(), patience=0), "EarlyStopping: expected patience as a whole number of at least 1"),
    (lambda: EarlyStopping(model(), patience=2.5), "expected patience as a whole number"),  # type: ignore[arg-type]
    (lambda: EarlyStopping(model(), mode="best"), 'EarlyStopping: expected mode "min" or "max", got \'best\''),
    (lambda: EarlyStopping(model(), min_delta=-1.0), "EarlyStopping: expected min_delta >= 0, got -1.0"),
    (lambda: load(epoch="gone"), "expected epoch, best, best_epoch and weights"),
    (lambda: load(more=1), "expected epoch, best, best_epoch and weights"),
    (lambda: load(best_epoch=7), "expected 0 <= best_epoch <= epoch, got 7 and 2"),
    (lambda: load(epoch=True), "expected 0 <= best_epoch <= epoch"),
    (lambda: load(best="x"), "expected best as a number"),
    (lambda: load(best=None), "expected best as a number"),
    (lambda: load(weights={}), "expected the model's weights, got others at 0.bias, 0.weight, 1.bias"),
    (lambda: load(weights=model()[1].state_dict()), "expected the model's weights, got others at 0.bias"),  # type: ignore[index]
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_calls(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        call()
    assert message in str(raised.value)
