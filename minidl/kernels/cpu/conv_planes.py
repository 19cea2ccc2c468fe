"""Convolution by channel planes, for inputs with few channels (images, grey or RGB; grouped and depthwise convolutions).

With one or three channels a window's row is too short a stretch of memory to be copied fast, and the vector units idle.
So the im2col tile is turned round: one row for every tap (c, i, j), one column for every output pixel. A tap of a whole
output row is one contiguous stretch of a zero-padded channel plane; copying it, or adding to it, runs at full vector width,
and the taps stand in the order of the filters' own memory, so that filters need not be reordered.

Tiles, chunks and axes as in conv_pixels.py; planes are (N, C, H + 2*padding, W + 2*padding), here K = Cg*kh*kw.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from minidl.kernels.cpu.blas import split_gemm
from minidl.kernels.cpu.conv_pixels import LEAST_TILES, PARALLEL, SERIAL, rows_per_tile
from minidl.kernels.cpu.memory import copy_items

__all__ = ["convolve_planes", "scatter_planes", "to_planes", "weight_gradient_planes"]


@njit(**PARALLEL)
def to_planes(x, planes, ph, pw, threads):  # type: ignore[no-untyped-def]
    """Zero-padded channel planes of x (N, C, H, W) in any memory order: -> planes (N, C, H + 2*ph, W + 2*pw)."""
    N, C, H, W = x.shape
    workers = min(threads, N)
    for worker in prange(workers):
        for n in range(worker * N // workers, (worker + 1) * N // workers):
            planes[n] = 0
            for c in range(C):
                for h in range(H):
                    to = planes[n, c, h + ph, pw : pw + W]
                    line = x[n, c, h]
                    for w in range(W):
                        to[w] = line[w]


@njit(**SERIAL)
def _fill_tile(planes, tile, first, count, oh, ow, group, Cg, kh, kw, sh, sw, dh, dw):  # type: ignore[no-untyped-def]
    """Im2col of output rows first to first+count, one tap a row: planes -> tile (K, at least count*ow)."""
    _, C, Hp, Wp = planes.shape
    width = tile.shape[1]
    for c in range(Cg):
        for i in range(kh):
            for j in range(kw):
                k = (c * kh + i) * kw + j
                n, p = divmod(first, oh)
                for r in range(count):
                    line = ((n * C + group * Cg + c) * Hp + p * sh + i * dh) * Wp + j * dw
                    if sw == 1:
                        copy_items(tile, k * width + r * ow, planes, line, ow)
                    else:
                        s = planes[n, group * Cg + c, p * sh + i * dh]
                        to = tile[k, r * ow : (r + 1) * ow]
                        for q in range(ow):
                            to[q] = s[j * dw + q * sw]
                    p += 1
                    if p == oh:
                        n, p = n + 1, 0


@njit(**SERIAL)
def _convolve_rows(planes, weight, bias, y, first, last, rows, sh, sw, dh, dw, small):  # type: ignore[no-untyped-def]
    """Output rows first to last of convolve_planes, `rows` at a time."""
    _, Cg, kh, kw = weight.shape
    N, oh, ow, O = y.shape
    K = Cg * kh * kw
    G = planes.shape[1] // Cg
    Og = O // G
    width = rows * ow
    tile = np.empty((K, width), planes.dtype)
    pixels_of_y = y.reshape(N * oh * ow, O)  # (N, oh, ow, O) -> (N*oh*ow, O)
    beta = 0.0
    for start in range(first, last, rows):
        count = min(rows, last - start)
        pixel, pixels = start * ow, count * ow
        if bias.size:
            beta = 1.0
            for m in range(pixel, pixel + pixels):
                to = pixels_of_y[m]
                for o in range(O):
                    to[o] = bias[o]
        for g in range(G):
            _fill_tile(planes, tile, start, count, oh, ow, g, Cg, kh, kw, sh, sw, dh, dw)
            # y (pixels, Og) += tile^T (pixels, K) @ weight[g]^T (K, Og)
            split_gemm(
                small, 1, 1, pixels, Og, K, tile, 0, width, weight, g * Og * K, K, beta, y, pixel * O + g * Og, O
            )  # fmt: skip


@njit(**PARALLEL)
def convolve_planes(planes, weight, bias, y, sh, sw, dh, dw, threads, small):  # type: ignore[no-untyped-def]
    """Convolution: planes, weight (O, Cg, kh, kw) C-contiguous, bias (O,) or empty -> y (N, oh, ow, O)."""
    _, Cg, kh, kw = weight.shape
    N, oh, ow, O = y.shape
    rows = rows_per_tile(N * oh, ow * Cg * kh * kw * y.itemsize)
    tiles = -(-N * oh // rows)
    workers = min(threads, tiles)
    for worker in prange(workers):
        first, last = worker * tiles // workers * rows, min((worker + 1) * tiles // workers * rows, N * oh)
        _convolve_rows(planes, weight, bias, y, first, last, rows, sh, sw, dh, dw, small)


@njit(**SERIAL)
def _weight_gradient_rows(grad, planes, partial, first, last, Cg, kh, kw, sh, sw, dh, dw, small):  # type: ignore[no-untyped-def]
    """The filters' gradient over output rows first to last: into partial (G, K, Og)."""
    G, K, Og = partial.shape
    _, oh, ow, O = grad.shape
    rows = rows_per_tile((last - first) * LEAST_TILES, ow * K * grad.itemsize)
    width = rows * ow
    tile = np.empty((K, width), planes.dtype)
    for start in range(first, last, rows):
        count = min(rows, last - start)
        beta = 0.0 if start == first else 1.0
        for g in range(G):
            _fill_tile(planes, tile, start, count, oh, ow, g, Cg, kh, kw, sh, sw, dh, dw)
            # partial[g] (K, Og) += tile (K, pixels) @ grad (pixels, Og)
            split_gemm(
                small, 0, 0, K, Og, count * ow, tile, 0, width, grad, start * ow * O + g * Og, O, beta, partial, g * K * Og, Og
            )  # fmt: skip


