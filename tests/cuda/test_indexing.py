"""Indices and sums at places on the stand-in for a GPU, where CuPy is narrower than NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stand_in import StandIn

import minidl

WITHIN = [
    [0, -3],
    (slice(None), [3, -4]),
    (..., [4, -5]),
    (None, [2]),
    (1, ..., [4]),
    ([2, 0], slice(None), [4, 1]),
    (np.array([True, False, True]), [3, 0]),
    (np.ones((3, 4), bool), [4] * 12),
]
OUTSIDE = [[3], [-4], (slice(None), [4]), (..., [5]), (None, [3]), (1, ..., [-6]), ([2, 0], slice(None), [5, 1])]


def values() -> np.ndarray:
    """x (3, 4, 5)."""
    return np.arange(60, dtype=np.float32).reshape(3, 4, 5)  # (60,) -> (3, 4, 5)


def on(device: str, index: Any) -> Any:
    """An index with its lists and arrays as tensors of a device."""
    if isinstance(index, tuple):
        return tuple(on(device, part) for part in index)
    return minidl.tensor(index, device=device) if isinstance(index, (list, np.ndarray)) else index


@pytest.mark.parametrize("index", WITHIN)
def test_places_within(index: Any, cupy: StandIn) -> None:
    x = minidl.from_numpy(values())
    expected = x[index].numpy()
    np.testing.assert_array_equal(x.to("gpu")[on("gpu", index)].cpu().numpy(), expected)
    written = x.to("gpu")
    written[on("gpu", index)] = -1
    x[index] = -1
    np.testing.assert_array_equal(written.cpu().numpy(), x.numpy())


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("index", OUTSIDE)
def test_places_outside_are_refused(index: Any, grad: bool, as_list: bool, cupy: StandIn) -> None:
    leaf = minidl.from_numpy(values()).to("gpu").requires_grad_(grad)
    x = leaf * 1  # a leaf that requires gradients cannot be written to
    place = index if as_list else on("gpu", index)
    with pytest.raises(IndexError, match="axis"):
        x[place]
    with pytest.raises(IndexError, match="axis"):
        x[place] = 0
    np.testing.assert_array_equal(x.detach().cpu().numpy(), values())


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "uint8", "float32", "float64"])
def test_scatter_add(dtype: str, cupy: StandIn) -> None:
    rng = np.random.default_rng(0)
    low, high = (0, 256) if dtype == "uint8" else (-99, 100)
    x, source = (rng.integers(low, high, (5, 3)).astype(dtype) for _ in range(2))
    index = rng.integers(0, 5, (5, 3))
    expected = torch.from_numpy(x).scatter_add(0, torch.from_numpy(index), torch.from_numpy(source)).numpy()
    on_gpu = [minidl.from_numpy(a).to("gpu") for a in (x, index, source)]
    got = on_gpu[0].scatter_add(0, *on_gpu[1:]).cpu().numpy()
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
