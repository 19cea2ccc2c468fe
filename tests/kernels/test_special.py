"""The error function, in both dialects, against torch: around 0, at the seam of the two formulas, far out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from minidl import kernels
from minidl.kernels.plain import special


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 2e-15), (np.float32, 1.5e-7)])
@pytest.mark.parametrize("erf", [special.erf, kernels.erf], ids=["plain", "cpu"])
def test_erf(erf: Any, dtype: Any, tolerance: float) -> None:
    x = np.concatenate([np.linspace(-7, 7, 20001), [0.0, 1e-20, -1e-300, 2.0, -2.0, np.nextafter(2, 0)]]).astype(dtype)
    y = erf(x)
    assert y.dtype == dtype
    expected = torch.erf(torch.from_numpy(x)).numpy()
    scale = np.maximum(np.abs(expected), np.finfo(dtype).tiny)
    assert (np.abs(y - expected) / scale).max() <= tolerance


@pytest.mark.parametrize("erf", [special.erf, kernels.erf], ids=["plain", "cpu"])
def test_erf_at_the_ends_and_in_any_shape(erf: Any) -> None:
    np.testing.assert_array_equal(erf(np.array([np.inf, -np.inf, np.nan])), [1, -1, np.nan])
    assert erf(np.array(0.5)).shape == ()
    assert erf(np.zeros((0, 3))).shape == (0, 3)
    x = np.linspace(-3, 3, 60).reshape(5, 12)[:, ::3]
    np.testing.assert_allclose(erf(x), erf(x.copy()), rtol=1e-15)
