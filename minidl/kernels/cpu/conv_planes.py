"""Convolution by channel planes, for inputs with few channels: grey or RGB images, grouped and depthwise convolutions.

With one or three channels a window's row is too short a stretch of memory to be copied fast, and the vector units idle.
So the im2col tile is turned round: one row for every tap (c, i, j), one column for every output pixel. A tap of a whole
output row is one contiguous stretch of a zero-padded channel plane; copying it, or adding to it, runs at full vector
width, and the taps stand in the order of the filters' own memory, so that filters need not be reordered.

Tiles, chunks and axes as in conv_pixels.py; planes are (N, C, H + 2*padding, W + 2*padding), here K = Cg*kh*kw.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import numpy as np
from numba import prange

from minidl.kernels.cpu.blas import split_gemm
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import LEAST_TILES, PARALLEL, SERIAL, fill_bias, rows_per_tile
from minidl.kernels.cpu.memory import address_of, copy_items, zero_items

__all__ = ["convolve_planes", "scatter_planes", "sum_partials_planes", "to_planes", "weight_gradient_planes"]


@njit(**SERIAL)
def _to_planes(x, planes, ph, pw, first, last):
    """Images first to last of to_planes."""
    _, C, H, W = x.shape
    Hp, Wp = planes.shape[2], planes.shape[3]
    zero_items(planes, first * C * Hp * Wp, (last - first) * C * Hp * Wp)
    for n in range(first, last):
        for c in range(C):
            for h in range(H):
                to = planes[n, c, h + ph, pw : pw + W]
                line = x[n, c, h]
                for w in range(W):
                    to[w] = line[w]


@njit(**PARALLEL)
def to_planes(x, planes, ph, pw, threads):
    """Zero-padded channel planes of x (N, C, H, W) in any memory order: -> planes (N, C, H + 2*ph, W + 2*pw)."""
    N = x.shape[0]
    workers = min(threads, N)
    for worker in prange(workers):
        _to_planes(x, planes, ph, pw, worker * N // workers, (worker + 1) * N // workers)


@njit(**SERIAL)
def _fill_tile(planes, tile, first, count, oh, ow, group, Cg, kh, kw, sh, sw, dh, dw):
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
def _convolve_rows(planes, weight, bias, y, tile, first, last, rows, sh, sw, dh, dw, small):
    """Output rows first to last of convolve_planes, `rows` at a time."""
    _, Cg, kh, kw = weight.shape
    _, oh, ow, O = y.shape
    G = planes.shape[1] // Cg
    Og = O // G
    K, width = tile.shape
    beta = y.dtype.type(1 if bias.size else 0)
    for start in range(first, last, rows):
        count = min(rows, last - start)
        pixel, pixels = start * ow, count * ow
        fill_bias(bias, y, pixel, pixels)
        for g in range(G):
            _fill_tile(planes, tile, start, count, oh, ow, g, Cg, kh, kw, sh, sw, dh, dw)
            # y (pixels, Og) = tile^T (pixels, K) @ weight[g]^T (K, Og) + beta y
            b, c = address_of(weight, g * Og * K), address_of(y, pixel * O + g * Og)
            split_gemm(small, 1, 1, pixels, Og, K, address_of(tile, 0), width, b, K, beta, c, O)


@njit(**PARALLEL)
def convolve_planes(planes, weight, bias, y, sh, sw, dh, dw, threads, small):
    """Convolution: planes, weight (O, Cg, kh, kw) C-contiguous, bias (O,) or empty -> y (N, oh, ow, O)."""
    _, Cg, kh, kw = weight.shape
    N, oh, ow, _ = y.shape
    K = Cg * kh * kw
    rows = rows_per_tile(N * oh, ow * K * y.itemsize)
    tiles = -(-N * oh // rows)
    workers = min(threads, tiles)
    for worker in prange(workers):
        first, last = worker * tiles // workers * rows, min((worker + 1) * tiles // workers * rows, N * oh)
        tile = np.empty((K, rows * ow), y.dtype)
        _convolve_rows(planes, weight, bias, y, tile, first, last, rows, sh, sw, dh, dw, small)


@njit(**SERIAL)
def _weight_gradient_rows(grad, planes, partials, chunk, tile, rows, first, last, Cg, kh, kw, sh, sw, dh, dw, small):
    """The filters' gradient over output rows first to last: into partials[chunk] (G, K, Og)."""
    _, G, K, Og = partials.shape
    _, oh, ow, O = grad.shape
    width = tile.shape[1]
    for start in range(first, last, rows):
        count = min(rows, last - start)
        beta = grad.dtype.type(0 if start == first else 1)
        for g in range(G):
            _fill_tile(planes, tile, start, count, oh, ow, g, Cg, kh, kw, sh, sw, dh, dw)
            # c (K, Og) = tile (K, pixels) @ grad (pixels, Og) + beta c
            b, c = address_of(grad, start * ow * O + g * Og), address_of(partials, (chunk * G + g) * K * Og)
            split_gemm(small, 0, 0, K, Og, count * ow, address_of(tile, 0), width, b, O, beta, c, Og)


