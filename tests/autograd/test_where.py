"""``where`` with a condition alone: the places where it holds, as torch gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.errors import ArgumentError, DTypeError, GraphError


@pytest.mark.parametrize(
    "values",
    [np.array([[True, False], [False, True]]), np.array([3, 0, -1]), np.array(2.0), np.array(0.0), np.zeros((0, 3))],
    ids=["matrix", "integers", "0-d, true", "0-d, false", "empty"],
)
def test_places_are_torchs(values: Any) -> None:
    ours, theirs = minidl.where(minidl.from_numpy(values)), torch.where(torch.from_numpy(values))
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs):
        np.testing.assert_array_equal(our.numpy(), their.numpy())
        assert our.dtype == minidl.int64


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"where: .*one of them"):
        minidl.where(minidl.tensor([True]), 1.0)
    with pytest.raises(DTypeError, match=r"where: .*list"):
        minidl.where([True])
    with pytest.raises(GraphError, match=r"where: .*captured step"):
        minidl.capture(lambda x: minidl.where(x > 0)[0])(minidl.ones(2))
    with pytest.raises(DTypeError, match=r"where: .*int64"):
        minidl.where(minidl.tensor([1]), 1.0, 2.0)
