"""3x3 convolution in float32 by Winograd's F(2x2, 3x3): 16 products for every 2x2 results instead of 36.

The transforms (winograd_transforms.py) turn a band of tile rows into 16 planes (tiles, channels), register tiles
(microkernel.py) multiply each plane by the transformed filters, and the inverse transform writes the results; all of it
in scratch memory that stays in the L2 cache. The two gradients do the same backwards, so they too multiply 16 times
for each 2x2 results; of the input's gradient nothing is computed that only padding would receive.

Results differ from a direct sum by rounding, and are if anything nearer the truth: the transforms add four numbers
before multiplying, but the sums are over channels alone, nine times shorter (32 to 64 channels, relative errors of the
largest: 2.5e-7 to 3.4e-7 against 6e-7 to 9e-7). An infinity or NaN in a window reaches all results of its tile, as NaN.

A "tile row" is one row of 2x2 tiles of one image, numbered through the batch: th = ceil(oh/2) in an image, of
tw = ceil(ow/2) tiles each. A band of them shares the products, so that small images fill the register tiles too. Every
element is one sum in a fixed order, whatever the number of threads.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minidl.kernels.cpu import winograd_transforms as transforms
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.conv_pixels import PARALLEL, SERIAL
from minidl.kernels.cpu.conv_tiles import ONE_RUN, WIDTH, pad_rows, tiles_across
from minidl.kernels.cpu.memory import address_of, copy_items
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
    RUNS,
    STEPS,
    TABLE,
    call_tile,
)
from minidl.kernels.cpu.winograd_transforms import transform_address

__all__ = [
    "aligned",
    "fill_transform",
    "gradient_rows",
    "plane_pitch",
    "rows_of_band",
    "window_rows",
    "winograd_forward",
    "winograd_input_gradient",
]

Array = Any

# Memory for the planes of a band: half of a small L2 cache.
BAND_BYTES = 384 * 1024
# So many weights one thread transforms before another is awake.
PACK_ALONE = 10_000
# Each worker's share of tile rows is cut into at least so many bands, where there are enough.
LEAST_BANDS = 2

_ROW, _PIXEL, _PLANE, _LINE = transforms.ROW, transforms.PIXEL, transforms.PLANE, transforms.LINE
_COUNT, _VECTORS, _LAST = transforms.COUNT, transforms.VECTORS, transforms.LAST
_RELU, _ADD, _FIELDS = transforms.RELU, transforms.ADD, transforms.FIELDS


@njit(**SERIAL)
def plane_pitch(tiles, channels):
    """Numbers from one plane (tiles, channels) to the next: never a multiple of 4 KiB, which would leave the 16 planes
    a single set of the L1 cache to share."""
    return -(-tiles * channels // 1024) * 1024 + LANES


@njit(**SERIAL)
def aligned(count):
    """`count` float32 numbers that begin at a cache line."""
    room = np.empty(count + 16, np.float32)
    skip = (-address_of(room, 0) & 63) // 4
    return room[skip : skip + count]


@njit(**SERIAL)
def _transform_block(weight, packed, flipped, block, nine, rows):
    """Filters `block` and following of weight (O, C, 3, 3) -> packed: G w G^T in 16 planes.

    One block (C, lanes) of WIDTH lanes or what is left of them, lanes = filters; with `flipped` (O, lanes), lanes =
    channels. nine (9, WIDTH) and rows (4, 3, WIDTH) are scratch: taps side by side first, so that all sums are vectors.
    """
    O, C = weight.shape[:2]
    lanes, depth = (C, O) if flipped else (O, C)
    width = min(WIDTH, lanes - block)
    half = np.float32(0.5)
    for d in range(depth):
        for lane in range(width):
            w = weight[d, block + lane] if flipped else weight[block + lane, d]
            for k in range(9):
                nine[k, lane] = w[k // 3, k % 3]
        for k in range(3):
            for lane in range(width):
                outer, middle = half * (nine[k, lane] + nine[6 + k, lane]), half * nine[3 + k, lane]
                rows[0, k, lane] = nine[k, lane]
                rows[1, k, lane] = outer + middle
                rows[2, k, lane] = outer - middle
                rows[3, k, lane] = nine[6 + k, lane]
        place = block * depth + d * width
        for i in range(4):
            for lane in range(width):
                outer, middle = half * (rows[i, 0, lane] + rows[i, 2, lane]), half * rows[i, 1, lane]
                packed[4 * i, place + lane] = rows[i, 0, lane]
                packed[4 * i + 1, place + lane] = outer + middle
                packed[4 * i + 2, place + lane] = outer - middle
                packed[4 * i + 3, place + lane] = rows[i, 2, lane]


@njit(**SERIAL)
def _transform_filters(weight, packed, flipped, first, stop):
    """Blocks first to stop of _transform_block."""
    nine, rows = np.empty((9, WIDTH), weight.dtype), np.empty((4, 3, WIDTH), weight.dtype)
    for block in range(first, stop):
        _transform_block(weight, packed, flipped, block * WIDTH, nine, rows)


@njit(**PARALLEL)
def _transform_filters_parallel(weight, packed, flipped, blocks):
    for block in prange(blocks):
        _transform_filters(weight, packed, flipped, np.int64(block), np.int64(block) + 1)


@njit(**SERIAL)
def fill_transform(job, pixel, row, plane, channels, count, relu):
    """A job of winograd_transforms.py; distances in numbers."""
    job[_ROW] = 4 * row
    job[_PIXEL] = 4 * pixel
    job[_PLANE] = 4 * plane
    job[_LINE] = 4 * channels
    job[_COUNT] = count
    job[_VECTORS] = -(-channels // LANES)
    job[_LAST] = (channels - 1) % LANES + 1
    job[_RELU] = relu
    job[_ADD] = 0


@njit(**SERIAL)
def _multiply(planes, plane, depth, packed, results, result_plane, lanes, count, tiles, jobs, table, last_lanes):
    """Every plane (count, depth) times its filters (depth, lanes) -> (count, lanes)."""
    full, full_rows, last, last_rows = tiles
    for z in range(2):
        job = jobs[z]
        job[A_ROW] = 4 * depth
        job[A_STEP] = 4
        job[B_STEP] = 4 * (WIDTH if z == 0 else (lanes - 1) % WIDTH + 1)
        job[C_ROW] = 4 * lanes
        job[RUNS] = 1
        job[STEPS] = depth
        job[TABLE] = table
        job[LAST_LANES] = last_lanes[z]
        job[ACCUMULATE] = 0
        job[CLAMP] = 0
    zeros = address_of(jobs, 2 * FIELDS)  # the third row of jobs is of zeros
    for p in range(16):
        for lane in range(0, lanes, WIDTH):
            z = 0 if lane + WIDTH < lanes else 1
            tile, rows = (full, full_rows) if z == 0 else (last, last_rows)
            b = address_of(packed, p * lanes * depth + lane * depth)
            for t in range(0, count, rows):
                q = min(t, count - rows)
                a = address_of(planes, p * plane + q * depth)
                c = address_of(results, p * result_plane + q * lanes + lane)
                call_tile(tile, address_of(jobs, z * FIELDS), a, b, zeros, c)


@njit(**SERIAL)
def window_rows(x, scratch, planes, plane, job, first, count, th, tw, ph, pw, padded, transform):
    """Tile rows first to first+count: x (N, H, W, C) -> planes (16, count*tw, C)."""
    _, H, W, C = x.shape
    for r in range(count):
        n, i = (first + r) // th, (first + r) % th
        if padded:
            pad_rows(x, n, 2 * i, 4, ph, pw, 2 * tw + 2, scratch, 0)
            image = address_of(scratch, 0)
        else:
            image = address_of(x, (n * H + 2 * i) * W * C)
        call_tile(transform, address_of(job, 0), image, address_of(planes, r * tw * C), 0, 0)


@njit(**SERIAL)
def gradient_rows(grad, scratch, planes, plane, job, first, count, th, tw, padded, transform):
    """Tile rows first to first+count: grad (N, oh, ow, O) -> planes (16, count*tw, O)."""
    _, oh, ow, O = grad.shape
    for r in range(count):
        n, i = (first + r) // th, (first + r) % th
        if padded:
            pad_rows(grad, n, 2 * i, 2, 0, 0, 2 * tw, scratch, 0)
            image = address_of(scratch, 0)
        else:
            image = address_of(grad, (n * oh + 2 * i) * ow * O)
        call_tile(transform, address_of(job, 0), image, address_of(planes, r * tw * O), 0, 0)


@njit(**SERIAL)
def _forward_band(
    x, packed, start, y, first, count, rows, tiles, last_lanes, pads, padded, table, windows, results,
    scratch, planes, products, out, jobs, job, result_job,
):  # fmt: skip
    """Tile rows first to first+count of winograd_forward; the arrays of the last line are scratch."""
    C = x.shape[3]
    _, oh, ow, O = y.shape
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    plane, result_plane = plane_pitch(rows * tw, C), plane_pitch(rows * tw, O)
    window_rows(x, scratch, planes, plane, job, first, count, th, tw, *pads, padded, windows)
    _multiply(planes, plane, C, packed, products, result_plane, O, rows * tw, tiles, jobs, table, last_lanes)
    for r in range(count):
        n, i = (first + r) // th, (first + r) % th
        place = (n * oh + 2 * i) * ow * O
        image = address_of(out, 0) if out.size else address_of(y, place)
        call_tile(results, address_of(result_job, 0), image, address_of(products, r * tw * O), address_of(start, 0), 0)
        if out.size:
            for p in range(min(2, oh - 2 * i)):
                copy_items(y, place + p * ow * O, out, p * 2 * tw * O, ow * O)


@njit(**SERIAL)
def _forward_part(
    x, packed, start, y, rows, tiles, last_lanes, pads, relu, table, windows, results, worker, workers
):  # fmt: skip
    """The share of one worker in winograd_forward: some tile rows, `rows` at a time."""
    W, C = x.shape[2:]
    N, oh, ow, O = y.shape
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    odd = oh % 2 + ow % 2 > 0
    padded = odd or pads[0] != 0 or pads[1] != 0
    begin, stop = worker * N * th // workers, (worker + 1) * N * th // workers
    plane, result_plane = plane_pitch(rows * tw, C), plane_pitch(rows * tw, O)
    planes, products = aligned(16 * plane), aligned(16 * result_plane)
    planes[:] = 0  # a band with fewer rows multiplies what is left over here, which must not be NaN: those are slow
    wide = 2 * tw + 2 if padded else W
    scratch, out = aligned(4 * wide * C if padded else 0), aligned(4 * tw * O if odd else 0)
    jobs, job, result_job = np.zeros((5, FIELDS), np.int64), np.empty(_FIELDS, np.int64), np.empty(_FIELDS, np.int64)
    fill_transform(job, C, wide * C, plane, C, tw, 0)
    fill_transform(result_job, O, (2 * tw if odd else ow) * O, result_plane, O, tw, relu)
    for first in range(begin, stop, rows):
        _forward_band(
            x, packed, start, y, first, min(rows, stop - first), rows, tiles, last_lanes, pads, padded, table,
            windows, results, scratch, planes, products, out, jobs, job, result_job,
        )  # fmt: skip


@njit(**PARALLEL)
def _forward(x, packed, start, y, rows, tiles, last_lanes, pads, relu, table, windows, results, workers):
    for worker in prange(workers):
        _forward_part(
            x, packed, start, y, rows, tiles, last_lanes, pads, relu, table, windows, results,
            np.int64(worker), workers,
        )  # fmt: skip


def rows_of_band(total: int, tw: int, channels: int, bands: int, room: int = BAND_BYTES) -> int:
    """Tile rows in a band: what fits in `room` bytes, in at least `bands` bands that are about equal."""
    most = max(1, min(room // (16 * 4 * tw * channels), -(-total // bands)))
    return -(-total // -(-total // most))


def _pack(weight: Array, flipped: int) -> Array:
    """The transformed filters for _multiply."""
    packed = np.empty((16, weight.shape[0] * weight.shape[1]), weight.dtype)
    blocks = -(-weight.shape[1 if flipped else 0] // WIDTH)
    if weight.size <= PACK_ALONE:
        _transform_filters(weight, packed, flipped, 0, blocks)
    else:
        _transform_filters_parallel(weight, packed, flipped, blocks)
    return packed


def winograd_forward(x, weight, start, y, padding, relu, threads):
    """y = x convolved + start: x (N, H, W, C), weight (O, C, 3, 3), start (O,) -> y (N, oh, ow, O), float32."""
    N, oh, ow, O = y.shape
    C = x.shape[3]
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    rows = rows_of_band(N * th, tw, C + O, LEAST_BANDS * threads)
    tiles = tiles_across(O, rows * tw)
    packed = _pack(weight, 0)
    _forward(
        x, packed, start, y, rows, tiles[:4], (tiles.full_lanes, tiles.last_lanes), padding, int(relu),
        ONE_RUN, transform_address("windows"), transform_address("results"), min(threads, N * th),
    )  # fmt: skip


@njit(**SERIAL)
def _input_band(
    grad, packed, dx, first, count, rows, tiles, last_lanes, pads, table, gradients, back,
    scratch, planes, products, whole, jobs, job, back_job,
):  # fmt: skip
    """Tile rows first to first+count of winograd_input_gradient; the arrays of the last line are scratch."""
    _, oh, ow, O = grad.shape
    _, H, W, C = dx.shape
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    wide = 2 * tw + 2
    plane, result_plane = plane_pitch(rows * tw, O), plane_pitch(rows * tw, C)
    gradient_rows(grad, scratch, planes, plane, job, first, count, th, tw, scratch.size > 0, gradients)
    _multiply(planes, plane, O, packed, products, result_plane, C, rows * tw, tiles, jobs, table, last_lanes)
    for r in range(count):
        n, i = (first + r) // th, (first + r) % th
        back_job[_ADD] = i > 0
        image = address_of(whole, 2 * i * wide * C) if whole.size else address_of(dx, (n * H + 2 * i) * W * C)
        call_tile(back, address_of(back_job, 0), image, address_of(products, r * tw * C), 0, 0)
        if whole.size and i == th - 1:
            for h in range(H):
                copy_items(dx, (n * H + h) * W * C, whole, ((h + pads[0]) * wide + pads[1]) * C, W * C)


@njit(**SERIAL)
def _input_part(
    grad, packed, dx, rows, tiles, last_lanes, pads, table, gradients, back, worker, workers
):  # fmt: skip
    """The share of one worker in winograd_input_gradient: some images."""
    N, oh, ow, O = grad.shape
    W, C = dx.shape[2:]
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    odd = oh % 2 + ow % 2 > 0
    direct = not odd and pads[0] == 0 and pads[1] == 0
    begin, stop = worker * N // workers * th, (worker + 1) * N // workers * th
    plane, result_plane = plane_pitch(rows * tw, O), plane_pitch(rows * tw, C)
    planes, products = aligned(16 * plane), aligned(16 * result_plane)
    planes[:] = 0  # as in _forward_part
    wide = W if direct else 2 * tw + 2
    scratch, whole = aligned(4 * tw * O if odd else 0), aligned(0 if direct else (2 * th + 2) * wide * C)
    jobs, job, back_job = np.zeros((5, FIELDS), np.int64), np.empty(_FIELDS, np.int64), np.empty(_FIELDS, np.int64)
    fill_transform(job, O, (2 * tw if odd else ow) * O, plane, O, tw, 0)
    fill_transform(back_job, C, wide * C, result_plane, C, tw, 0)
    for first in range(begin, stop, rows):
        _input_band(
            grad, packed, dx, first, min(rows, stop - first), rows, tiles, last_lanes, pads, table, gradients, back,
            scratch, planes, products, whole, jobs, job, back_job,
        )  # fmt: skip


@njit(**PARALLEL)
def _input(grad, packed, dx, rows, tiles, last_lanes, pads, table, gradients, back, workers):
    for worker in prange(workers):
        _input_part(grad, packed, dx, rows, tiles, last_lanes, pads, table, gradients, back, np.int64(worker), workers)


def winograd_input_gradient(grad, weight, dx, padding, threads):
    """Gradient by the input: grad (N, oh, ow, O), weight (O, C, 3, 3) -> dx (N, H, W, C), float32."""
    N, oh, ow, O = grad.shape
    C = dx.shape[3]
    th, tw = (oh + 1) // 2, (ow + 1) // 2
    rows = rows_of_band(N * th, tw, C + O, LEAST_BANDS * threads)
    tiles = tiles_across(C, rows * tw)
    packed = _pack(weight, 1)
    _input(
        grad, packed, dx, rows, tiles[:4], (tiles.full_lanes, tiles.last_lanes), padding, ONE_RUN,
        transform_address("gradients"), transform_address("back"), min(threads, N),
    )  # fmt: skip
