"""Two-dimensional convolution as one matrix product: im2col, and its adjoint col2im.

A convolution takes, for every output pixel, the inner product of each filter with the window of the input under it.
`im2col` writes every window as one column of a matrix; all inner products are then one matrix product. Both gradients
follow from it: a matrix product is differentiated by two matrix products, and im2col, which only copies, is undone by
its adjoint `col2im`, which adds every copy back to where it came from.

Axes: N images, C channels, H and W the input's height and width, O filters, kh and kw the filter's height and width,
oh and ow the output's, G groups; group g of the filters sees channels g*C/G to (g+1)*C/G only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.geometry import conv_output_size

__all__ = ["col2im", "conv2d_forward", "conv2d_input_gradient", "conv2d_weight_gradient", "im2col"]

Array = Any  # NumPy's arrays, and whatever implements NumPy's interface: new arrays are made `like=` the input
Pair = tuple[int, int]


def _every(start: int, step: int, count: int) -> slice:
    """The slice of `count` positions start, start + step, start + 2*step, ..."""
    return slice(start, start + step * (count - 1) + 1, step)


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Windows of an image batch: x (N, C, H, W) -> (C, kh, kw, N, oh, ow), zero where a window lies over the padding.

    columns[c, i, j, n, p, q] = padded x[n, c, p*stride + i*dilation, q*stride + j*dilation]
    """
    (N, C, H, W), (kh, kw) = x.shape, kernel_size
    oh = conv_output_size(H, kh, stride[0], padding[0], dilation[0])
    ow = conv_output_size(W, kw, stride[1], padding[1], dilation[1])
    padded = np.zeros((N, C, H + 2 * padding[0], W + 2 * padding[1]), dtype=x.dtype, like=x)
    padded[:, :, padding[0] : padding[0] + H, padding[1] : padding[1] + W] = x
    columns = np.empty((C, kh, kw, N, oh, ow), dtype=x.dtype, like=x)
    for i in range(kh):
        rows = _every(i * dilation[0], stride[0], oh)
        for j in range(kw):  # tap (i, j) of all windows at once
            tap = padded[:, :, rows, _every(j * dilation[1], stride[1], ow)]
            columns[:, i, j] = tap.transpose(1, 0, 2, 3)  # (N, C, oh, ow) -> (C, N, oh, ow)
    return columns


def col2im(columns: Array, input_shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Adjoint of im2col: columns (C, kh, kw, N, oh, ow) -> (N, C, H, W); overlapping windows add up."""
    (N, C, H, W), (_, kh, kw, _, oh, ow) = input_shape, columns.shape
    padded = np.zeros((N, C, H + 2 * padding[0], W + 2 * padding[1]), dtype=columns.dtype, like=columns)
    for i in range(kh):
        rows = _every(i * dilation[0], stride[0], oh)
        for j in range(kw):
            tap = columns[:, i, j].transpose(1, 0, 2, 3)  # (C, N, oh, ow) -> (N, C, oh, ow)
            padded[:, :, rows, _every(j * dilation[1], stride[1], ow)] += tap
    return padded[:, :, padding[0] : padding[0] + H, padding[1] : padding[1] + W].copy()


def _gradient_matrix(grad: Array, groups: int) -> Array:
    """grad (N, O, oh, ow) -> (G, O/G, N*oh*ow): one row a filter, one column an output pixel."""
    N, O, oh, ow = grad.shape
    # (N, O, oh, ow) -> (O, N, oh, ow) -> (G, O/G, N*oh*ow)
    return grad.transpose(1, 0, 2, 3).reshape(groups, O // groups, N * oh * ow)


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Convolution: x (N, C, H, W), weight (O, C/G, kh, kw), bias (O,) or None -> (N, O, oh, ow).

    y[n, o, p, q] = bias[o] + sum over c, i, j of weight[o, c, i, j] * padded x[n, c, p*stride+i*dilation, q*...]
    Source: torch.nn.functional.conv2d (a cross-correlation: the filter is not flipped).
    """
    O, channels, kh, kw = weight.shape
    columns = im2col(x, (kh, kw), stride, padding, dilation)
    N, oh, ow = columns.shape[3:]
    taps = channels * kh * kw
    columns = columns.reshape(groups, taps, N * oh * ow)  # (C, kh, kw, N, oh, ow) -> (G, taps, N*oh*ow)
    filters = weight.reshape(groups, O // groups, taps)  # (O, C/G, kh, kw) -> (G, O/G, taps)
    y = (filters @ columns).reshape(O, N, oh, ow)  # (G, O/G, N*oh*ow) -> (O, N, oh, ow)
    if bias is not None:
        y += bias[:, None, None, None]
    return y.transpose(1, 0, 2, 3)  # (O, N, oh, ow) -> (N, O, oh, ow)


def conv2d_input_gradient(
    grad: Array,
    weight: Array,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient by the input (a transposed convolution): grad (N, O, oh, ow), weight (O, C/G, kh, kw) -> (N, C, H, W).

    The forward product is filters @ columns; its gradient by the columns is filters^T @ grad, and col2im takes that
    back to the image.
    """
    O, channels, kh, kw = weight.shape
    N, _, oh, ow = grad.shape
    taps = channels * kh * kw
    filters = weight.reshape(groups, O // groups, taps)  # (O, C/G, kh, kw) -> (G, O/G, taps)
    # (G, taps, O/G) @ (G, O/G, N*oh*ow) -> (G, taps, N*oh*ow) -> (C, kh, kw, N, oh, ow)
    columns = filters.transpose(0, 2, 1) @ _gradient_matrix(grad, groups)
    columns = columns.reshape(groups * channels, kh, kw, N, oh, ow)
    return col2im(columns, input_shape, stride, padding, dilation)


def conv2d_weight_gradient(
    grad: Array,
    x: Array,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Gradient by the filters: grad (N, O, oh, ow), x (N, C, H, W) -> weight_shape (O, C/G, kh, kw).

    The forward product is filters @ columns; its gradient by the filters is grad @ columns^T. The columns are
    computed again rather than kept since the forward pass: they are kh*kw times as large as the input.
    """
    _, channels, kh, kw = weight_shape
    columns = im2col(x, (kh, kw), stride, padding, dilation)
    pixels = columns.shape[3] * columns.shape[4] * columns.shape[5]
    columns = columns.reshape(groups, channels * kh * kw, pixels)  # (C, kh, kw, N, oh, ow) -> (G, taps, N*oh*ow)
    # (G, O/G, N*oh*ow) @ (G, N*oh*ow, taps) -> (G, O/G, taps) -> (O, C/G, kh, kw)
    return (_gradient_matrix(grad, groups) @ columns.transpose(0, 2, 1)).reshape(weight_shape)
