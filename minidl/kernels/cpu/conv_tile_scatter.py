"""Gradient in float32, by register tiles, of inputs with few channels.

It scatters: every output pixel adds a window of products to the padded image. A tile does that for one kernel row and
column of output pixels at a time, whose windows do not overlap; its lanes are (j, c), so that few channels fill them
too, and nothing is multiplied by the zeros of a padded gradient. Padding, dilation and groups as in conv_tiles.py.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import numpy as np
from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.conv_tile_gradients import ZEROS, exact_tiles
from minidl.kernels.cpu.conv_tiles import ALONE, ONE_RUN, WIDTH
from minidl.kernels.cpu.memory import address_of, copy_items, zero_items
from minidl.kernels.cpu.microkernel import (
    A_ROW,
    A_STEP,
    ACCUMULATE,
    B_STEP,
    C_ROW,
    FIELDS,
    LAST_LANES,
    RUNS,
    STEPS,
    TABLE,
    call_tile,
)

__all__ = ["scatter_tiles"]


@njit(**SERIAL)
def _scatter_image(grad, packed, dx, image, jobs, zeros, n, length, sizes, dw, full, last, groups):
    """Input gradient of image n; image (rows, columns, C) and jobs (2, FIELDS) are scratch."""
    kh, kw, sh, sw, ph, pw, dh = sizes
    _, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    high, wide, _ = image.shape
    Og, Cg = O // groups, C // groups
    taps = kw * Cg // length  # stretches of a kernel row
    zero_items(image, 0, image.size)
    start = address_of(zeros, 0)
    for g in range(groups):
        for lane in range(0, length, WIDTH):
            z = 0 if lane + WIDTH < length else 1
            short, long, height, longer = full if z == 0 else last
            tiles = (oh - longer) // height
            job = address_of(jobs, z * FIELDS)
            # Neighbours in q add to overlapping places; kernel rows come in between, while those are being written.
            for q in range(ow):
                for s in range(kh * taps):
                    i, j = s // taps, s % taps
                    b = address_of(packed, (g * kh * taps + s) * Og * length + lane)
                    p = 0
                    for t in range(tiles):
                        tile = long if t < longer else short
                        a = address_of(grad, ((n * oh + p) * ow + q) * O + g * Og)
                        c = address_of(image, ((p * sh + i * dh) * wide + q * sw + j * dw) * C + g * Cg + lane)
                        call_tile(tile, job, a, b, start, c)
                        p += height + 1 if t < longer else height
    columns = min(W, wide - pw)  # further columns, like further rows, are reached by no window
    for h in range(H):
        line = (n * H + h) * W * C
        filled = max(columns, 0) if h + ph < high else 0
        copy_items(dx, line, image, ((h + ph) * wide + pw) * C, filled * C)
        zero_items(dx, line + filled * C, (W - filled) * C)


@njit(**SERIAL)
def _scatter_images(grad, packed, dx, table, length, sizes, dw, full, last, lanes, groups, zeros, first, stop):
    """Input gradient of images first to stop."""
    kh, kw, sh, sw, _, _, dh = sizes
    _, oh, ow, O = grad.shape
    C = dx.shape[3]
    high, wide = (oh - 1) * sh + dh * (kh - 1) + 1, (ow - 1) * sw + dw * (kw - 1) + 1
    image, jobs = np.empty((high, wide, C), grad.dtype), np.zeros((2, FIELDS), np.int64)
    for z in range(2):
        job = jobs[z]
        job[A_ROW] = 4 * ow * O
        job[A_STEP] = 4
        job[B_STEP] = 4 * length
        job[C_ROW] = 4 * sh * wide * C
        job[RUNS] = 1
        job[STEPS] = O // groups
        job[TABLE] = table
        job[LAST_LANES] = lanes[z]
        job[ACCUMULATE] = 1
    for n in range(first, stop):
        _scatter_image(grad, packed, dx, image, jobs, zeros, n, length, sizes, dw, full, last, groups)


@njit(**PARALLEL)
def _scatter(grad, packed, dx, table, length, sizes, dw, full, last, lanes, groups, zeros, threads):
    N = grad.shape[0]
    workers = min(threads, N)
    for worker in prange(workers):
        first, stop = worker * N // workers, (worker + 1) * N // workers
        _scatter_images(grad, packed, dx, table, length, sizes, dw, full, last, lanes, groups, zeros, first, stop)


def scatter_tiles(grad, weight, dx, stride, padding, dilation, groups, threads):
    """Input gradient: grad (N, oh, ow, O), weight (O, Cg, kh, kw) -> dx (N, H, W, C), float32."""
    O, Cg, kh, kw = weight.shape
    length = kw * Cg if dilation[1] == 1 and groups == 1 else Cg
    full, last, last_lanes = exact_tiles(grad.shape[1], length)
    # (O, Cg, kh, kw) -> (G, kh, stretches, Og, length): one stretch of kw*Cg, or kw stretches of Cg
    packed = weight.reshape(groups, O // groups, Cg, kh, kw)
    packed = packed.transpose(0, 3, 1, 4, 2) if length == kw * Cg else packed.transpose(0, 3, 4, 1, 2)
    packed = np.ascontiguousarray(packed).reshape(-1)
    sizes = kh, kw, *stride, *padding, dilation[0]
    fixed = ONE_RUN, length, sizes, dilation[1], full, last, last_lanes, groups, ZEROS
    if grad.size * (packed.size // O) <= ALONE:
        _scatter_images(grad, packed, dx, *fixed, 0, grad.shape[0])
    else:
        _scatter(grad, packed, dx, *fixed, threads)
