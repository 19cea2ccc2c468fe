"""Two-dimensional convolution on the CPU: chooses between five ways of doing it, and prepares memory for them.

conv_tiles.py reads the im2col matrix without storing it, in float32 on x86 with AVX2 or AVX-512; where 3x3 filters have
channels enough, conv_winograd.py does the same with fewer products, and conv_lanes.py fills vectors where there are
few. Elsewhere, and for the shapes where they are faster, im2col is stored a tile at a time and multiplied by BLAS:
conv_pixels.py serves inputs with many channels, conv_planes.py those with few. Signatures and formulas are those of
kernels/plain/conv.py; results are logical (N, C, H, W) arrays that lie in memory as (N, H, W, C).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import get_num_threads

from minidl.backend.layout import channels_last
from minidl.kernels.cpu.blas import SMALL_PRODUCT, single_thread
from minidl.kernels.cpu.conv_lanes import MOST_FILTERS, convolve_lanes
from minidl.kernels.cpu.conv_pixels import (
    convolve,
    pack_filters,
    pack_flipped,
    pack_rows,
    scatter,
    sum_partials,
    weight_gradient,
)
from minidl.kernels.cpu.conv_planes import (
    convolve_planes,
    scatter_planes,
    sum_partials_planes,
    to_planes,
    weight_gradient_planes,
)
from minidl.kernels.cpu.conv_tile_gradients import weight_gradient_tiles
from minidl.kernels.cpu.conv_tile_scatter import scatter_tiles
from minidl.kernels.cpu.conv_tiles import convolve_tiles, pack_blocks
from minidl.kernels.cpu.conv_winograd import winograd_forward, winograd_input_gradient
from minidl.kernels.cpu.conv_winograd_filters import winograd_weight_gradient
from minidl.kernels.cpu.microkernel import AVAILABLE as TILES
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.geometry import conv_output_size

__all__ = ["conv2d_forward", "conv2d_input_gradient", "conv2d_weight_gradient"]

Array = Any
Pair = tuple[int, int]

# Below so many channels per group, planes are faster than pixels (measured with 3x3 and 5x5 filters).
FEW_CHANNELS = 16
# Up to so many lanes (filters or channels of a group) leave most of a tile's vector idle, and up to so many output
# columns leave a tile too few rows: there im2col and BLAS are faster.
FEW_LANES, FEW_COLUMNS = 4, 3
# Fewer channels than that leave a convolution for the input gradient too few lanes: windows are scattered instead.
FEW_TILE_CHANNELS = 8
# Fewer channels or filters than that, or fewer 2x2 tiles, gain nothing by Winograd's transforms.
FEW_WINOGRAD, FEW_WINOGRAD_TILES = 16, 16
# Fewer images would leave threads idle in kernels that give each one whole images.
FEW_IMAGES = 4
# 2x2 tiles in each of Winograd's partial sums of the weight gradient, or adding those up costs over a tenth of the
# products; fewer where only two sums are to be had; and the memory for all sums, enough for 16 of 256 x 256 channels.
WINOGRAD_TILES, LEAST_WINOGRAD_TILES, MOST_WINOGRAD_BYTES = 256, 64, 72 * 1024 * 1024
# Partial sums of the weight gradient: at most so many, and at most so much memory for all of them.
MOST_CHUNKS, MOST_BYTES = 16, 8 * 1024 * 1024
# A chunk has at least so many output pixels, or adding the partial sums up would cost more than computing them.
LEAST_PIXELS = 256

_SINGLE = np.dtype(np.float32)
_NO_POSITIONS = np.empty((0, 0, 0, 0), np.uint8)
_NO_BIAS = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def _contiguous(weight: Array) -> Array:
    return weight if weight.flags.c_contiguous else np.ascontiguousarray(weight)


def _chunks(pixels: int, rows: int, weight_bytes: int) -> int:
    """How many partial sums the weight gradient has: a power of two, by shapes only, never by the number of threads."""
    return _power_of_two(min(MOST_CHUNKS, pixels // LEAST_PIXELS, rows, MOST_BYTES // max(weight_bytes, 1)))


def _power_of_two(most: int) -> int:
    """The largest power of two up to `most`, at least 1."""
    return 1 << (most.bit_length() - 1) if most > 1 else 1


def _fits_tiles(x: Array, lanes: int, columns: int, kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether conv_tiles.py can do it, and fast: float32, lanes and rows enough, and not a plain product."""
    fits = TILES and x.dtype == _SINGLE and lanes > FEW_LANES and columns > FEW_COLUMNS
    return fits and not _is_product(kernel, stride, padding)


