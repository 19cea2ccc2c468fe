"""Gradient of the filters in float32 by register tiles, without im2col: a sum over output pixels.

The tile of conv_tiles.py with its roles changed. For one kernel row i the kw*C numbers of a window's row are the rows
of the tile, the filters its lanes, an output row of one image is one run and its pixels are the steps:

    dweight[i, (j, c), o] = sum over images n, rows p, pixels q of x[n, p*sh + i*dh, (q*sw + j, c)] * grad[n, p, q, o]

Where the filters would leave most lanes idle (the six of LeNet's first layer), both change places: filters are rows,
(j, c) are lanes; the code calls that `turned`. Padding, bands, dilation and groups as in conv_tiles.py; a stretch is
what there is a run: kw*C numbers, or one tap's Cg.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.conv_tiles import WIDTH, pad_rows
from minidl.kernels.cpu.memory import address_of
from minidl.kernels.cpu.microkernel import (
    A_ROW,
    A_STEP,
    ACCUMULATE,
    B_STEP,
    C_ROW,
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

__all__ = ["exact_tiles", "weight_gradient_tiles"]

Array = Any

# Output pixels that a tile sums up before it goes on to the next tap: they stay in the L2 cache for all taps.
BAND_PIXELS = 512
# Channels whose partial sums are added up and reordered at a time.
SUM_CHANNELS = 8
# So many partial sums are added up by one thread in the time that waking another takes (and that is compiled sooner).
SUM_ALONE = 65536

ZEROS = np.zeros(WIDTH, np.float32)


@functools.lru_cache(maxsize=1024)
def _split_rows(count: int, lanes: int, vectors: int) -> tuple[int, int, int, int]:
    """Tiles that cover `count` rows exactly: (address, rows) of the first ones and of the others, one row longer.

    Returned as (address, address of the longer, rows of the shorter, number of longer ones).
    """
    most = MOST_ROWS[vectors]
    tiles = -(-count // most)
    for rows in range(most, 2 * most // 3, -1):  # equal tiles, if not many more of them: one size fewer to compile
        if count % rows == 0 and count // rows <= tiles + tiles // 6:
            tiles = count // rows
            break
    rows, longer = count // tiles, count % tiles
    address = tile_address(lanes, rows, vectors)
    return address, tile_address(lanes, rows + 1, vectors) if longer else address, rows, longer


def _last_block(lanes: int) -> tuple[int, int, int]:
    """Vector length, number of vectors, and lanes in use of the last vector, for the last block of `lanes` lanes."""
    rest = (lanes - 1) % WIDTH + 1
    wide = 8 if rest <= 8 else LANES
    vectors = -(-rest // wide)
    return wide, vectors, rest - (vectors - 1) * wide


@functools.lru_cache(maxsize=1024)
def exact_tiles(rows: int, lanes: int) -> tuple[Any, Any, tuple[int, int]]:
    """Tiles that cover `rows` x `lanes` results exactly.

    Returns _split_rows for full blocks of WIDTH lanes, and for the last block; and the lanes of their last vectors.
    """
    wide, vectors, last_lanes = _last_block(lanes)
    last = _split_rows(rows, wide, vectors)
    full = _split_rows(rows, LANES, 2) if lanes > WIDTH else last
    return full, last, (LANES, last_lanes)


def _idle(lanes: int) -> float:
    """Cycles of one tile row over all lanes, per lane."""
    wide, vectors, _ = _last_block(lanes)
    return ((lanes - 1) // WIDTH * 2 + vectors * (0.8 if wide < LANES else 1)) / lanes


@functools.lru_cache(maxsize=1024)
def _plan(stretch: int, filters: int) -> tuple[bool, tuple[int, ...], tuple[int, ...], tuple[int, int]]:
    """Whether to turn the tile; its sizes for full and last blocks of lanes; lanes of their last vectors."""
    turned = _idle(stretch) * 1.15 < _idle(filters)
    rows, lanes = (filters, stretch) if turned else (stretch, filters)
    return turned, *exact_tiles(rows, lanes)


@njit(**SERIAL)
def _fill_band(x, grad, scratch, table, runs, padded, row, count, sizes, pitch):
    """Gather output rows row to row+count: pad their input rows in scratch, and list the runs of every kernel row.

    table (kh, most rows, 2) gets the places, in bytes from the start of scratch (of x where not `padded`) and of grad;
    runs (kh,) their number. Rows of padding are left out.
    """
    kh, _, sh, _, ph, pw, dh = sizes
    _, H, W, C = x.shape
    _, oh, ow, O = grad.shape
    runs[:] = 0
    to = 0
    done = 0
    while done < count:
        n, p = divmod(row + done, oh)
        here = min(count - done, oh - p)
        if padded:
            high = (here - 1) * sh + dh * (kh - 1) + 1
            pad_rows(x, n, p * sh, high, ph, pw, pitch // C, scratch, to)
            start = to
            to += high * pitch
        else:
            start = (n * H + p * sh) * W * C
        for i in range(kh):
            for r in range(here):
                h = (p + r) * sh - ph + i * dh
                last_chance = done + r == count - 1 and runs[i] == 0  # a tile needs at least one run, even of zeros
                if (h >= 0 and h < H) or last_chance:
                    table[i, runs[i], 0] = 4 * (start + (r * sh + i * dh) * pitch)
                    table[i, runs[i], 1] = 4 * (row + done + r) * ow * O
                    runs[i] += 1
        done += here


@njit(**SERIAL)
def _sum_band(
    x, grad, scratch, table, runs, jobs, zeros, partials, chunk, padded,
    stretches, sizes, full, last, groups, dw,
):  # fmt: skip
    """Add a band to the partial sum of a chunk, for stretches first to stop of every group and all lanes.

    Partial sums lie in memory as (chunks, G, K, Og), or where `turned` as (chunks, O, K), K = (kh, kw, Cg).
    """
    first, stop, length, turned = stretches
    kh, kw, _, _, _, _, _ = sizes
    C, O = x.shape[3], grad.shape[3]
    Cg, Og = C // groups, O // groups
    K = kh * kw * Cg
    taps = kh * kw * Cg // length // kh  # stretches of a kernel row
    rows, lanes = (Og, length) if turned else (length, Og)
    image = address_of(scratch, 0) if padded else address_of(x, 0)
    start = address_of(zeros, 0)
    for g in range(groups):
        for lane in range(0, lanes, WIDTH):
            z = 0 if lane + WIDTH < lanes else 1
            short, long, height, longer = full if z == 0 else last
            tiles = rows // height if longer == 0 else (rows - longer) // height
            job = address_of(jobs, z * FIELDS)
            b = address_of(grad, g * Og) if turned else address_of(grad, g * Og + lane)
            for s in range(first, stop):
                i, j = s // taps, s % taps
                jobs[z, TABLE] = address_of(table, i * table.shape[1] * 2)
                jobs[z, RUNS] = runs[i]
                a = image + 4 * (j * dw * C + g * Cg)
                to = 0
                for t in range(tiles):
                    size = height + 1 if t < longer else height
                    tile = long if t < longer else short
                    if turned:
                        c = address_of(partials, (chunk * O + g * Og + to) * K + s * length + lane)
                        call_tile(tile, job, b + 4 * to, a + 4 * lane, start, c)
                    else:
                        c = address_of(partials, (chunk * groups * K + g * K + s * length + to) * Og + lane)
                        call_tile(tile, job, a + 4 * to, b, start, c)
                    to += size


@njit(**SERIAL)
def _sum_task(
    task, grad, x, partials, chunks, split, length, sizes, full, last, lanes, dw, groups, turned, most, zeros
):  # fmt: skip
    """One of the chunks * split pieces of work: some stretches of one chunk of output rows."""
    kh, kw, sh, sw, ph, pw, dh = sizes
    N, oh, ow, O = grad.shape
    C = x.shape[3]
    K = kh * kw * (C // groups)
    padded = ph != 0 or pw != 0
    pitch = ((ow - 1) * sw + dw * (kw - 1) + 1) * C if padded else x.shape[2] * C
    stretches = K // length
    chunk, part = task // split, task % split
    start, stop = chunk * N * oh // chunks, (chunk + 1) * N * oh // chunks
    rows = max(1, min(most // ow, stop - start))
    pieces = rows // oh + 2  # of so many images there may be rows in a band
    room = (rows * sh + pieces * (dh * (kh - 1) + 1)) * pitch if padded else 0
    scratch = np.empty(room, x.dtype)
    table, runs = np.empty((kh, rows, 2), np.int64), np.empty(kh, np.int64)
    jobs = np.zeros((2, FIELDS), np.int64)
    for z in range(2):
        job = jobs[z]
        job[A_ROW] = 4
        job[A_STEP] = 4 * O if turned else 4 * sw * C
        job[B_STEP] = 4 * sw * C if turned else 4 * O
        job[C_ROW] = 4 * K if turned else 4 * (O // groups)
        job[STEPS] = ow
        job[LAST_LANES] = lanes[z]
    for row in range(start, stop, rows):
        jobs[:, ACCUMULATE] = row > start
        count = min(rows, stop - row)
        _fill_band(x, grad, scratch, table, runs, padded, row, count, sizes, pitch)
        if turned:
            for i in range(kh):
                for r in range(runs[i]):
                    table[i, r, 0], table[i, r, 1] = table[i, r, 1], table[i, r, 0]
        _sum_band(
            x, grad, scratch, table, runs, jobs, zeros, partials, chunk, padded,
            (part * stretches // split, (part + 1) * stretches // split, length, turned),
            sizes, full, last, groups, dw,
        )  # fmt: skip


@njit(**PARALLEL)
def _weight_gradient(
    grad, x, partials, chunks, split, length, sizes, full, last, lanes, dw, groups, turned, most, zeros
):  # fmt: skip
    """Partial sums of weight_gradient_tiles; every chunk of output rows has its own."""
    for task in prange(chunks * split):  # little stands here: what a parallel function contains compiles slowly
        # The index is unsigned in one of two passes of Numba's: a signed one saves compiling everything twice.
        _sum_task(
            np.int64(task),
            grad,
            x,
            partials,
            chunks,
            split,
            length,
            sizes,
            full,
            last,
            lanes,
            dw,
            groups,
            turned,
            most,
            zeros,
        )


@njit(**SERIAL)
def _add_chunks(partials, chunks, size, first, count):
    """partials (chunks * size,): add the other chunks to the first one, in order, at positions first to first+count."""
    total = partials[first : first + count]
    for chunk in range(1, chunks):
        part = partials[chunk * size + first : chunk * size + first + count]
        for w in range(count):
            total[w] += part[w]


@njit(**SERIAL)
def _sum_channels(partials, dweight, group, groups, turned, chunks, first, last):
    """Channels first to last of one group: partials, as _sum_band leaves them, -> dweight (O, Cg, kh, kw)."""
    O, Cg, kh, kw = dweight.shape
    K, Og, taps = Cg * kh * kw, O // groups, kh * kw
    filters = dweight.reshape(O, K)  # (O, Cg, kh, kw) -> (O, K)
    if turned:
        for o in range(group * Og, (group + 1) * Og):
            for tap in range(taps):
                place = o * K + tap * Cg
                _add_chunks(partials, chunks, O * K, place + first, last - first)
                for c in range(first, last):
                    filters[o, c * taps + tap] = partials[place + c]
        return
    for tap in range(taps):
        _add_chunks(partials, chunks, O * K, (group * K + tap * Cg + first) * Og, (last - first) * Og)
    # A few filters at a time: writing goes on in as many cache lines, each to its end.
    for start in range(0, Og, 16):
        for c in range(first, last):
            for tap in range(taps):
                place = (group * K + tap * Cg + c) * Og
                for o in range(start, min(start + 16, Og)):
                    filters[group * Og + o, c * taps + tap] = partials[place + o]


@njit(**SERIAL)
def _sum_pieces(partials, dweight, groups, turned, chunks, first, last):
    """Pieces first to last of the sum over chunks: SUM_CHANNELS channels of a group each."""
    Cg = dweight.shape[1]
    pieces = -(-Cg // SUM_CHANNELS)
    for piece in range(first, last):
        channel = piece % pieces * SUM_CHANNELS
        stop = min(channel + SUM_CHANNELS, Cg)
        _sum_channels(partials, dweight, piece // pieces, groups, turned, chunks, channel, stop)


@njit(**PARALLEL)
def _sum_pieces_parallel(partials, dweight, groups, turned, chunks, pieces, threads):
    workers = min(threads, pieces)
    for worker in prange(workers):
        first, last = worker * pieces // workers, (worker + 1) * pieces // workers
        _sum_pieces(partials, dweight, groups, turned, chunks, first, last)


def weight_gradient_tiles(grad, x, dweight, chunks, split, stride, padding, dilation, groups, threads):
    """Gradient by the filters: grad (N, oh, ow, O), x (N, H, W, C) -> dweight (O, Cg, kh, kw), float32.

    The output rows are summed up in `chunks` parts, which are then added in order; `split` (1 or kh) shares the kernel
    rows of a chunk among threads as well.
    """
    O, Cg, kh, kw = dweight.shape
    length = kw * Cg if dilation[1] == 1 and groups == 1 else Cg
    turned, full, last, lanes = _plan(length, O // groups)
    partials = np.empty(chunks * dweight.size, dweight.dtype)
    _weight_gradient(
        grad, x, partials, chunks, split, length, (kh, kw, *stride, *padding, dilation[0]), full, last, lanes,
        dilation[1], groups, int(turned), BAND_PIXELS, ZEROS,
    )  # fmt: skip
    pieces = groups * -(-Cg // SUM_CHANNELS)
    if partials.size <= SUM_ALONE or pieces == 1:
        _sum_pieces(partials, dweight, groups, int(turned), chunks, 0, pieces)
    else:
        _sum_pieces_parallel(partials, dweight, groups, int(turned), chunks, pieces, threads)
