"""Convolution over channels-last memory, for inputs with many channels: tiled im2col and one BLAS product per tile.

In (N, H, W, C) memory the C channels of a pixel, and with no dilation all kw*C values of a window's row, lie side by
side: im2col is a few long copies for every output pixel. The whole im2col matrix would be kh*kw times the input and
would travel to main memory and back, so a few output rows at a time are copied into a tile that stays in the L2 cache,
and multiplied at once by BLAS on one thread, inside `prange`.

An "output row" is one (image, row) pair, so that small images share a tile. Tiles depend on shapes only: the number of
threads decides who computes a tile, never what is in it, and results are the same bits for any number of threads.

Axes as in kernels/plain/conv.py; Cg = C/G and Og = O/G are a group's channels and filters, K = kh*kw*Cg a window's size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from minidl.kernels.cpu.blas import split_gemm
from minidl.kernels.cpu.memory import copy_items, zero_items

__all__ = [
    "convolve",
    "pack_filters",
    "pack_flipped",
    "pack_rows",
    "rows_per_tile",
    "scatter",
    "sum_partials",
    "weight_gradient",
]

Array = Any

SERIAL = {"cache": True, "nogil": True, "error_model": "numpy"}
PARALLEL = {**SERIAL, "parallel": True}

# A tile of this size leaves room in the L2 cache (1 to 2 MB, at least 512 KB) for the filters and the result.
TILE_BYTES = 256 * 1024
# At least so many tiles where there are rows enough: some work for every thread also in small batches.
LEAST_TILES = 16


@njit(**SERIAL)
def rows_per_tile(rows: int, row_bytes: int) -> int:
    """Output rows in a tile: what fits in TILE_BYTES, but no more than leaves LEAST_TILES tiles; at least one."""
    return max(1, min(TILE_BYTES // max(row_bytes, 1), -(-rows // LEAST_TILES)))


@njit(**SERIAL)
def pack_filters(weight: Array, packed: Array) -> None:
    """Reorder filters (O, Cg, kh, kw) -> packed (G, kh*kw*Cg, Og), the order in which im2col meets channels-last memory."""
    _, Cg, kh, kw = weight.shape
    G, _, Og = packed.shape
    for g in range(G):
        for k in range(kh * kw):
            for c in range(Cg):
                row = packed[g, k * Cg + c]
                for o in range(Og):
                    row[o] = weight[g * Og + o, c, k // kw, k % kw]


@njit(**SERIAL)
def pack_flipped(weight: Array, packed: Array) -> None:
    """Filters of the transposed convolution: (O, Cg, kh, kw) -> packed (G, kh*kw*Og, Cg), kernel axes reversed."""
    _, _, kh, kw = weight.shape
    G, _, Cg = packed.shape
    Og = weight.shape[0] // G
    for g in range(G):
        for k in range(kh * kw):
            i, j = kh - 1 - k // kw, kw - 1 - k % kw
            for o in range(Og):
                row = packed[g, k * Og + o]
                for c in range(Cg):
                    row[c] = weight[g * Og + o, c, i, j]


@njit(**SERIAL)
def pack_rows(weight: Array, packed: Array) -> None:
    """Filters (O, Cg, kh, kw) -> packed (O, kh*kw*Cg): channels last within each filter."""
    O, Cg, kh, kw = weight.shape
    for o in range(O):
        for k in range(kh * kw):
            for c in range(Cg):
                packed[o, k * Cg + c] = weight[o, c, k // kw, k % kw]


@njit(**SERIAL)
def _fill_tile(x, tile, first, count, ow, oh, group, Cg, i_start, i_stop, kw, sh, sw, ph, pw, dh, dw):  # type: ignore[no-untyped-def]
    """Im2col of output rows first to first+count: x (N, H, W, C) -> tile (count*ow, (i_stop - i_start)*kw*Cg).

    Only kernel rows i_start to i_stop; positions in the padding become zero (padding may be negative: a crop).
    """
    _, H, W, C = x.shape
    segment = kw * Cg
    width = tile.shape[1]
    together = dw == 1 and Cg == C  # a window's row is one contiguous stretch of memory
    n, p = divmod(first, oh)
    for r in range(count):
        for q in range(ow):
            w = q * sw - pw
            to = (r * ow + q) * width
            for i in range(i_start, i_stop):
                h = p * sh - ph + i * dh
                line = (n * H + h) * W
                if h < 0 or h >= H:
                    zero_items(tile, to, segment)
                elif together:
                    left = min(max(-w, 0), kw)  # taps in the left padding
                    right = min(max(w + kw - W, 0), kw)  # taps in the right padding
                    if left:
                        zero_items(tile, to, left * C)
                    if left + right < kw:
                        copy_items(tile, to + left * C, x, (line + w + left) * C, (kw - left - right) * C)
                    if right:
                        zero_items(tile, to + (kw - right) * C, right * C)
                else:
                    for j in range(kw):
                        v = w + j * dw
                        if v < 0 or v >= W:
                            zero_items(tile, to + j * Cg, Cg)
                        else:
                            copy_items(tile, to + j * Cg, x, (line + v) * C + group * Cg, Cg)
                to += segment
        p += 1
        if p == oh:
            n, p = n + 1, 0


@njit(**SERIAL)
def _convolve_rows(x, packed, bias, y, first, last, rows, kh, kw, sh, sw, ph, pw, dh, dw, small):  # type: ignore[no-untyped-def]
    """Output rows first to last of convolve, `rows` at a time."""
    N, _, _, C = x.shape
    _, oh, ow, O = y.shape
    G, K, Og = packed.shape
    Cg = C // G
    # A 1x1 convolution needs no im2col: the input is the matrix.
    direct = kh == 1 and kw == 1 and sh == 1 and sw == 1 and ph == 0 and pw == 0
    tile = np.empty((1 if direct else rows * ow, K), x.dtype)
    pixels_of_y = y.reshape(N * oh * ow, O)  # (N, oh, ow, O) -> (N*oh*ow, O)
    beta = 0.0
    for start in range(first, last, rows):
        count = min(rows, last - start)
        pixel, pixels = start * ow, count * ow
        if bias.size:
            # BLAS adds its product to the bias: no pass over the result of its own.
            beta = 1.0
            for m in range(pixel, pixel + pixels):
                to = pixels_of_y[m]
                for o in range(O):
                    to[o] = bias[o]
        for g in range(G):
            # y (pixels, Og) += tile (pixels, K) @ packed[g] (K, Og)
            if direct:
                split_gemm(
                    small, 0, 0, pixels, Og, K, x, pixel * C + g * Cg, C, packed, g * K * Og, Og,
                    beta, y, pixel * O + g * Og, O,
                )  # fmt: skip
            else:
                _fill_tile(x, tile, start, count, ow, oh, g, Cg, 0, kh, kw, sh, sw, ph, pw, dh, dw)
                split_gemm(
                    small, 0, 0, pixels, Og, K, tile, 0, K, packed, g * K * Og, Og, beta, y, pixel * O + g * Og, O
                )  # fmt: skip


@njit(**PARALLEL)
def convolve(x, packed, bias, y, kh, kw, sh, sw, ph, pw, dh, dw, threads, small):  # type: ignore[no-untyped-def]
    """y = x convolved: x (N, H, W, C), packed (G, K, Og), bias (O,) or empty -> y (N, oh, ow, O).

    Padding may be negative, so the same kernel is the input gradient of a convolution with stride 1.
    """
    N, oh, ow, _ = y.shape
    rows = rows_per_tile(N * oh, ow * packed.shape[1] * x.itemsize)
    tiles = -(-N * oh // rows)
    workers = min(threads, tiles)
    for worker in prange(workers):
        first, last = worker * tiles // workers * rows, min((worker + 1) * tiles // workers * rows, N * oh)
        _convolve_rows(x, packed, bias, y, first, last, rows, kh, kw, sh, sw, ph, pw, dh, dw, small)


@njit(**SERIAL)
def _weight_gradient_rows(grad, x, partial, first, last, i_start, i_stop, kw, sh, sw, ph, pw, dh, dw, kh, small):  # type: ignore[no-untyped-def]
    """Kernel rows i_start to i_stop of the filters' gradient over output rows first to last: into partial (G, K, Og)."""
    _, _, _, C = x.shape
    _, oh, ow, O = grad.shape
    G, K, Og = partial.shape
    Cg = C // G
    direct = kh == 1 and kw == 1 and sh == 1 and sw == 1 and ph == 0 and pw == 0
    part = (i_stop - i_start) * kw * Cg
    rows = rows_per_tile((last - first) * LEAST_TILES, ow * part * x.itemsize)
    tile = np.empty((1 if direct else rows * ow, part), x.dtype)
    for start in range(first, last, rows):
        count = min(rows, last - start)
        pixel, pixels = start * ow, count * ow
        beta = 0.0 if start == first else 1.0
        for g in range(G):
            # partial[g] (part, Og) += tile^T (part, pixels) @ grad (pixels, Og)
            to = (g * K + i_start * kw * Cg) * Og
            if direct:
                split_gemm(
                    small, 1, 0, part, Og, pixels, x, pixel * C + g * Cg, C, grad, pixel * O + g * Og, O, beta, partial, to, Og
                )  # fmt: skip
            else:
                _fill_tile(x, tile, start, count, ow, oh, g, Cg, i_start, i_stop, kw, sh, sw, ph, pw, dh, dw)
                split_gemm(
                    small, 1, 0, part, Og, pixels, tile, 0, part, grad, pixel * O + g * Og, O, beta, partial, to, Og
                )  # fmt: skip


