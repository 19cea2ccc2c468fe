"""How the operations behind layers are written in ONNX: products, convolutions, pooling, normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.geometry import adaptive_bounds
from minidl.nn.normalization import BatchNorm as BatchNormLayer
from minidl.onnx.tracing import Call, Forms
from minidl.ops.conv import Conv2d, Conv2dInputGradient
from minidl.ops.matmul import Linear, MatMul
from minidl.ops.normalization import BatchNorm, ChannelAffine
from minidl.ops.pooling import AvgPool2d, MaxPool2d
from minidl.ops.pooling_axes import AdaptiveAvgPool2d

__all__ = ["LAYERS"]

Pair = tuple[int, int]


def _conv(call: Call, x: Any, weight: Any, bias: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> str:
    return call.add(
        "Conv",
        x,
        weight,
        bias,
        kernel_shape=weight.shape[2:],
        strides=stride,
        pads=padding + padding,
        dilations=dilation,
        group=groups,
    )


def _conv_transpose(
    call: Call, x: Any, weight: Any, input_shape: Any, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> str:
    """The gradient of a convolution by its input, called forward."""
    kernel = weight.shape[2:]
    least = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(x.shape[2:], stride, padding, dilation, kernel)
    ]
    return call.add(
        "ConvTranspose",
        x,
        weight,
        kernel_shape=kernel,
        strides=stride,
        pads=padding + padding,
        output_padding=[n - m for n, m in zip(input_shape[2:], least)],
        dilations=dilation,
        group=groups,
    )


def _overhang(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> Pair:
    """By how much the last windows reach over the padded image: not at all unless ``ceil_mode`` made them.

    Written as padding at the far end, since runtimes differ in what ONNX's own ceil_mode means.
    """
    axes = zip(shape[2:], kernel, stride, padding, dilation, output_size)
    height, width = (max(0, (o - 1) * s + d * (k - 1) + 1 - n - 2 * p) for n, k, s, p, d, o in axes)
    return height, width


def _max_pool(
    call: Call, x: Any, output_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[str, str]:
    over = _overhang(x.shape, kernel_size, stride, padding, dilation, output_size)
    pads = (*padding, padding[0] + over[0], padding[1] + over[1])
    y = call.add("MaxPool", x, kernel_shape=kernel_size, strides=stride, pads=pads, dilations=dilation)
    return y, ""  # the positions have no form of their own


def _avg_pool(
    call: Call,
    x: Any,
    output_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> str:
    over = _overhang(x.shape, kernel_size, stride, padding, (1, 1), output_size)
    y = call.add(
        "AveragePool",
        x,
        kernel_shape=kernel_size,
        strides=stride,
        pads=(*padding, padding[0] + over[0], padding[1] + over[1]),
        count_include_pad=int(bool(count_include_pad or divisor_override is not None)),
    )
    if divisor_override is not None:
        return call.add("Mul", y, math.prod(kernel_size) / divisor_override)
    if not (count_include_pad and any(over)):
        return y
    # The divisor counts the padding, but not what lies beyond it; AveragePool has divided by whole windows.
    rows, columns = (
        [k / (min(i * s + k, n + 2 * p) - i * s) for i in range(o)]
        for n, k, s, p, o in zip(x.shape[2:], kernel_size, stride, padding, output_size)
    )
    return call.add("Mul", y, call.graph.constant(np.outer(rows, columns), call.dtype))


def _adaptive_avg_pool(call: Call, x: Any, output_size: Pair) -> str:
    size = x.shape[2:]
    if output_size == (1, 1):
        return call.add("GlobalAveragePool", x)
    if not any(n % o for n, o in zip(size, output_size)):
        windows = [n // o for n, o in zip(size, output_size)]
        return call.add("AveragePool", x, kernel_shape=windows, strides=windows)
    # Windows of several sizes: the means over them are a product with a matrix on either side.
    down, across = (_means(n, o).astype(call.dtype) for n, o in zip(size, output_size))
    # (oh, H) @ (N, C, H, W) @ (W, ow)
    return call.add("MatMul", call.add("MatMul", call.graph.constant(down), x), call.graph.constant(across.T))


def _means(length: int, count: int) -> np.ndarray:
    """The matrix (count, length) whose rows take the means of the adaptive windows."""
    matrix = np.zeros((count, length))
    for i in range(count):
        start, stop = adaptive_bounds(length, count, i)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def _column(call: Call, values: Any, ndim: int) -> str | None:
    """(C,) -> (C, 1, ...), to stand beside (N, C, ...)."""
    return None if values is None else call.reshape(values, values.shape, values.shape + (1,) * (ndim - 2))


def _channel_affine(call: Call, x: Any, scale: Any, shift: Any) -> str:
    """Batch normalisation by running statistics, as a layer; a plain scale and shift where it was called otherwise."""
    layer = call.module
    if isinstance(layer, BatchNormLayer) and type(layer).forward is BatchNormLayer.forward:
        channels = x.shape[1]
        weight = np.ones(channels, call.dtype) if layer.weight is None else layer.weight
        bias = np.zeros(channels, call.dtype) if layer.bias is None else layer.bias
        return call.add("BatchNormalization", x, weight, bias, layer.running_mean, layer.running_var, epsilon=layer.eps)
    ndim = len(x.shape)
    return call.add("Add", call.add("Mul", x, _column(call, scale, ndim)), _column(call, shift, ndim))


def _batch_norm(
    call: Call, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, epsilon: float
) -> str:
    """Normalisation by the input's own mean and variance, which layer, group and instance norm are made of, too."""
    if running_mean is not None:
        raise call.refuse("batch normalisation in training, which moves the running statistics")
    ndim = len(x.shape)
    axes = call.integers(*[axis for axis in range(ndim) if axis != 1])
    centred = call.add("Sub", x, call.add("ReduceMean", x, axes, keepdims=1))
    variance = call.add("ReduceMean", call.add("Mul", centred, centred), axes, keepdims=1)
    y = call.add("Div", centred, call.add("Sqrt", call.add("Add", variance, epsilon)))
    if weight is not None:
        y = call.add("Mul", y, _column(call, weight, ndim))
    return y if bias is None else call.add("Add", y, _column(call, bias, ndim))


LAYERS: Forms = {
    Linear: lambda call, x, weight, bias: call.add("Gemm", x, weight, bias, transB=1),
    MatMul: lambda call, a, b: call.add("MatMul", a, b),
    Conv2d: _conv,
    Conv2dInputGradient: _conv_transpose,
    MaxPool2d: _max_pool,
    AvgPool2d: _avg_pool,
    AdaptiveAvgPool2d: _adaptive_avg_pool,
    ChannelAffine: _channel_affine,
    BatchNorm: _batch_norm,
}
