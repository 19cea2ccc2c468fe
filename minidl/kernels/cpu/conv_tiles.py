"""Convolution in float32 by register tiles that read the im2col matrix without storing it.

In (N, H, W, C) memory the kw*C numbers of a window's row lie side by side, and the window of the next output pixel
begins stride*C numbers later. That is all a tile (microkernel.py) has to know: one row of the tile is one output pixel,
one run is one row of the window, the lanes are filters. Padding is made of real zeros, in a copy of a few input rows
that stays in the L2 cache. With dilation or groups a run is a single tap, Cg numbers long.

The filters' gradient is the same product with the roles changed: a row of the tile is a tap and channel, a run is an
output row, whose pixels are the steps.

Axes as in kernels/plain/conv.py; Cg = C/G and Og = O/G are a group's channels and filters, K = kh*kw*Cg a window's
size. Every element of a result is one sum in a fixed order, so the bits do not depend on how work is shared.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.memory import address_of, copy_items, zero_items
from minidl.kernels.cpu.microkernel import (
    A_ROW,
    A_STEP,
    ACCUMULATE,
    B_STEP,
    C_ROW,
    CLAMP,
    FIELDS,
    LANES,
    LAST_LANES,
    MOST_ROWS,
    RUNS,
    STEPS,
    TABLE,
    call_tile,
    tile_address,
)

__all__ = ["ALONE", "ONE_RUN", "WIDTH", "convolve_tiles", "pack_blocks", "pad_rows"]

Array = Any

# Input rows that a thread works on at a time: with the filters of a block they stay in the L2 cache.
BAND_BYTES = 192 * 1024
# At least so many pieces of work where there are rows enough, so that a batch of one occupies every core.
LEAST_TASKS = 16
# So few multiplications one thread does before another is awake.
ALONE = 250_000
# Filters in a block: the lanes of a tile's two vectors.
WIDTH = 2 * LANES

_ONE_RUN = np.zeros((1, 2), np.int64)
ONE_RUN: int = _ONE_RUN.ctypes.data  # address of the table of a single run that starts where A and B do


class Tiles(NamedTuple):
    """Tiles for all lanes (filters): full blocks of WIDTH lanes, then one block of what is left over."""

    full: int  # address of the tile of a full block
    full_rows: int
    last: int  # the same for the last block
    last_rows: int
    last_lanes: int  # lanes in use of the last block's last vector
    full_lanes: int  # and of a full block's


def _rows(count: int, most: int, vectors: int) -> int:
    """Rows of a tile that cover `count` rows in the fewest cycles; the last tile may overlap the one before it."""
    # A tile step takes a cycle for each product, at least as many as hide a product's latency, and some to begin.
    return min(range(1, min(count, most) + 1), key=lambda m: (-(-count // m) * (max(m * vectors, 4) + 1), -m))


@functools.lru_cache(maxsize=1024)
def tiles_across(lanes: int, rows: int) -> Tiles:
    """The tiles for `rows` results of `lanes` filters each."""
    full_rows = _rows(rows, MOST_ROWS[2], 2)
    rest = lanes % WIDTH or min(lanes, WIDTH)
    wide = 8 if rest <= 8 else LANES  # half a vector costs half as much where a core has two units for such
    vectors = -(-rest // wide)
    last_rows = _rows(rows, MOST_ROWS[vectors], vectors)
    return Tiles(
        tile_address(LANES, full_rows, 2) if lanes > WIDTH else 0,
        full_rows,
        tile_address(wide, last_rows, vectors),
        last_rows,
        rest - (vectors - 1) * wide,
        LANES,
    )


@njit(**SERIAL)
def pack_blocks(weight, packed, groups, flipped):
    """Filters (O, Cg, kh, kw) -> packed: for each group and block of WIDTH lanes (kh*kw*Cg, lanes), lanes = filters.

    With `flipped` 1 for the transposed convolution: (kh*kw*Og, lanes), kernel axes reversed, lanes = channels.
    """
    O, Cg, kh, kw = weight.shape
    Og = O // groups
    to = 0
    for g in range(groups):
        lanes, depth = (Cg, Og) if flipped else (Og, Cg)
        for first in range(0, lanes, WIDTH):
            width = min(WIDTH, lanes - first)
            for k in range(kh * kw):
                i, j = k // kw, k % kw
                if flipped:
                    i, j = kh - 1 - i, kw - 1 - j
                for d in range(depth):
                    row = packed[to : to + width]
                    if flipped:
                        for lane in range(width):
                            row[lane] = weight[g * Og + d, first + lane, i, j]
                    else:
                        for lane in range(width):
                            row[lane] = weight[g * Og + first + lane, d, i, j]
                    to += width


@njit(**SERIAL)
def pad_rows(x, n, first, count, ph, pw, width, scratch, to):
    """Rows first to first+count of image n padded by (ph, pw), `width` pixels of each: x (N, H, W, C) -> scratch.

    Padding may be negative: a crop.
    """
    _, H, W, C = x.shape
    left = min(max(pw, 0), width)
    right = max(0, width - pw - W)
    for h in range(first - ph, first - ph + count):
        if h < 0 or h >= H or left + right >= width:
            zero_items(scratch, to, width * C)
        else:
            zero_items(scratch, to, left * C)
            copy_items(scratch, to + left * C, x, ((n * H + h) * W + left - pw) * C, (width - left - right) * C)
            zero_items(scratch, to + (width - right) * C, right * C)
        to += width * C


@njit(**SERIAL)
def _convolve_band(x, packed, start, y, scratch, jobs, table, padded, n, images, p, rows, sizes, tiles, pitch, groups):
    """Output rows p to p+rows of `images` images from image n on; jobs and table as _fill_jobs prepared them."""
    kh, kw, sh, sw, ph, pw, dh = sizes
    full, full_rows, last, last_rows = tiles
    _, H, W, C = x.shape
    _, oh, ow, O = y.shape
    Og = O // groups
    Cg = C // groups
    K = kh * kw * Cg
    high = (rows - 1) * sh + dh * (kh - 1) + 1  # input rows of one image
    if padded:
        for m in range(images):
            pad_rows(x, n + m, p * sh, high, ph, pw, pitch // C, scratch, m * high * pitch)
        base, image_pitch = address_of(scratch, 0), 4 * high * pitch
    else:
        base, image_pitch = address_of(x, (n * H + p * sh) * W * C), 4 * H * W * C
    runs_of_row = table.shape[1] // kh
    for first in range(0, O, Og):
        for lane in range(first, first + Og, WIDTH):
            z = 0 if lane + WIDTH < first + Og else 1
            tile, count = (full, full_rows) if z == 0 else (last, last_rows)
            job, b, bias = address_of(jobs, z * FIELDS), address_of(packed, lane * K), address_of(start, lane)
            for r in range(rows):
                # Rows of the window that lie in the padding are left out, but for one where all of them do.
                h = (p + r) * sh - ph
                top = min(max(0, -(h // dh)), kh - 1)
                bottom = max(top + 1, min(kh, (H - 1 - h) // dh + 1))
                jobs[z, TABLE] = address_of(table, (z * kh + top) * runs_of_row * 2)
                jobs[z, RUNS] = (bottom - top) * runs_of_row
                for m in range(images):
                    a = base + m * image_pitch + 4 * (r * sh * pitch + first // Og * Cg)
                    c = address_of(y, (((n + m) * oh + p + r) * ow) * O + lane)
                    for t in range(0, ow, count):
                        q = min(t, ow - count)
                        call_tile(tile, job, a + 4 * q * sw * C, b, bias, c + 4 * q * O)


@njit(**SERIAL)
def _fill_jobs(jobs, table, sizes, lanes, width, groups, C, O, pitch, sw, dw, clamp):
    """The jobs of full and of last blocks, but for RUNS and TABLE: jobs (2, FIELDS), table (2, runs, 2)."""
    kh, kw, _, _, _, _, dh = sizes
    taps = table.shape[1] // kh  # runs of a window's row
    Cg = C // groups
    for z in range(2):
        for run in range(kh * taps):
            i, j = run // taps, run % taps
            table[z, run, 0] = 4 * (i * dh * pitch + j * dw * C)
            table[z, run, 1] = 4 * (i * kw + j) * Cg * width[z]
        job = jobs[z]
        job[A_ROW] = 4 * sw * C
        job[A_STEP] = 4
        job[B_STEP] = 4 * width[z]
        job[C_ROW] = 4 * O
        job[STEPS] = kw // taps * Cg
        job[LAST_LANES] = lanes[z]
        job[ACCUMULATE] = 0
        job[CLAMP] = clamp


@njit(**SERIAL)
def _convolve_part(x, packed, start, y, table, sizes, tiles, lanes, dw, groups, clamp, band, worker, workers):
    """The share of one worker in convolve_tiles; table (2, runs, 2) is scratch."""
    kh, kw, sh, sw, ph, pw, dh = sizes
    N, oh, ow, O = y.shape
    C = x.shape[3]
    padded = ph != 0 or pw != 0
    pitch = ((ow - 1) * sw + dw * (kw - 1) + 1) * C if padded else x.shape[2] * C
    jobs = np.empty((2, FIELDS), np.int64)
    rest = (O // groups - 1) % WIDTH + 1
    _fill_jobs(jobs, table, sizes, lanes, (WIDTH, rest), groups, C, O, pitch, sw, dw, clamp)
    # A band is some rows of one image, or some whole images.
    rows = max(1, min(band // (4 * sh * pitch), -(-N * oh // LEAST_TASKS)))
    images = max(1, rows // oh)
    parts = -(-oh // rows)
    rows = -(-oh // parts)
    bands = -(-N // images) * parts
    room = images * ((rows - 1) * sh + dh * (kh - 1) + 1) * pitch if padded else 0
    scratch = np.empty(room, x.dtype)
    for task in range(worker * bands // workers, (worker + 1) * bands // workers):
        n, p = task // parts * images, task % parts * rows
        if p < oh:
            _convolve_band(
                x, packed, start, y, scratch, jobs, table, padded, n, min(images, N - n), p, min(rows, oh - p),
                sizes, tiles, pitch, groups,
            )  # fmt: skip


@njit(**PARALLEL)
def _convolve(x, packed, start, y, tables, sizes, tiles, lanes, dw, groups, clamp, band):
    workers = tables.shape[0]
    # The index is unsigned in one of two passes of Numba's: a signed one saves compiling everything twice.
    for worker in prange(workers):  # little stands here: what a parallel function contains compiles slowly
        _convolve_part(
            x, packed, start, y, tables[worker], sizes, tiles, lanes, dw, groups, clamp, band, np.int64(worker), workers
        )


def convolve_tiles(x, packed, start, y, kh, kw, stride, padding, dilation, groups, clamp, threads):
    """y = x convolved + start: x (N, H, W, C), packed (pack_blocks), start (O,) -> y (N, oh, ow, O), float32.

    With `clamp` negative results become zero (ReLU). Padding may be negative, so the same kernel is the input gradient
    of a convolution with stride 1.
    """
    N, O = y.shape[0], y.shape[3]
    if kh == kw == 1 and stride == (1, 1) and padding == (0, 0):
        # every pixel for itself: an image is a single long row
        x, y = x.reshape(N, 1, -1, x.shape[3]), y.reshape(N, 1, -1, O)  # (N, H, W, C) -> (N, 1, H*W, C)
    tiles = tiles_across(O // groups, y.shape[2])
    runs = kh if dilation[1] == 1 and groups == 1 else kh * kw
    sizes = kh, kw, *stride, *padding, dilation[0]
    lanes, rest = (tiles.full_lanes, tiles.last_lanes), (dilation[1], groups, int(clamp), BAND_BYTES)
    tables = np.empty((threads, 2, runs, 2), np.int64)
    if y.size * (packed.size // O) <= ALONE:
        _convolve_part(x, packed, start, y, tables[0], sizes, tiles[:4], lanes, *rest, 0, 1)
    else:
        _convolve(x, packed, start, y, tables, sizes, tiles[:4], lanes, *rest)