@njit(**PARALLEL)
def weight_gradient(grad, x, partials, kh, kw, split, sh, sw, ph, pw, dh, dw, small):  # type: ignore[no-untyped-def]
    """Gradient by the filters, in parts: grad (N, oh, ow, O), x (N, H, W, C) -> partials (chunks, G, K, Og).

    Each chunk of output rows has a sum of its own, so no two threads add to the same place. With `split` (1 or kh) the
    kernel rows of a chunk are separate tasks too: more parallel work at no extra copying.
    """
    N, oh, _, _ = grad.shape
    chunks = partials.shape[0]
    step = kh // split
    for task in prange(chunks * split):
        chunk, i = task // split, task % split * step
        first, last = chunk * N * oh // chunks, (chunk + 1) * N * oh // chunks
        _weight_gradient_rows(grad, x, partials[chunk], first, last, i, i + step, kw, sh, sw, ph, pw, dh, dw, kh, small)


@njit(**PARALLEL)
def sum_partials(partials, dweight, threads):  # type: ignore[no-untyped-def]
    """Add the chunks in order, and restore the filters' order: partials (chunks, G, kh*kw*Cg, Og) -> (O, Cg, kh, kw)."""
    chunks, G, K, Og = partials.shape
    _, Cg, kh, kw = dweight.shape
    workers = min(threads, kh * kw)
    for worker in prange(workers):
        total = np.empty(Og, partials.dtype)
        for k in range(worker * kh * kw // workers, (worker + 1) * kh * kw // workers):
            for g in range(G):
                for c in range(Cg):
                    total[:] = partials[0, g, k * Cg + c]
                    for chunk in range(1, chunks):
                        part = partials[chunk, g, k * Cg + c]
                        for o in range(Og):
                            total[o] += part[o]
                    for o in range(Og):
                        dweight[g * Og + o, c, k // kw, k % kw] = total[o]


@njit(**SERIAL)
def _scatter_image(grad, packed, dx, n, tile, rows, kh, kw, sh, sw, ph, pw, dh, dw, small):  # type: ignore[no-untyped-def]
    """Input gradient of image n: products into the tile, then col2im."""
    _, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    K = packed.shape[1]
    Cg = K // (kh * kw)
    G = C // Cg
    Og = O // G
    dx[n] = 0
    for start in range(0, oh, rows):
        count = min(rows, oh - start)
        for g in range(G):
            # tile (pixels, K) = grad (pixels, Og) @ packed of this group (Og, K)
            split_gemm(
                small, 0, 0, count * ow, K, Og, grad, (n * oh + start) * ow * O + g * Og, O, packed, g * Og * K, K,
                0.0, tile, 0, K,
            )  # fmt: skip
            for r in range(count):
                for q in range(ow):
                    column = tile[r * ow + q]
                    for i in range(kh):
                        h = (start + r) * sh - ph + i * dh
                        if h < 0 or h >= H:
                            continue
                        for j in range(kw):
                            w = q * sw - pw + j * dw
                            if w < 0 or w >= W:
                                continue
                            to = dx[n, h, w, g * Cg : (g + 1) * Cg]
                            part = column[(i * kw + j) * Cg : (i * kw + j + 1) * Cg]
                            for c in range(Cg):
                                to[c] += part[c]


@njit(**PARALLEL)
def scatter(grad, packed, dx, kh, kw, sh, sw, ph, pw, dh, dw, threads, small):  # type: ignore[no-untyped-def]
    """Input gradient for any stride: grad (N, oh, ow, O), packed (O, K) -> dx (N, H, W, C). One image, one thread."""
    N, oh, ow, _ = grad.shape
    K = packed.shape[1]
    workers = min(threads, N)
    rows = max(1, min(TILE_BYTES // (ow * K * grad.itemsize), oh))
    for worker in prange(workers):
        tile = np.empty((rows * ow, K), grad.dtype)
        for n in range(worker * N // workers, (worker + 1) * N // workers):
            _scatter_image(grad, packed, dx, n, tile, rows, kh, kw, sh, sw, ph, pw, dh, dw, small)
