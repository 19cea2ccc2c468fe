"""Gradient of 3x3 filters in float32 by Winograd's F(2x2, 3x3), as conv_winograd.py explains it.

Bands of tile rows of the input and of the gradient become 16 planes each; the products of two planes are summed over
all tiles, and G^T p G makes filters of what has come together. The sum over tile rows is split into chunks.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import numpy as np
from numba import prange

from minidl.kernels.cpu import winograd_transforms as transforms
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.conv_tile_gradients import exact_tiles
from minidl.kernels.cpu.conv_tiles import ONE_RUN, WIDTH
from minidl.kernels.cpu.conv_winograd import (
    aligned,
    fill_transform,
    gradient_rows,
    plane_pitch,
    rows_of_band,
    window_rows,
)
from minidl.kernels.cpu.memory import address_of
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
from minidl.kernels.cpu.winograd_transforms import transform_address

__all__ = ["winograd_weight_gradient"]

# Bands are larger here than forward: each of them reads and writes all sums (16, C, O) once. Planes that come from the
# L3 cache cost less than that: 6 % faster with 64 channels and filters, 30 % with 256.
BAND_BYTES = 3 * 1024 * 1024

_FIELDS = transforms.FIELDS


@njit(**SERIAL)
def _weight_band(
    grad, x, partials, chunk, first, count, rows, full, last, pads, padded, windows, gradients,
    scratch, other, planes, others, jobs, job, other_job,
):  # fmt: skip
    """Tile rows first to first+count of one chunk; the arrays of the last line are scratch."""
    _, oh, ow, O = grad.shape
    C = x.shape[3]
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    plane, other_plane = plane_pitch(rows * tw, C), plane_pitch(rows * tw, O)
    zeros = address_of(jobs, 2 * FIELDS)  # the third row of jobs is of zeros
    window_rows(x, scratch, planes, plane, job, first, count, th, tw, *pads, padded, windows)
    gradient_rows(grad, other, others, other_plane, other_job, first, count, th, tw, other.size > 0, gradients)
    for p in range(16):
        for lane in range(0, O, WIDTH):
            z = 0 if lane + WIDTH < O else 1
            short, long, height, longer = full if z == 0 else last
            tiles = C // height if longer == 0 else (C - longer) // height
            to = 0
            for t in range(tiles):
                call_tile(
                    long if t < longer else short, address_of(jobs, z * FIELDS),
                    address_of(planes, p * plane + to), address_of(others, p * other_plane + lane), zeros,
                    address_of(partials, ((chunk * 16 + p) * C + to) * O + lane),
                )  # fmt: skip
                to += height + 1 if t < longer else height


@njit(**SERIAL)
def _weight_chunk(
    grad, x, partials, chunk, chunks, rows, full, last, last_lanes, pads, table, windows, gradients
):  # fmt: skip
    """partials (chunks, 16, C, O): the sum over one chunk of tile rows, in every plane."""
    N, oh, ow, O = grad.shape
    W, C = x.shape[2:]
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    odd = oh % 2 + ow % 2 > 0
    padded = odd or pads[0] != 0 or pads[1] != 0
    begin, stop = chunk * N * th // chunks, (chunk + 1) * N * th // chunks
    plane, other_plane = plane_pitch(rows * tw, C), plane_pitch(rows * tw, O)
    planes, others = aligned(16 * plane), aligned(16 * other_plane)
    wide = 2 * tw + 2 if padded else W
    scratch, other = aligned(4 * wide * C if padded else 0), aligned(4 * tw * O if odd else 0)
    jobs, job, other_job = (
        np.zeros((5, FIELDS), np.int64),
        np.empty(_FIELDS, np.int64),
        np.empty(_FIELDS, np.int64),
    )
    fill_transform(job, C, wide * C, plane, C, tw, 0)
    fill_transform(other_job, O, (2 * tw if odd else ow) * O, other_plane, O, tw, 0)
    for z in range(2):
        jobs[z, A_ROW] = 4
        jobs[z, A_STEP] = 4 * C
        jobs[z, B_STEP] = 4 * O
        jobs[z, C_ROW] = 4 * O
        jobs[z, RUNS] = 1
        jobs[z, TABLE] = table
        jobs[z, LAST_LANES] = last_lanes[z]
    for first in range(begin, stop, rows):
        count = min(rows, stop - first)
        jobs[:2, STEPS] = count * tw
        jobs[:2, ACCUMULATE] = first > begin
        _weight_band(
            grad, x, partials, chunk, first, count, rows, full, last, pads, padded, windows, gradients,
            scratch, other, planes, others, jobs, job, other_job,
        )  # fmt: skip


@njit(**PARALLEL)
def _weight_chunks(grad, x, partials, chunks, rows, full, last, last_lanes, pads, table, windows, gradients):
    for chunk in prange(chunks):
        _weight_chunk(
            grad, x, partials, np.int64(chunk), chunks, rows, full, last, last_lanes, pads, table, windows, gradients
        )


@njit(**SERIAL)
def _finish_channel(partials, c, dweight, sums):
    """Channel c: the sum of partials (chunks, 16, C, O), in order, then G^T p G into dweight (O, C, 3, 3)."""
    chunks, _, _, O = partials.shape
    half = np.float32(0.5)
    for p in range(16):
        total = sums[p]
        total[:] = partials[0, p, c]
        for chunk in range(1, chunks):
            part = partials[chunk, p, c]
            for o in range(O):
                total[o] += part[o]
    for j in range(4):
        for o in range(O):
            first, second = half * sums[4 + j, o], half * sums[8 + j, o]
            sums[j, o] += first + second
            sums[4 + j, o] = first - second
            sums[12 + j, o] += first + second
    for i in range(3):
        row = 12 if i == 2 else 4 * i
        for o in range(O):
            first, second = half * sums[row + 1, o], half * sums[row + 2, o]
            dweight[o, c, i, 0] = sums[row, o] + (first + second)
            dweight[o, c, i, 1] = first - second
            dweight[o, c, i, 2] = sums[row + 3, o] + (first + second)


@njit(**PARALLEL)
def _finish(partials, dweight):
    C, O = partials.shape[2:]
    for c in prange(C):
        _finish_channel(partials, np.int64(c), dweight, np.empty((16, O), partials.dtype))


def winograd_weight_gradient(grad, x, dweight, chunks, padding):
    """Gradient by the filters: grad (N, oh, ow, O), x (N, H, W, C) -> dweight (O, C, 3, 3), float32.

    The tile rows are summed up in at most `chunks` parts, which are then added in order.
    """
    N, oh, ow, O = grad.shape
    C = x.shape[3]
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    chunks = min(chunks, N * th)
    rows = rows_of_band(-(-N * th // chunks), tw, C + O, 1, BAND_BYTES)
    partials = np.empty((chunks, 16, C, O), dweight.dtype)
    _weight_chunks(
        grad, x, partials, chunks, rows, *exact_tiles(C, O), padding, ONE_RUN,
        transform_address("windows"), transform_address("gradients"),
    )  # fmt: skip
    _finish(partials, dweight)
