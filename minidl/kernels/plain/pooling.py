"""Pooling: the maximum or the mean of every window; one loop over the taps of the window, all pixels at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.kernels.geometry import adaptive_bounds

__all__ = [
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "max_pool2d_gather",
]

Pair = tuple[int, int]


def _padded_size(
    shape: tuple[int, ...], output_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Pair:
    """Height and width that hold the padded image and every window, also those that ceil_mode lets hang over."""
    height, width = (
        max(
            shape[axis] + 2 * padding[axis],
            (output_size[axis] - 1) * stride[axis] + (kernel_size[axis] - 1) * dilation[axis] + 1,
        )
        for axis in range(2)
    )
    return height, width


def _pad(
    x: Any, value: float, output_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Any:
    """x (N, C, H, W) in the middle of a larger array filled with ``value`` that holds every window."""
    batch, channels, height, width = x.shape
    size = _padded_size((height, width), output_size, kernel_size, stride, padding, dilation)
    padded = np.full((batch, channels, *size), value, dtype=x.dtype, like=x)
    padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width] = x
    return padded


def _tap(padded: Any, i: int, j: int, output_size: Pair, stride: Pair, dilation: Pair) -> Any:
    """The view (N, C, oh, ow) of what tap (i, j) of every window sees."""
    top, left = i * dilation[0], j * dilation[1]
    return padded[
        :,
        :,
        top : top + (output_size[0] - 1) * stride[0] + 1 : stride[0],
        left : left + (output_size[1] - 1) * stride[1] + 1 : stride[1],
    ]


def _first_taps(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    """For every window along one axis, (size,): its first tap that is not in the padding before the image."""
    before = np.maximum(padding - np.arange(size) * stride, 0)
    return np.minimum(-(-before // dilation), kernel - 1)


def max_pool2d_forward(
    x: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, output_size: Pair
) -> tuple[Any, Any]:
    """y[n, c, h, w] = max over taps (i, j) of x[n, c, h*sh - ph + i*dh, w*sw - pw + j*dw]; outside x is minus infinity.

    ``x`` (N, C, H, W) -> y (N, C, oh, ow) and the positions i * kw + j of the maxima (uint8, or int32 for windows of
    more than 255 taps). The first of equal maxima wins; NaN wins over everything, the last one over earlier ones
    (``torch.nn.functional.max_pool2d``).
    """
    kh, kw = kernel_size
    padded = _pad(x, -np.inf, output_size, kernel_size, stride, padding, dilation)
    y = np.full((*x.shape[:2], *output_size), -np.inf, dtype=x.dtype, like=x)
    # A window of nothing but minus infinity points at its first tap inside the image, never at the padding.
    first = _first_taps(output_size[0], kh, stride[0], padding[0], dilation[0])[:, None] * kw + _first_taps(
        output_size[1], kw, stride[1], padding[1], dilation[1]
    )
    positions = np.zeros(y.shape, dtype=np.uint8 if kh * kw <= 255 else np.int32, like=x)
    positions[...] = np.asarray(first.astype(positions.dtype), like=x)
    for i in range(kh):
        for j in range(kw):
            value = _tap(padded, i, j, output_size, stride, dilation)
            better = (value > y) | np.isnan(value)
            y[better] = value[better]
            positions[better] = i * kw + j
    return y, positions


def max_pool2d_backward(
    grad: Any,
    positions: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Any:
    """Send every output gradient to the input that was the maximum; where windows overlap, gradients add up.

    ``grad`` and ``positions`` (N, C, oh, ow) -> dx of ``input_shape`` (N, C, H, W). Linear in ``grad``.
    """
    height, width = input_shape[2:]
    output_size = grad.shape[2:]
    size = _padded_size((height, width), output_size, kernel_size, stride, padding, dilation)
    padded = np.zeros((*input_shape[:2], *size), dtype=grad.dtype, like=grad)
    zero = np.zeros((), dtype=grad.dtype, like=grad)
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            view = _tap(padded, i, j, output_size, stride, dilation)
            view += np.where(positions == i * kernel_size[1] + j, grad, zero)
    return padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width].copy()


def max_pool2d_gather(x: Any, positions: Any, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """What x (N, C, H, W) holds at ``positions`` (N, C, oh, ow): the adjoint of ``max_pool2d_backward``."""
    output_size = positions.shape[2:]
    padded = _pad(x, 0, output_size, kernel_size, stride, padding, dilation)
    gathered = np.zeros(positions.shape, dtype=x.dtype, like=x)
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            chosen = positions == i * kernel_size[1] + j
            gathered = np.where(chosen, _tap(padded, i, j, output_size, stride, dilation), gathered)
    return gathered


def _window_lengths(
    size: int, output_size: int, kernel: int, stride: int, padding: int, count_include_pad: bool
) -> Any:
    """How many taps of every window count along one axis, (output_size,): at most up to the padding's end."""
    start = np.arange(output_size) * stride - padding
    stop = np.minimum(start + kernel, size + padding)
    if not count_include_pad:
        start, stop = np.maximum(start, 0), np.minimum(stop, size)
    return np.maximum(stop - start, 1)  # a window that sees no pixel has sum 0; 0 / 1 keeps it so


