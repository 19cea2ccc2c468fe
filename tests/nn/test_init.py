"""The fillers of nn.init: bounds, spread, in place, seeds, and torch's gains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from nn.twins import as_numpy

SHAPE = (60, 40, 3, 2)  # fan in 240, fan out 360

UNIFORM = [
    ("uniform_", (-2.0, 5.0), {}, -2.0, 5.0),
    ("xavier_uniform_", (2.0,), {}, -2 * math.sqrt(6 / 600), 2 * math.sqrt(6 / 600)),
    ("kaiming_uniform_", (), {"a": math.sqrt(5)}, -math.sqrt(1 / 240), math.sqrt(1 / 240)),
    ("kaiming_uniform_", (), {"mode": "fan_out", "nonlinearity": "relu"}, -math.sqrt(6 / 360), math.sqrt(6 / 360)),
]
NORMAL = [
    ("normal_", (1.5, 0.2), {}, 1.5, 0.2),
    ("xavier_normal_", (), {"gain": 3.0}, 0.0, 3 * math.sqrt(2 / 600)),
    ("kaiming_normal_", (), {}, 0.0, math.sqrt(2 / 240)),
    ("kaiming_normal_", (), {"mode": "fan_out", "nonlinearity": "tanh"}, 0.0, 5 / 3 / math.sqrt(360)),
]


def fill(library: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> np.ndarray:
    tensor = library.zeros(*SHAPE, dtype=library.float64)
    assert getattr(library.nn.init, name)(tensor, *args, **kwargs) is tensor
    return as_numpy(tensor)


@pytest.mark.parametrize("library", [minidl, torch], ids=["minidl", "torch"])
@pytest.mark.parametrize(("name", "args", "kwargs", "low", "high"), UNIFORM)
def test_uniform(
    library: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], low: float, high: float
) -> None:
    values = fill(library, name, args, kwargs)
    width = high - low
    assert low <= values.min() < low + 0.01 * width
    assert high - 0.01 * width < values.max() <= high
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * width)
    assert values.std() == pytest.approx(width / math.sqrt(12), rel=0.03)


@pytest.mark.parametrize("library", [minidl, torch], ids=["minidl", "torch"])
@pytest.mark.parametrize(("name", "args", "kwargs", "mean", "std"), NORMAL)
def test_normal(
    library: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], mean: float, std: float
) -> None:
    values = fill(library, name, args, kwargs)
    assert values.mean() == pytest.approx(mean, abs=0.05 * std)
    assert values.std() == pytest.approx(std, rel=0.03)
    assert np.abs(values - mean).max() > 3 * std


@pytest.mark.parametrize("library", [minidl, torch], ids=["minidl", "torch"])
def test_truncated_normal(library: Any) -> None:
    values = fill(library, "trunc_normal_", (), {"mean": 1.0, "std": 2.0, "a": 0.0, "b": 2.0})
    assert values.min() >= 0
    assert values.max() <= 2
    # standard deviation of a normal cut at +-z: sqrt(1 - 2 z phi(z) / (2 Phi(z) - 1)), here z = 1/2
    phi, inside = math.exp(-0.125) / math.sqrt(2 * math.pi), math.erf(0.5 / math.sqrt(2))
    assert values.mean() == pytest.approx(1.0, abs=0.03)
    assert values.std() == pytest.approx(2 * math.sqrt(1 - phi / inside), rel=0.03)


def test_constants() -> None:
    tensor = minidl.zeros(2, 3)
    assert nn.init.constant_(tensor, 0.3) is tensor
    np.testing.assert_array_equal(as_numpy(tensor), np.full((2, 3), np.float32(0.3)))
    assert as_numpy(nn.init.ones_(tensor)).sum() == 6
    assert as_numpy(nn.init.zeros_(tensor)).sum() == 0


def test_fillers_write_in_place_without_a_graph() -> None:
    parameter = nn.Parameter(minidl.zeros(3, 4))
    array = parameter.data
    nn.init.xavier_normal_(parameter)
    assert parameter.data is array
    assert np.abs(array).min() > 0
    assert parameter.is_leaf
    assert parameter.requires_grad


def test_a_filled_weight_spoils_the_graph_that_saved_it() -> None:
    weight = nn.Parameter(minidl.ones(3))
    loss = (weight * weight).sum()
    nn.init.normal_(weight)
    with pytest.raises(RuntimeError, match="in-place"):
        loss.backward()


def test_generator_of_ones_own() -> None:
    def draw(seed: int) -> np.ndarray:
        return as_numpy(nn.init.normal_(minidl.zeros(5), generator=minidl.Generator(seed)))

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


@pytest.mark.parametrize(
    ("name", "param"),
    [("linear", None), ("conv2d", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("selu", None)]
    + [("leaky_relu", None), ("leaky_relu", 0.2), ("leaky_relu", 2)],
)
def test_gains(name: str, param: float | None) -> None:
    assert nn.init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param), rel=1e-15)


BAD = [
    (lambda t: nn.init.uniform_(t, 2.0, 1.0), ArgumentError, "init.uniform_: expected a <= b, got a=2.0, b=1.0"),
    (lambda t: nn.init.uniform_(t, generator=3), ArgumentError, "generator: expected a minidl.Generator or None"),
    (lambda t: nn.init.normal_(t, 0.0, -1.0), ArgumentError, "init.normal_: expected std >= 0, got -1.0"),
    (lambda t: nn.init.trunc_normal_(t, std=0.0), ArgumentError, "init.trunc_normal_: expected std > 0"),
    (lambda t: nn.init.trunc_normal_(t, a=9.0, b=10.0), ArgumentError, "init.trunc_normal_: expected an interval"),
    (lambda t: nn.init.trunc_normal_(t, a=1.0, b=-1.0), ArgumentError, "init.trunc_normal_: expected an interval"),
    (lambda t: nn.init.kaiming_normal_(t, mode="fan"), ArgumentError, "init.kaiming_normal_: expected mode"),
    (lambda t: nn.init.kaiming_uniform_(t[0]), ShapeError, "init.kaiming_uniform_: expected a weight of at least 2"),
    (lambda t: nn.init.xavier_normal_(t[0]), ShapeError, "init.xavier_normal_: expected a weight of at least 2"),
    (lambda t: nn.init.calculate_gain("gelu"), ArgumentError, "init.calculate_gain: expected one of leaky_relu"),
    (lambda t: nn.init.calculate_gain("leaky_relu", True), ArgumentError, "init.calculate_gain: expected param"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call(minidl.zeros(4, 3))
    assert str(raised.value).startswith(message)
