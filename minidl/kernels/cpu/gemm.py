"""Matrix product with a bias, and channel sums, split in a fixed way over Numba's threads.

Signatures and formulas are those of kernels/plain/gemm.py.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

from typing import Any

import numpy as np
from numba import get_num_threads, prange

from minidl.kernels.cpu.blas import SMALL_PRODUCT, single_thread, split_gemm
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.dot_tiles import AVAILABLE as DOT_TILES
from minidl.kernels.cpu.dot_tiles import dot_product
from minidl.kernels.cpu.memory import address_of
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["channel_sum", "gemm", "gemm_fused", "linear_backward", "matmul"]

Array = Any

# The larger side of the result is cut into at most so many pieces, of at least so many rows or columns (full vectors).
MOST_PIECES, LEAST_PIECE = 16, 16
# OpenBLAS repacks the whole of B for each piece of A B^T that takes some rows: fewer and larger pieces, or packing
# takes as long as multiplying (128 x 3072 times 3072 x 120: 1.6 ms in pieces of 16 rows, 0.8 ms in pieces of 64).
MOST_ROW_PIECES, LEAST_ROWS = 8, 64
# Products of fewer multiplications take less time on one thread than waking the others does.
SERIAL_PRODUCT = 250_000
# In a row of products that holds for each of them up to here: the threads would be woken as often.
SERIAL_IN_A_ROW = 1_000_000
# With fewer columns the tiles of dot_tiles.py leave threads without work.
LEAST_DOT_COLUMNS = 16
# Rows whose channel sums are added up before they are added to the other pieces'.
ROWS_PER_SUM = 1024


@njit(**SERIAL)
def _multiply(a, ta, b, tb, bias, c, row, rows, column, columns, small):
    """One piece of the product: rows row to row+rows and columns column to column+columns of c (M, N)."""
    N = c.shape[1]
    K = a.shape[0] if ta else a.shape[1]
    beta = c.dtype.type(1 if bias.size else 0)  # BLAS adds its product to the bias
    if bias.size:
        for i in range(row, row + rows):
            line = c[i, column : column + columns]
            part = bias[column : column + columns]
            for j in range(columns):
                line[j] = part[j]
    a_piece = address_of(a, row if ta else row * K)
    b_piece = address_of(b, column * K if tb else column)
    c_piece = address_of(c, row * N + column)
    split_gemm(small, ta, tb, rows, columns, K, a_piece, a.shape[1], b_piece, b.shape[1], beta, c_piece, N)


@njit(**PARALLEL)
def _multiply_parallel(a, ta, b, tb, bias, c, piece, small):
    M, N = c.shape
    if M >= N:
        for p in prange((M + piece - 1) // piece):
            _multiply(a, ta, b, tb, bias, c, p * piece, min(piece, M - p * piece), 0, N, small)
    else:
        for p in prange((N + piece - 1) // piece):
            _multiply(a, ta, b, tb, bias, c, 0, M, p * piece, min(piece, N - p * piece), small)


def _as_stored(x: Array) -> tuple[Array, int]:
    """A C-contiguous matrix and 0, or its transpose (no copy) and 1; other strides are copied."""
    if x.flags.c_contiguous:
        return x, 0
    if x.flags.f_contiguous:
        return x.T, 1  # (rows, columns) -> (columns, rows), C-contiguous
    return np.ascontiguousarray(x), 0


_NO_BIAS = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def gemm(a: Array, b: Array, bias: Array | None = None) -> Array:
    """Matrix product: a (M, K), b (K, N), bias (N,) or None -> a @ b + bias (M, N), C-contiguous.

    A matrix that is the transpose of a contiguous one is read where it lies.
    """
    return gemm_fused(a, b, bias, relu=False)


def gemm_fused(a: Array, b: Array, bias: Array | None, relu: bool) -> Array:
    """gemm, followed by max(0, c) where `relu`: free of cost in a tile, one more pass elsewhere."""
    (M, K), N = a.shape, b.shape[1]
    c = np.empty((M, N), a.dtype)
    if K == 0:
        c[:] = 0 if bias is None else np.maximum(bias, 0) if relu else bias
        return c
    if c.size:
        a, ta = _as_stored(a)
        b, tb = _as_stored(b)
        if DOT_TILES and tb and not ta and c.dtype == np.float32 and N >= LEAST_DOT_COLUMNS:
            start = np.zeros(N, np.float32) if bias is None else np.ascontiguousarray(bias)
            with parallel_region():
                dot_product(a, b, start, c, relu, get_num_threads())
            return c
        bias = _NO_BIAS[c.dtype] if bias is None else np.ascontiguousarray(bias)
        longer = max(M, N)
        with single_thread():
            if M * N * K <= SERIAL_PRODUCT or longer <= LEAST_PIECE:
                _multiply(a, ta, b, tb, bias, c, 0, M, 0, N, SMALL_PRODUCT)
            else:
                most, least = (MOST_ROW_PIECES, LEAST_ROWS) if tb and M >= N else (MOST_PIECES, LEAST_PIECE)
                piece = -(-longer // (most * least)) * least
                with parallel_region():
                    _multiply_parallel(a, ta, b, tb, bias, c, piece, SMALL_PRODUCT)
    if relu:
        np.maximum(c, 0, out=c)
    return c


def matmul(a: Array, b: Array) -> Array:
    """As in plain/gemm.py; small products by NumPy, large ones one after the other by gemm.

    The last bits of NumPy's large products depend on the number of OpenBLAS's threads, and so on whether another Python
    thread is inside single_thread() just then.
    """
    (M, K), N = a.shape[-2:], b.shape[-1]
    if M * N * K <= SERIAL_IN_A_ROW:
        with single_thread():
            return np.matmul(a, b)
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = np.empty((*leading, M, N), a.dtype)
    a, b = (np.broadcast_to(x, (*leading, *x.shape[-2:])) for x in (a, b))
    for place in np.ndindex(*leading):
        c[place] = gemm(a[place], b[place])
    return c


@njit(**SERIAL)
def _sum_rows(rows, total):
    """total (C,) float64 = sum of rows (P, C)."""
    total[:] = 0
    for p in range(rows.shape[0]):
        line = rows[p]
        for c in range(total.size):
            total[c] += line[c]


@njit(**PARALLEL)
def _sum_pieces(rows, totals):
    for piece in prange(totals.shape[0]):
        _sum_rows(rows[piece * ROWS_PER_SUM : (piece + 1) * ROWS_PER_SUM], totals[piece])


def channel_sum(x: Array) -> Array:
    """Sum over all axes but the second: x (N, C, ...) -> (C,); added up in float64, in fixed pieces."""
    rows = np.ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1))  # (N, C, ...) -> (N, ..., C)
    rows = rows.reshape(x.size // max(x.shape[1], 1), x.shape[1])  # (N, ..., C) -> (P, C)
    pieces = -(-rows.shape[0] // ROWS_PER_SUM)
    totals = np.empty((max(pieces, 1), x.shape[1]))
    if pieces <= 1:
        _sum_rows(rows, totals[0])
        return totals[0].astype(x.dtype)
    with parallel_region():
        _sum_pieces(rows, totals)
    return totals.sum(axis=0).astype(x.dtype)  # one piece after the other


@njit(**SERIAL)
def _linear_backward(grad, x, weight, bias, dx, dweight, dbias, small):
    """All of linear_backward on one thread; weight (0, 0) for none; bias (0,): see _multiply."""
    N, O = grad.shape
    K = x.shape[1]
    if weight.size:
        _multiply(grad, 0, weight, 0, bias, dx, 0, N, 0, K, small)
    _multiply(grad, 1, x, 0, bias, dweight, 0, O, 0, K, small)
    _sum_rows(grad, dbias)


def linear_backward(grad: Array, x: Array, weight: Array | None) -> tuple[Array | None, Array, Array]:
    """As in plain/gemm.py; a small layer's three gradients take one call, because calls would take most of the time."""
    (N, O), K = grad.shape, x.shape[1]
    if not 0 < N * O * K <= SERIAL_PRODUCT:
        return None if weight is None else gemm(grad, weight), gemm(grad.T, x), channel_sum(grad)
    grad, x = np.ascontiguousarray(grad), np.ascontiguousarray(x)
    dx = np.empty((0 if weight is None else N, K), grad.dtype)
    dweight, dbias = np.empty((O, K), grad.dtype), np.empty(O)
    held = np.empty((0, 0), grad.dtype) if weight is None else np.ascontiguousarray(weight)
    with single_thread():
        _linear_backward(grad, x, held, _NO_BIAS[grad.dtype], dx, dweight, dbias, SMALL_PRODUCT)
    return None if weight is None else dx, dweight, dbias.astype(grad.dtype)
