"""Arrays for the kernel tests: seeded values, in the layouts that kernels meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Seeded standard normal values in C order."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def tied(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Small whole numbers, most of them negative: many ties, and padding by zero would show."""
    return np.random.default_rng(seed).integers(-4, 1, shape).astype(dtype)


def layouts(x: Any) -> list[Any]:
    """The same values in C order, transposed, as every second element of a larger array, and channels last if 4-D."""
    spread = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), dtype=x.dtype)
    spread[..., ::2] = x
    found = [np.ascontiguousarray(x), np.asfortranarray(x), spread[..., ::2]]
    if x.ndim == 4:
        found.append(x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))
    return found


def leaf(x: Any) -> torch.Tensor:
    """A torch tensor that asks for a gradient."""
    return torch.tensor(x, requires_grad=True)


def close(got: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Equal shapes, and values equal to ``tolerance`` relative to the largest expected one; NaN where expected."""
    if isinstance(expected, torch.Tensor):
        expected = expected.detach().numpy()
    assert isinstance(got, np.ndarray)
    assert got.shape == expected.shape
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale)