def _is_product(kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether BLAS needs no im2col: a 1x1 convolution of every pixel."""
    return kernel == stride == (1, 1) and padding == (0, 0)


def _fits_winograd(dtype: Any, weight_shape: tuple[int, ...], tiles: int, stride: Pair, dilation: Pair) -> bool:
    """Whether conv_winograd.py can do it, and fast: float32, 3x3, one group (of which there are C channels)."""
    fits = TILES and dtype == _SINGLE and weight_shape[2:] == (3, 3) and stride == dilation == (1, 1)
    return fits and min(weight_shape[:2]) >= FEW_WINOGRAD and tiles >= FEW_WINOGRAD_TILES


def _fits_lanes(
    x: Array, weight_shape: tuple[int, ...], columns: int, stride: Pair, padding: Pair, groups: int
) -> bool:
    """Whether conv_lanes.py can do it, and faster than conv_tiles.py."""
    few = max(weight_shape[:2]) <= MOST_FILTERS and len(x) >= FEW_IMAGES and stride == (1, 1) and groups == 1
    return few and _fits_tiles(x, weight_shape[0], columns, (weight_shape[2], weight_shape[3]), stride, padding)


def _winograd_tiles(N: int, oh: int, ow: int) -> int:
    """How many tiles of 2x2 cover the results."""
    return N * ((oh + 1) // 2) * ((ow + 1) // 2)


def convolve_fused(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int, relu: bool
) -> Array:
    """conv2d_forward, followed by max(0, y) where `relu`: free of cost in a tile, one more pass elsewhere."""
    N, C, H, W = x.shape
    O, Cg, kh, kw = weight.shape
    oh = conv_output_size(H, kh, stride[0], padding[0], dilation[0])
    ow = conv_output_size(W, kw, stride[1], padding[1], dilation[1])
    y = np.empty((N, oh, ow, O), x.dtype)
    if not y.size:
        return y.transpose(0, 3, 1, 2)  # (N, oh, ow, O) -> (N, O, oh, ow)
    weight = _contiguous(weight)
    threads = get_num_threads()
    start = np.zeros(O, x.dtype) if bias is None else _contiguous(bias)
    if groups == 1 and _fits_winograd(x.dtype, weight.shape, _winograd_tiles(N, oh, ow), stride, dilation):
        with parallel_region():
            winograd_forward(channels_last(x), weight, start, y, padding, relu, threads)
        return y.transpose(0, 3, 1, 2)  # (N, oh, ow, O) -> (N, O, oh, ow)
    if _fits_lanes(x, weight.shape, ow, stride, padding, groups):
        with parallel_region():
            convolve_lanes(channels_last(x), weight, start, y, _NO_POSITIONS, ow, padding, dilation, relu, threads)
        return y.transpose(0, 3, 1, 2)  # (N, oh, ow, O) -> (N, O, oh, ow)
    if _fits_tiles(x, O // groups, ow, (kh, kw), stride, padding):
        packed = np.empty(weight.size, x.dtype)
        pack_blocks(weight, packed, groups, 0)
        with parallel_region():
            convolve_tiles(channels_last(x), packed, start, y, kh, kw, stride, padding, dilation, groups, relu, threads)
        return y.transpose(0, 3, 1, 2)  # (N, oh, ow, O) -> (N, O, oh, ow)
    bias = _NO_BIAS[x.dtype] if bias is None else _contiguous(bias)
    with single_thread(), parallel_region():
        if Cg < FEW_CHANNELS:
            planes = np.empty((N, C, H + 2 * padding[0], W + 2 * padding[1]), x.dtype)
            to_planes(x, planes, *padding, threads)
            convolve_planes(planes, weight, bias, y, *stride, *dilation, threads, SMALL_PRODUCT)
        else:
            packed = np.empty((groups, kh * kw * Cg, O // groups), x.dtype)
            pack_filters(weight, packed)
            convolve(channels_last(x), packed, bias, y, kh, kw, *stride, *padding, *dilation, threads, SMALL_PRODUCT)
    if relu:
        np.maximum(y, 0, out=y)
    return y.transpose(0, 3, 1, 2)  # (N, oh, ow, O) -> (N, O, oh, ow)


def convolve_pooled(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Array, Array] | None:
    """conv2d_forward, then max_pool2d_relu_forward of 2x2 windows, in one pass; None where no kernel does that."""
    N, _, H, W = x.shape
    O, _, kh, kw = weight.shape
    oh = conv_output_size(H, kh, stride[0], padding[0], dilation[0])
    ow = conv_output_size(W, kw, stride[1], padding[1], dilation[1])
    if min(N, oh // 2, ow // 2) < 1 or not _fits_lanes(x, weight.shape, ow, stride, padding, groups):
        return None
    y = np.empty((N, oh // 2, ow // 2, O), x.dtype)
    positions = np.empty(y.shape, np.uint8)
    start = np.zeros(O, x.dtype) if bias is None else _contiguous(bias)
    weight = _contiguous(weight)
    with parallel_region():
        images = channels_last(x)
        convolve_lanes(images, weight, start, y, positions, ow, padding, dilation, True, get_num_threads())
    return y.transpose(0, 3, 1, 2), positions.transpose(0, 3, 1, 2)  # (N, oh, ow, O) -> (N, O, oh, ow)


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Convolution: x (N, C, H, W), weight (O, C/G, kh, kw), bias (O,) or None -> (N, O, oh, ow)."""
    return convolve_fused(x, weight, bias, stride, padding, dilation, groups, relu=False)


def conv2d_input_gradient(
    grad: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient by the input: grad (N, O, oh, ow), weight (O, C/G, kh, kw) -> input_shape (N, C, H, W)."""
    N, C, H, W = input_shape
    O, Cg, kh, kw = weight.shape
    dx = np.empty((N, H, W, C), grad.dtype)
    if not dx.size:
        return dx.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    grad, weight = channels_last(grad), _contiguous(weight)
    threads = get_num_threads()
    tiles = _winograd_tiles(N, *grad.shape[1:3]) if N >= FEW_IMAGES else 0
    if groups == 1 and _fits_winograd(grad.dtype, weight.shape, tiles, stride, dilation):
        with parallel_region():
            winograd_input_gradient(grad, weight, dx, padding, threads)
        return dx.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    # With stride 1 the gradient is itself a convolution: of grad, padded to reach every input pixel, with the filters
    # flipped and their two channel axes exchanged.
    reach = dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1]
    if stride == (1, 1) and Cg >= FEW_TILE_CHANNELS and _fits_tiles(grad, Cg, W, (kh, kw), stride, padding):
        packed, start = np.empty(weight.size, grad.dtype), np.zeros(C, grad.dtype)
        pack_blocks(weight, packed, groups, 1)
        with parallel_region():
            convolve_tiles(grad, packed, start, dx, kh, kw, stride, reach, dilation, groups, False, threads)
        return dx.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    if stride == (1, 1) and groups == 1 and _fits_tiles(grad, Cg, W, (kh, kw), stride, padding):
        with parallel_region():
            scatter_tiles(grad, weight, dx, stride, padding, dilation, groups, threads)
        return dx.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    with single_thread(), parallel_region():
        if Cg < FEW_CHANNELS:
            scatter_planes(grad, weight, dx, *stride, *padding, *dilation, threads, SMALL_PRODUCT)
        elif stride == (1, 1):
            packed = np.empty((groups, kh * kw * (O // groups), Cg), grad.dtype)
            pack_flipped(weight, packed)
            convolve(grad, packed, _NO_BIAS[grad.dtype], dx, kh, kw, 1, 1, *reach, *dilation, threads, SMALL_PRODUCT)
        else:
            packed = np.empty((O, kh * kw * Cg), grad.dtype)
            pack_rows(weight, packed)
            scatter(grad, packed, dx, kh, kw, *stride, *padding, *dilation, threads, SMALL_PRODUCT)
    return dx.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)


def conv2d_weight_gradient(
    grad: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient by the filters: grad (N, O, oh, ow), x (N, C, H, W) -> weight_shape (O, C/G, kh, kw)."""
    O, Cg, kh, kw = weight_shape
    N, _, oh, ow = grad.shape
    if N == 0:
        return np.zeros(weight_shape, grad.dtype)
    dweight = np.empty(weight_shape, grad.dtype)
    tiles = _winograd_tiles(N, oh, ow)
    if groups == 1 and _fits_winograd(grad.dtype, weight_shape, tiles, stride, dilation):
        room = MOST_WINOGRAD_BYTES // (16 * 4 * O * Cg)
        chunks = max(tiles // WINOGRAD_TILES, min(tiles // LEAST_WINOGRAD_TILES, 2))
        chunks = _power_of_two(min(MOST_CHUNKS, chunks, room))
        with parallel_region():
            winograd_weight_gradient(channels_last(grad), channels_last(x), dweight, chunks, padding)
        return dweight
    chunks = _chunks(N * oh * ow, N * oh, dweight.nbytes)
    threads = get_num_threads()
    split = kh if chunks < MOST_CHUNKS else 1
    if _fits_tiles(grad, max(O // groups, Cg), ow, (kh, kw), stride, padding):
        with parallel_region():
            images = channels_last(grad), channels_last(x)
            weight_gradient_tiles(*images, dweight, chunks, split, stride, padding, dilation, groups, threads)
        return dweight
    partials = np.empty((chunks, groups, Cg * kh * kw, O // groups), grad.dtype)
    with single_thread(), parallel_region():
        if Cg < FEW_CHANNELS:
            C, H, W = x.shape[1:]
            planes = np.empty((N, C, H + 2 * padding[0], W + 2 * padding[1]), x.dtype)
            to_planes(x, planes, *padding, threads)
            weight_gradient_planes(channels_last(grad), planes, partials, kh, kw, *stride, *dilation, SMALL_PRODUCT)
            sum_partials_planes(partials, dweight)
        else:
            images = channels_last(grad), channels_last(x)
            weight_gradient(*images, partials, kh, kw, split, *stride, *padding, *dilation, SMALL_PRODUCT)
            sum_partials(partials, dweight, threads)
    return dweight
