"""The drawn data set: repeatable, balanced, the shapes that it says, and too hard for a linear model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from minidl.data import shapes
from minidl.data.drawing import _SHAPES
from minidl.errors import ArgumentError


def test_record() -> None:
    data = shapes(train=300, test=120)
    assert data.name == "shapes"
    assert data.x_train.shape == (300, 32, 32, 3)
    assert data.x_test.shape == (120, 32, 32, 3)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int64
    assert len(data.classes) == 10
    np.testing.assert_array_equal(np.bincount(data.y_train), [30] * 10)
    np.testing.assert_allclose(data.mean, (data.x_train / 255).mean(axis=(0, 1, 2)))
    assert shapes(28, 1, 7, 1).x_train.shape == (7, 28, 28, 1)


def test_seed_decides_everything() -> None:
    first, again = shapes(train=260, test=20, seed=3), shapes(train=40, test=20, seed=3)
    np.testing.assert_array_equal(first.x_test, again.x_test)  # whatever the size of the training set
    np.testing.assert_array_equal(first.x_train, shapes(train=260, test=20, seed=3).x_train)
    other = shapes(train=260, test=20, seed=4)
    assert not np.array_equal(first.x_test, other.x_test)
    assert not np.array_equal(first.x_train[:20], first.x_test)


_DISC = np.pi * 0.85**2
# Two circles of radii p and q at distance d share p^2 acos(..) + q^2 acos(..) - triangle; the crescent is the rest.
_P, _Q, _D = 0.9, 0.72, 0.5
_LENS = (
    _P**2 * np.arccos((_D**2 + _P**2 - _Q**2) / (2 * _D * _P))
    + _Q**2 * np.arccos((_D**2 + _Q**2 - _P**2) / (2 * _D * _Q))
    - 0.5 * np.sqrt((-_D + _P + _Q) * (_D + _P - _Q) * (_D - _P + _Q) * (_D + _P + _Q))
)
AREAS = {
    "circle": _DISC,
    "square": 1.4**2,
    "triangle": 3 * np.sqrt(3) * 0.5**2,  # by its inscribed circle
    "cross": 2 * 1.9 * 0.52 - 0.52**2,
    "ring": np.pi * (0.92**2 - 0.52**2),
    "frame": 1.4**2 - 0.8**2,
    "bar": 1.9 * 0.52,
    "star": 10 * 0.5 * 1 * 0.42 * np.sin(np.pi / 5),  # ten triangles between the radii 1 and 0.42
    "crescent": np.pi * _P**2 - _LENS,
    "heart": 1 + np.pi * 0.5**2,
}


@pytest.mark.parametrize("name", list(_SHAPES))
def test_area_of_each_shape(name: str) -> None:
    axis = (np.arange(800, dtype=np.float32) + 0.5) / 400 - 1
    distance = _SHAPES[name](axis[None, None, :], axis[None, :, None])[0]
    assert distance.dtype == np.float32
    assert (distance < 0).mean() * 4 == pytest.approx(AREAS[name], rel=0.01)
    outside = np.hypot(axis[None, :], axis[:, None]) > 1.01
    assert (distance[outside] > 0).all()  # radius 1


def test_a_linear_model_stays_under_60_percent() -> None:
    data = shapes(train=2000, test=1000)
    train, test = (x.reshape(len(x), -1).astype(np.float32) / 255 - 0.5 for x in (data.x_train, data.x_test))
    linear = RidgeClassifier(alpha=1e3).fit(train, data.y_train)
    assert linear.score(train, data.y_train) > 0.3  # it has learnt something
    assert linear.score(test, data.y_test) < 0.6


@pytest.mark.parametrize(
    "bad", [{"size": 8}, {"size": 32.0}, {"channels": 2}, {"train": 0}, {"test": -1}, {"seed": -1}, {"train": True}]
)
def test_bad_calls(bad: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=str(next(iter(bad.values())))):
        shapes(**bad)