@njit(**PARALLEL)
def weight_gradient_planes(grad, planes, partials, dweight, sh, sw, dh, dw, small):  # type: ignore[no-untyped-def]
    """Gradient by the filters: grad (N, oh, ow, O), planes, scratch partials (chunks, G, K, Og) -> dweight."""
    N, oh, _, _ = grad.shape
    _, Cg, kh, kw = dweight.shape
    chunks, G, K, Og = partials.shape
    for chunk in prange(chunks):
        first, last = chunk * N * oh // chunks, (chunk + 1) * N * oh // chunks
        _weight_gradient_rows(grad, planes, partials[chunk], first, last, Cg, kh, kw, sh, sw, dh, dw, small)
    total = partials[0]
    for chunk in range(1, chunks):  # in order, whichever thread finished first
        total += partials[chunk]
    filters = dweight.reshape(G * Og, K)  # (O, Cg, kh, kw) -> (O, K)
    for g in range(G):
        for o in range(Og):
            for k in range(K):
                filters[g * Og + o, k] = total[g, k, o]


@njit(**SERIAL)
def _scatter_image(grad, weight, dx, n, tile, planes, rows, sh, sw, ph, pw, dh, dw, small):  # type: ignore[no-untyped-def]
    """Input gradient of image n: products into the tile, col2im into padded planes, and from there to dx[n]."""
    _, Cg, kh, kw = weight.shape
    _, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    K = Cg * kh * kw
    G = C // Cg
    Og = O // G
    width = rows * ow
    planes[:] = 0
    for start in range(0, oh, rows):
        count = min(rows, oh - start)
        for g in range(G):
            # tile (K, pixels) = weight[g]^T (K, Og) @ grad^T (Og, pixels)
            split_gemm(
                small, 1, 1, K, count * ow, Og, weight, g * Og * K, K, grad, (n * oh + start) * ow * O + g * Og, O,
                0.0, tile, 0, width,
            )  # fmt: skip
            for c in range(Cg):
                for i in range(kh):
                    for j in range(kw):
                        taps = tile[(c * kh + i) * kw + j]
                        for r in range(count):
                            line = planes[g * Cg + c, (start + r) * sh + i * dh]
                            part = taps[r * ow : (r + 1) * ow]
                            if sw == 1:
                                to = line[j * dw : j * dw + ow]
                                for q in range(ow):
                                    to[q] += part[q]
                            else:
                                for q in range(ow):
                                    line[j * dw + q * sw] += part[q]
    for h in range(H):
        for w in range(W):
            for c in range(C):
                dx[n, h, w, c] = planes[c, h + ph, w + pw]


@njit(**PARALLEL)
def scatter_planes(grad, weight, dx, sh, sw, ph, pw, dh, dw, threads, small):  # type: ignore[no-untyped-def]
    """Input gradient: grad (N, oh, ow, O), weight (O, Cg, kh, kw) C-contiguous -> dx (N, H, W, C). One image, one thread."""
    N, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    _, Cg, kh, kw = weight.shape
    K = Cg * kh * kw
    workers = min(threads, N)
    rows = rows_per_tile(oh * LEAST_TILES, ow * K * grad.itemsize)
    for worker in prange(workers):
        tile = np.empty((K, rows * ow), grad.dtype)
        planes = np.empty((C, H + 2 * ph, W + 2 * pw), grad.dtype)
        for n in range(worker * N // workers, (worker + 1) * N // workers):
            _scatter_image(grad, weight, dx, n, tile, planes, rows, sh, sw, ph, pw, dh, dw, small)
