"""The singular value decomposition on the CPU; formula and shapes in ``plain/decomposition.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.cpu.blas import single_thread

__all__ = ["svd"]

Array = Any


def svd(a: Array) -> tuple[Array, Array, Array]:
    """NumPy's, on one thread.

    Its last bits depend on the number of OpenBLAS's threads, and so on what another Python thread is doing.
    """
    with single_thread():
        u, s, vt = np.linalg.svd(a, full_matrices=False)
    return u, s, vt
