"""Two-dimensional convolution on the GPU: im2col in pieces that fit the cache, and cuBLAS.

Formulas and shapes in ``plain/conv.py``. The columns of a layer take kh*kw times the memory of its input. They are made
for a few images at a time, so that the product reads them from the level-2 cache, and are made anew in the backward
pass; the products of the pieces are written side by side (forward) or added up in order (weight gradient).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl.kernels.cuda.gemm import gemm
from minidl.kernels.cuda.layout import contiguous, to_channels_outermost
from minidl.kernels.cuda.shared import THREADS, blocks, empty, empty_channels_outermost, program, window
from minidl.kernels.geometry import conv_output_size

__all__ = ["col2im", "conv2d_forward", "conv2d_input_gradient", "conv2d_weight_gradient", "im2col"]

Array = Any
Pair = tuple[int, int]

CUDA = program("conv")
# Half of the level-2 cache of an H200 (50 MB; an A100 has 40 MB): the other half is for filters and results.
COLUMN_BYTES = 24 * 2**20


class _Shapes:
    """The sizes of one convolution, and its pieces."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        self.images, self.channels, H, W = input_shape
        self.filters, self.taps = weight_shape[0], weight_shape[1] * weight_shape[2] * weight_shape[3]
        self.groups = groups
        kernel = weight_shape[2], weight_shape[3]
        oh = conv_output_size(H, kernel[0], stride[0], padding[0], dilation[0])
        ow = conv_output_size(W, kernel[1], stride[1], padding[1], dilation[1])
        self.output_shape = (self.images, self.filters, oh, ow)
        self.pixels = oh * ow  # of one output image
        self.places = H * W  # of one input image
        self.window = window((H, W), kernel, stride, padding, dilation, (oh, ow))
        self.is_product = kernel == stride == (1, 1) and padding == (0, 0)  # the columns are the input itself

    def pieces(self, itemsize: int) -> Iterator[tuple[int, int]]:
        """The numbers (first, last + 1) of the images of every piece, about equally many."""
        each = max(self.groups * self.taps * self.pixels * itemsize, 1)
        count = blocks(self.images, max(COLUMN_BYTES // each, 1))
        size = blocks(self.images, max(count, 1))
        for first in range(0, self.images, max(size, 1)):
            yield first, min(first + size, self.images)

    def matrices(self, x: Array) -> Array:
        """A channels-outermost array (N, K, ...) as a view (groups, K / groups, N * pixels)."""
        outermost = x.transpose(1, 0, 2, 3)  # (N, K, H, W) -> (K, N, H, W)
        return outermost.reshape(self.groups, x.shape[1] // self.groups, x.size // x.shape[1])

    def columns(self, x: Array) -> Iterator[tuple[Array, int, int]]:
        """For every piece the columns (groups, taps, pixels) and which of all output pixels they are: from, to.

        One array serves all pieces: work on a GPU is done in the order in which it is asked for.
        """
        if self.is_product:
            yield self.matrices(x), 0, self.images * self.pixels
            return
        memory = None
        for first, last in self.pieces(x.itemsize):
            pixels = (last - first) * self.pixels
            if memory is None:
                memory = empty(x, (self.groups * self.taps * pixels,))
            columns = memory[: self.groups * self.taps * pixels].reshape(self.groups, self.taps, pixels)
            each = blocks(pixels)
            grid = self.channels * each
            CUDA.launch("im2col", grid, THREADS, x, columns, self.window, self.images, first, pixels, each)
            yield columns, first * self.pixels, last * self.pixels


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    shapes = _Shapes(x.shape, (1, x.shape[1], *kernel_size), stride, padding, dilation, 1)
    x = to_channels_outermost(x)
    columns = empty(x, (x.shape[1], *kernel_size, x.shape[0], *shapes.output_shape[2:]))
    pixels = shapes.images * shapes.pixels
    each = blocks(pixels)
    CUDA.launch("im2col", shapes.channels * each, THREADS, x, columns, shapes.window, shapes.images, 0, pixels, each)
    return columns


def col2im(columns: Array, input_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair) -> Array:
    shapes = _Shapes(input_shape, (1, input_shape[1], *columns.shape[1:3]), stride, padding, dilation, 1)
    dx = empty_channels_outermost(columns, input_shape)
    pixels, places = shapes.images * shapes.pixels, shapes.images * shapes.places
    each = blocks(places)
    arguments = contiguous(columns), dx, shapes.window, shapes.images, 0, pixels, places, each
    CUDA.launch("col2im", shapes.channels * each, THREADS, *arguments)
    return dx


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    shapes = _Shapes(x.shape, weight.shape, stride, padding, dilation, groups)
    x = to_channels_outermost(x)
    y = empty_channels_outermost(x, shapes.output_shape)
    if not y.size:
        return y
    # (O, C/G, kh, kw) -> (G, O/G, C/G * kh * kw)
    filters = contiguous(weight).reshape(groups, shapes.filters // groups, shapes.taps)
    outputs = shapes.matrices(y)
    for columns, start, stop in shapes.columns(x):
        for group in range(groups):
            gemm(filters[group], columns[group], out=outputs[group, :, start:stop])
    if bias is not None:
        pixels = shapes.images * shapes.pixels
        each = blocks(pixels)
        CUDA.launch("add_bias", shapes.filters * each, THREADS, y, contiguous(bias), pixels, each)
    return y


def conv2d_input_gradient(
    grad: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    shapes = _Shapes(input_shape, weight.shape, stride, padding, dilation, groups)
    grad = to_channels_outermost(grad)
    dx = empty_channels_outermost(grad, input_shape)
    if not dx.size:
        return dx
    filters = contiguous(weight).reshape(groups, shapes.filters // groups, shapes.taps)
    outputs = shapes.matrices(grad)
    if shapes.is_product:
        for group, inputs in enumerate(shapes.matrices(dx)):
            gemm(filters[group].T, outputs[group], out=inputs)
        return dx
    memory = None
    for first, last in shapes.pieces(grad.itemsize):
        pixels, places = (last - first) * shapes.pixels, (last - first) * shapes.places
        if memory is None:
            memory = empty(grad, (groups * shapes.taps * pixels,))
        columns = memory[: groups * shapes.taps * pixels].reshape(groups, shapes.taps, pixels)
        for group in range(groups):
            part = outputs[group, :, first * shapes.pixels : last * shapes.pixels]
            gemm(filters[group].T, part, out=columns[group])
        each = blocks(places)
        grid = shapes.channels * each
        CUDA.launch("col2im", grid, THREADS, columns, dx, shapes.window, shapes.images, first, pixels, places, each)
    return dx


def conv2d_weight_gradient(
    grad: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    shapes = _Shapes(x.shape, weight_shape, stride, padding, dilation, groups)
    x, grad = to_channels_outermost(x), to_channels_outermost(grad)
    dweight = empty(grad, weight_shape)
    if not grad.size:
        dweight[...] = 0
        return dweight
    # (O, C/G, kh, kw) -> (G, O/G, C/G * kh * kw)
    products = dweight.reshape(groups, shapes.filters // groups, shapes.taps)
    outputs = shapes.matrices(grad)
    for columns, start, stop in shapes.columns(x):
        for group in range(groups):
            part = outputs[group, :, start:stop]
            gemm(part, columns[group].T, out=products[group], accumulate=start > 0)
    return dweight