@njit(**PARALLEL)
def weight_gradient_planes(grad, planes, partials, kh, kw, sh, sw, dh, dw, small):
    """Gradient by the filters, in parts: grad (N, oh, ow, O), planes -> partials (chunks, G, K, Og)."""
    N, oh, ow, _ = grad.shape
    chunks, G, K, _ = partials.shape
    for chunk in prange(chunks):
        first, last = chunk * N * oh // chunks, (chunk + 1) * N * oh // chunks
        rows = rows_per_tile((last - first) * LEAST_TILES, ow * K * grad.itemsize)
        tile = np.empty((K, rows * ow), grad.dtype)
        _weight_gradient_rows(
            grad, planes, partials, chunk, tile, rows, first, last, planes.shape[1] // G, kh, kw, sh, sw, dh, dw, small
        )


@njit(**SERIAL)
def sum_partials_planes(partials, dweight):
    """Add the chunks in order, and transpose: partials (chunks, G, Cg*kh*kw, Og) -> dweight (O, Cg, kh, kw)."""
    chunks, G, K, Og = partials.shape
    filters = dweight.reshape(G * Og, K)  # (O, Cg, kh, kw) -> (O, K)
    for g in range(G):
        for k in range(K):
            for o in range(Og):
                total = partials[0, g, k, o]
                for chunk in range(1, chunks):
                    total += partials[chunk, g, k, o]
                filters[g * Og + o, k] = total


@njit(**SERIAL)
def _scatter_images(grad, weight, dx, tile, planes, rows, first, last, sh, sw, ph, pw, dh, dw, small):
    """Input gradient of images first to last: products into the tile, col2im into padded planes, from there to dx."""
    _, Cg, kh, kw = weight.shape
    _, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    K, width = tile.shape
    G = C // Cg
    Og = O // G
    beta = grad.dtype.type(0)
    for n in range(first, last):
        zero_items(planes, 0, planes.size)
        for start in range(0, oh, rows):
            count = min(rows, oh - start)
            for g in range(G):
                # tile (K, pixels) = weight[g]^T (K, Og) @ grad^T (Og, pixels)
                a, b = address_of(weight, g * Og * K), address_of(grad, (n * oh + start) * ow * O + g * Og)
                split_gemm(small, 1, 1, K, count * ow, Og, a, K, b, O, beta, address_of(tile, 0), width)
                for k in range(K):
                    c, i, j = k // (kh * kw), k // kw % kh, k % kw
                    for r in range(count):
                        line = planes[g * Cg + c, (start + r) * sh + i * dh]
                        part = tile[k, r * ow : (r + 1) * ow]
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
def scatter_planes(grad, weight, dx, sh, sw, ph, pw, dh, dw, threads, small):
    """Input gradient: grad (N, oh, ow, O), weight (O, Cg, kh, kw) C-contiguous -> dx (N, H, W, C)."""
    N, oh, ow, _ = grad.shape
    _, H, W, C = dx.shape
    K = weight.shape[1] * weight.shape[2] * weight.shape[3]
    workers = min(threads, N)
    rows = rows_per_tile(oh * LEAST_TILES, ow * K * grad.itemsize)
    for worker in prange(workers):
        tile = np.empty((K, rows * ow), grad.dtype)
        planes = np.empty((C, H + 2 * ph, W + 2 * pw), grad.dtype)
        first, last = worker * N // workers, (worker + 1) * N // workers
        _scatter_images(grad, weight, dx, tile, planes, rows, first, last, sh, sw, ph, pw, dh, dw, small)
