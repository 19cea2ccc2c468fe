"""Convolution in float32 of few channels with few filters, such as the first of a small network: lanes are pixels.

The tiles of conv_tiles.py have filters in their lanes, and six filters leave most of a vector idle. Here the tile is
turned: its rows are filters, and its lanes are output pixels side by side, which in a channel's plane lie side by side
with every tap. An image's planes are made in a scratch that stays in the L1 cache, and so are the results, one output
row at a time, on their way back to (N, H, W, C) memory; or two rows, which are pooled before they leave it. LeNet's
first layer at batch 1000 takes 5.6 ms, 8.0 by conv_tiles.py.

Stride 1 and one group only. Every element of a result is one sum in a fixed order.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.conv_tile_gradients import exact_tiles
from minidl.kernels.cpu.conv_tiles import ALONE, WIDTH
from minidl.kernels.cpu.memory import address_of, zero_items
from minidl.kernels.cpu.microkernel import (
    A_ROW,
    A_STEP,
    ACCUMULATE,
    B_STEP,
    C_ROW,
    CLAMP,
    FIELDS,
    LAST_LANES,
    RUNS,
    STEPS,
    TABLE,
    call_tile,
)
from minidl.kernels.plain.fused import DEAD

__all__ = ["MOST_FILTERS", "convolve_lanes"]

Array = Any

# From here on filters fill a vector's lanes as well as pixels do.
MOST_FILTERS = 8

_ZEROS = np.zeros(WIDTH, np.float32)


@njit(**SERIAL)
def _fill_planes(x, n, planes, ph, pw):
    """Image n of x (N, H, W, C) -> planes (C, H + 2 ph, W + 2 pw), padded with zeros."""
    _, H, W, C = x.shape
    if ph or pw:
        zero_items(planes, 0, planes.size)
    for h in range(H):
        pixels = x[n, h]
        if C == 3:  # a known distance lets the compiler take the colours apart in registers: half the time
            red, green, blue = planes[0, h + ph], planes[1, h + ph], planes[2, h + ph]
            for w in range(W):
                red[w + pw], green[w + pw], blue[w + pw] = pixels[w, 0], pixels[w, 1], pixels[w, 2]
            continue
        for c in range(C):
            row = planes[c, h + ph]
            for w in range(W):
                row[w + pw] = pixels[w, c]


@njit(**SERIAL)
def _store_row(scratch, bias, relu, y, n, p):
    """scratch (O, ow) + bias (O,) -> row p of image n of y (N, oh, ow, O)."""
    O, ow = scratch.shape
    row = y[n, p].reshape(-1)  # (ow, O) -> (ow * O,)
    for o in range(O):
        line, start = scratch[o], bias[o]
        for q in range(ow):
            value = line[q] + start
            row[q * O + o] = np.float32(0) if relu and value < 0 else value


@njit(**SERIAL)
def _store_pooled(scratch, bias, pooled, where, y, positions, n, p):
    """Two rows, scratch (2, O, ow), pooled 2x2 with ReLU -> row p of image n of y and positions (N, oh, ow // 2, O).

    pooled and where (ow // 2,) are scratch. NaN wins, the first of equals stays: see pooling.py.
    """
    O = scratch.shape[1]
    out, marks = y[n, p].reshape(-1), positions[n, p].reshape(-1)  # (ow // 2, O) -> (ow // 2 * O,)
    for o in range(O):
        above, below, start = scratch[0, o], scratch[1, o], bias[o]
        for q in range(pooled.size):
            best, position = above[2 * q] + start, np.int32(0)
            for tap in range(1, 4):
                value = (above[2 * q + 1] if tap == 1 else below[2 * q + tap - 2]) + start
                wins = (value > best) | (value != value)
                best, position = value if wins else best, np.int32(tap) if wins else position
            pooled[q] = np.float32(0) if best < 0 else best
            where[q] = position if best > 0 else np.int32(DEAD)
        for q in range(pooled.size):
            out[q * O + o] = pooled[q]
            marks[q * O + o] = where[q]


@njit(**SERIAL)
def _row(planes, weight, scratch, jobs, zeros, p, full, last):
    """Output row p without bias: planes (C, Hp, Wp), weight (O, C, kh, kw) -> scratch (O, ow)."""
    O, C, kh, kw = weight.shape
    Wp, ow = planes.shape[2], scratch.shape[1]
    for lane in range(0, ow, WIDTH):
        z = 0 if lane + WIDTH < ow else 1
        short, long, height, longer = full if z == 0 else last
        tiles = O // height if longer == 0 else (O - longer) // height
        to = 0
        for t in range(tiles):
            call_tile(
                long if t < longer else short, address_of(jobs, z * FIELDS), address_of(weight, to * C * kh * kw),
                address_of(planes, p * Wp + lane), address_of(zeros, 0), address_of(scratch, to * ow + lane),
            )  # fmt: skip
            to += height + 1 if t < longer else height


@njit(**SERIAL)
def _fill_jobs(jobs, table, weight, planes, ow, dh, dw, last_lanes):
    """The jobs (2, FIELDS) of full and of last blocks of lanes; table (C * kh, 2): one run is a kernel row's taps."""
    _, C, kh, kw = weight.shape
    _, Hp, Wp = planes.shape
    for c in range(C):
        for i in range(kh):
            table[c * kh + i, 0] = 4 * (c * kh + i) * kw
            table[c * kh + i, 1] = 4 * (c * Hp + i * dh) * Wp
    for z in range(2):
        job = jobs[z]
        job[A_ROW] = 4 * C * kh * kw
        job[A_STEP] = 4
        job[B_STEP] = 4 * dw
        job[C_ROW] = 4 * ow
        job[RUNS] = C * kh
        job[STEPS] = kw
        job[TABLE] = address_of(table, 0)
        job[LAST_LANES] = last_lanes[z]
        job[ACCUMULATE] = 0
        job[CLAMP] = 0


@njit(**SERIAL)
def _images(
    x, weight, bias, y, positions, ow, pads, dilation, full, last, last_lanes, relu, zeros, table, first, stop
):  # fmt: skip
    """Images first to stop; positions has no elements where nothing is pooled; table (C * kh, 2) is scratch."""
    _, H, W, C = x.shape
    O = weight.shape[0]
    planes, scratch = np.empty((C, H + 2 * pads[0], W + 2 * pads[1]), x.dtype), np.empty((2, O, ow), x.dtype)
    pooled, where = np.empty(ow // 2, x.dtype), np.empty(ow // 2, np.int32)
    jobs = np.empty((2, FIELDS), np.int64)
    _fill_jobs(jobs, table, weight, planes, ow, dilation[0], dilation[1], last_lanes)
    for n in range(first, stop):
        _fill_planes(x, n, planes, pads[0], pads[1])
        for p in range(y.shape[1]):
            if positions.size:
                _row(planes, weight, scratch[0], jobs, zeros, 2 * p, full, last)
                _row(planes, weight, scratch[1], jobs, zeros, 2 * p + 1, full, last)
                _store_pooled(scratch, bias, pooled, where, y, positions, n, p)
            else:
                _row(planes, weight, scratch[0], jobs, zeros, p, full, last)
                _store_row(scratch[0], bias, relu, y, n, p)


@njit(**PARALLEL)
def _images_parallel(x, weight, bias, y, positions, ow, pads, dilation, full, last, last_lanes, relu, zeros, tables):
    N, workers = len(x), len(tables)
    for worker in prange(workers):
        first, stop = np.int64(worker) * N // workers, (np.int64(worker) + 1) * N // workers
        _images(
            x, weight, bias, y, positions, ow, pads, dilation, full, last, last_lanes, relu, zeros, tables[worker],
            first, stop,
        )  # fmt: skip


def convolve_lanes(x, weight, bias, y, positions, ow, padding, dilation, relu, threads):
    """y = x convolved + bias: x (N, H, W, C), weight (O, C, kh, kw), bias (O,) -> y (N, oh, ow, O), float32.

    With `relu` negative results become zero. Where `positions` has elements results are pooled as well, 2x2 and with
    ReLU, as in max_pool2d_relu_forward: y and positions (N, oh // 2, ow // 2, O).
    """
    O, C, kh, kw = weight.shape
    tables = np.empty((min(threads, len(x)), C * kh, 2), np.int64)
    fixed = x, weight, bias, y, positions, ow, padding, dilation, *exact_tiles(O, ow), relu, _ZEROS
    if y.size * (4 if positions.size else 1) * C * kh * kw <= ALONE:
        _images(*fixed, tables[0], 0, len(x))
    else:
        _images_parallel(*fixed, tables)