def _divisor(
    x: Any,
    size: Pair,
    output_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """By what the sum of every window is divided, (oh, ow), by torch's rule."""
    if divisor_override is not None:
        return np.full(output_size, divisor_override, dtype=x.dtype, like=x)
    rows, columns = (
        _window_lengths(size[a], output_size[a], kernel_size[a], stride[a], padding[a], count_include_pad)
        for a in range(2)
    )
    return np.asarray(np.outer(rows, columns).astype(x.dtype), like=x)


def avg_pool2d_forward(
    x: Any,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    output_size: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """y = sum of every window / its number of taps, zero outside x; (N, C, H, W) -> (N, C, oh, ow).

    The number of taps counts the padding if ``count_include_pad``, but never what hangs over behind it (ceil_mode);
    ``divisor_override`` replaces it (``torch.nn.functional.avg_pool2d``).
    """
    padded = _pad(x, 0, output_size, kernel_size, stride, padding, (1, 1))
    y = np.zeros((*x.shape[:2], *output_size), dtype=x.dtype, like=x)
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            y += _tap(padded, i, j, output_size, stride, (1, 1))
    y /= _divisor(x, x.shape[2:], output_size, kernel_size, stride, padding, count_include_pad, divisor_override)
    return y


def avg_pool2d_backward(
    grad: Any,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """Spread every output gradient evenly over its window: (N, C, oh, ow) -> dx of ``input_shape`` (N, C, H, W)."""
    height, width = input_shape[2:]
    output_size = grad.shape[2:]
    share = grad / _divisor(
        grad, (height, width), output_size, kernel_size, stride, padding, count_include_pad, divisor_override
    )
    size = _padded_size((height, width), output_size, kernel_size, stride, padding, (1, 1))
    padded = np.zeros((*input_shape[:2], *size), dtype=grad.dtype, like=grad)
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            view = _tap(padded, i, j, output_size, stride, (1, 1))
            view += share
    return padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width].copy()


def adaptive_avg_pool2d_forward(x: Any, output_size: Pair) -> Any:
    """The mean of oh * ow windows that cover x evenly: window i spans floor(i*H/oh) to ceil((i+1)*H/oh).

    ``x`` (N, C, H, W) -> (N, C, oh, ow); ``torch.nn.functional.adaptive_avg_pool2d``.
    """
    y = np.empty((*x.shape[:2], *output_size), dtype=x.dtype, like=x)
    for i in range(output_size[0]):
        top, bottom = adaptive_bounds(x.shape[2], output_size[0], i)
        for j in range(output_size[1]):
            left, right = adaptive_bounds(x.shape[3], output_size[1], j)
            y[:, :, i, j] = x[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return y


def adaptive_avg_pool2d_backward(grad: Any, input_shape: tuple[int, ...]) -> Any:
    """Spread every output gradient evenly over its window: (N, C, oh, ow) -> dx of ``input_shape`` (N, C, H, W)."""
    dx = np.zeros(input_shape, dtype=grad.dtype, like=grad)
    for i in range(grad.shape[2]):
        top, bottom = adaptive_bounds(input_shape[2], grad.shape[2], i)
        for j in range(grad.shape[3]):
            left, right = adaptive_bounds(input_shape[3], grad.shape[3], j)
            area = (bottom - top) * (right - left)
            dx[:, :, top:bottom, left:right] += grad[:, :, i : i + 1, j : j + 1] / area
    return dx
