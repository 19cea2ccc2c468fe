"""Convolution over channels-last memory, for inputs with many channels: tiled im2col and one BLAS product per tile.

In (N, H, W, C) memory the C channels of a pixel, and with no dilation all kw*C values of a window's row, lie side by
side: im2col is a few long copies for every output pixel. The whole im2col matrix would be kh*kw times the input and
would travel to main memory and back, so a few output rows at a time are copied into a tile that stays in the L2 cache,
and multiplied at once by BLAS on one thread, inside `prange`.

An "output row" is one (image, row) pair, so that small images share a tile. Tiles depend on shapes only: the number of
threads decides who computes a tile, never what is in it, and results are the same bits for any number of threads.

Axes as in kernels/plain/conv.py; Cg = C/G and Og = O/G are a group's channels and filters, K = kh*kw*Cg a window's
size.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.kernels.cpu.blas import split_gemm
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.memory import address_of, copy_items, zero_items

__all__ = [
    "convolve",
    "fill_bias",
    "pack_filters",
    "pack_flipped",
    "pack_rows",
    "rows_per_tile",
    "rows_within_image",
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
def rows_within_image(oh: int, row_bytes: int) -> int:
    """Output rows in a tile that must not reach into the next image: the largest divisor of oh that fits."""
    rows = max(1, min(TILE_BYTES // max(row_bytes, 1), oh))
    while oh % rows:
        rows -= 1
    return rows


@njit(**SERIAL)
def pack_filters(weight: Array, packed: Array) -> None:
    """Filters (O, Cg, kh, kw) -> packed (G, kh*kw*Cg, Og): the order in which im2col meets channels-last memory."""
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
def _fill_tile(x, tile, first, count, ow, oh, group, Cg, i_start, i_stop, kw, sh, sw, ph, pw, dh, dw):
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
def _is_direct(kh: int, kw: int, sh: int, sw: int, ph: int, pw: int) -> bool:
    """Whether im2col would copy the input as it is: a 1x1 convolution of every pixel."""
    return kh == 1 and kw == 1 and sh == 1 and sw == 1 and ph == 0 and pw == 0


@njit(**SERIAL)
def fill_bias(bias: Array, y: Array, pixel: int, pixels: int) -> None:
    """Write the bias (O,), where there is one, into pixels of y (N, oh, ow, O), for BLAS to add its product to it.

    So the bias costs no pass of its own over the result.
    """
    O = bias.size
    if O > 0:
        for m in range(pixel, pixel + pixels):
            copy_items(y, m * O, bias, 0, O)


@njit(**SERIAL)
def _convolve_rows(x, packed, bias, y, tile, first, last, rows, kh, kw, sh, sw, ph, pw, dh, dw, small):
    """Output rows first to last of convolve, `rows` at a time."""
    C = x.shape[3]
    _, oh, ow, O = y.shape
    G, K, Og = packed.shape
    Cg = C // G
    direct = _is_direct(kh, kw, sh, sw, ph, pw)
    beta = y.dtype.type(1 if bias.size else 0)
    for start in range(first, last, rows):
        count = min(rows, last - start)
        pixel, pixels = start * ow, count * ow
        fill_bias(bias, y, pixel, pixels)
        for g in range(G):
            if direct:
                a, lda = address_of(x, pixel * C + g * Cg), C
            else:
                _fill_tile(x, tile, start, count, ow, oh, g, Cg, 0, kh, kw, sh, sw, ph, pw, dh, dw)
                a, lda = address_of(tile, 0), K
            # y (pixels, Og) = a (pixels, K) @ packed[g] (K, Og) + beta y
            b, c = address_of(packed, g * K * Og), address_of(y, pixel * O + g * Og)
            split_gemm(small, 0, 0, pixels, Og, K, a, lda, b, Og, beta, c, O)


@njit(**PARALLEL)
def convolve(x, packed, bias, y, kh, kw, sh, sw, ph, pw, dh, dw, threads, small):
    """y = x convolved: x (N, H, W, C), packed (G, K, Og), bias (O,) or empty -> y (N, oh, ow, O).

    Padding may be negative, so the same kernel is the input gradient of a convolution with stride 1.
    """
    N, oh, ow, _ = y.shape
    K = packed.shape[1]
    rows = rows_per_tile(N * oh, ow * K * x.itemsize)
    tiles = -(-N * oh // rows)
    workers = min(threads, tiles)
    for worker in prange(workers):
        first, last = worker * tiles // workers * rows, min((worker + 1) * tiles // workers * rows, N * oh)
        tile = np.empty((rows * ow, K), x.dtype)
        _convolve_rows(x, packed, bias, y, tile, first, last, rows, kh, kw, sh, sw, ph, pw, dh, dw, small)


@njit(**SERIAL)
def _weight_gradient_rows(
    grad, x, partials, chunk, tile, rows, first, last, i_start, i_stop, kh, kw, sh, sw, ph, pw, dh, dw, small
):
    """Kernel rows i_start to i_stop of the filters' gradient over output rows first to last: into partials[chunk]."""
    C = x.shape[3]
    _, oh, ow, O = grad.shape
    _, G, K, Og = partials.shape
    Cg = C // G
    direct = _is_direct(kh, kw, sh, sw, ph, pw)
    part = (i_stop - i_start) * kw * Cg
    for start in range(first, last, rows):
        count = min(rows, last - start)
        pixel, pixels = start * ow, count * ow
        beta = grad.dtype.type(0 if start == first else 1)
        for g in range(G):
            if direct:
                a, lda = address_of(x, pixel * C + g * Cg), C
            else:
                _fill_tile(x, tile, start, count, ow, oh, g, Cg, i_start, i_stop, kw, sh, sw, ph, pw, dh, dw)
                a, lda = address_of(tile, 0), part
            # c (part, Og) = a^T (part, pixels) @ grad (pixels, Og) + beta c
            b = address_of(grad, pixel * O + g * Og)
            c = address_of(partials, ((chunk * G + g) * K + i_start * kw * Cg) * Og)
            split_gemm(small, 1, 0, part, Og, pixels, a, lda, b, O, beta, c, Og)


