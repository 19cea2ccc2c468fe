"""The singular value decomposition of matrices."""

from __future__ import annotations

from typing import Any

from minidl.backend.arrays import namespace

__all__ = ["svd"]

Array = Any


def svd(a: Array) -> tuple[Array, Array, Array]:
    """a (..., M, N) = u diag(s) vt: u (..., M, K), s (..., K) falling, vt (..., K, N), K = min(M, N)."""
    u, s, vt = namespace(a).linalg.svd(a, full_matrices=False)
    return u, s, vt