@njit(**PARALLEL)
def weight_gradient(grad, x, partials, kh, kw, split, sh, sw, ph, pw, dh, dw, small):
    """Gradient by the filters, in parts: grad (N, oh, ow, O), x (N, H, W, C) -> partials (chunks, G, K, Og).

    Each chunk of output rows has a sum of its own, so no two threads add to the same place. With `split` (1 or kh) the
    kernel rows of a chunk are separate tasks too: more parallel work at no extra copying.
    """
    N, oh, ow, _ = grad.shape
    chunks, _, K, _ = partials.shape
    step, part = kh // split, K // split
    for task in prange(chunks * split):
        chunk, i = task // split, task % split * step
        first, last = chunk * N * oh // chunks, (chunk + 1) * N * oh // chunks
        rows = rows_per_tile((last - first) * LEAST_TILES, ow * part * x.itemsize)
        tile = np.empty((rows * ow, part), x.dtype)
        _weight_gradient_rows(
            grad, x, partials, chunk, tile, rows, first, last, i, i + step, kh, kw, sh, sw, ph, pw, dh, dw, small
        )


@njit(**SERIAL)
def _sum_taps(partials, dweight, total, first, last):
    """Kernel positions first to last of sum_partials; total (Og,) is scratch."""
    chunks, G, K, Og = partials.shape
    _, Cg, _, kw = dweight.shape
    for k in range(first, last):
        for g in range(G):
            for row in range(k * Cg, (k + 1) * Cg):
                copy_items(total, 0, partials, (g * K + row) * Og, Og)
                for chunk in range(1, chunks):
                    part = partials[chunk, g, row]
                    for o in range(Og):
                        total[o] += part[o]
                for o in range(Og):
                    dweight[g * Og + o, row - k * Cg, k // kw, k % kw] = total[o]


@njit(**PARALLEL)
def sum_partials(partials, dweight, threads):
    """Add the chunks in order, in the filters' own order: partials (chunks, G, kh*kw*Cg, Og) -> (O, Cg, kh, kw)."""
    taps = dweight.shape[2] * dweight.shape[3]
    workers = min(threads, taps)
    for worker in prange(workers):
        total = np.empty(partials.shape[3], partials.dtype)
        _sum_taps(partials, dweight, total, worker * taps // workers, (worker + 1) * taps // workers)


@njit(**SERIAL)
def _scatter_images(grad, packed, dx, tile, rows, first, last, kh, kw, sh, sw, ph, pw, dh, dw, small):
    """Input gradient of images first to last: products into the tile, then col2im."""
    _, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    K = packed.shape[1]
    Cg = K // (kh * kw)
    G = C // Cg
    Og = O // G
    zero_items(dx, first * H * W * C, (last - first) * H * W * C)
    beta = grad.dtype.type(0)
    for image_row in range(first * oh, last * oh, rows):  # rows divides oh: a tile lies within an image
        n, start = divmod(image_row, oh)
        for g in range(G):
            # tile (pixels, K) = grad (pixels, Og) @ packed of this group (Og, K)
            a, b = address_of(grad, image_row * ow * O + g * Og), address_of(packed, g * Og * K)
            split_gemm(small, 0, 0, rows * ow, K, Og, a, O, b, K, beta, address_of(tile, 0), K)
            for r in range(rows):
                for i in range(kh):
                    h = (start + r) * sh - ph + i * dh
                    if h < 0 or h >= H:
                        continue
                    for q in range(ow):
                        for j in range(kw):
                            w = q * sw - pw + j * dw
                            if w < 0 or w >= W:
                                continue
                            to = dx[n, h, w, g * Cg : (g + 1) * Cg]
                            part = tile[r * ow + q, (i * kw + j) * Cg : (i * kw + j + 1) * Cg]
                            for c in range(Cg):
                                to[c] += part[c]


@njit(**PARALLEL)
def scatter(grad, packed, dx, kh, kw, sh, sw, ph, pw, dh, dw, threads, small):
    """Input gradient for any stride: grad (N, oh, ow, O), packed (O, K) -> dx (N, H, W, C). One image, one thread."""
    N, oh, ow, _ = grad.shape
    K = packed.shape[1]
    rows = rows_within_image(oh, ow * K * grad.itemsize)
    workers = min(threads, N)
    for worker in prange(workers):
        tile = np.empty((rows * ow, K), grad.dtype)
        first, last = worker * N // workers, (worker + 1) * N // workers
        _scatter_images(grad, packed, dx, tile, rows, first, last, kh, kw, sh, sw, ph, pw, dh, dw, small)
