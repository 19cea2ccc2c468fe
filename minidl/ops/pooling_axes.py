"""Pooling along one axis, made of pooling along two; adaptive pooling along one and two."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.kernels.geometry import adaptive_bounds
from minidl.ops import extrema
from minidl.ops.gather import gather
from minidl.ops.pooling import AvgPool2d, ImageIndices, MaxPool2d, geometry_of
from minidl.ops.promotion import require_float
from minidl.ops.shape import expand
from minidl.ops.windows import batched, numbers, pair

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "max_pool1d",
]


def _image(who: str, input: Any) -> Any:
    """(N, C, L) -> (N, C, 1, L) and (C, L) -> (C, 1, L)."""
    require_float(who, input)
    if input.data.ndim not in (2, 3):
        raise ShapeError(who, expected="input (N, C, L) or (C, L)", got=str(input.data.shape))
    return input.unsqueeze(-2)


def _one(who: str, name: str, value: Any, least: int, rows: int) -> tuple[int, int]:
    """An argument of one axis as one of two, the first of which is ``rows``."""
    return (rows, numbers(who, name, value, least, 1)[0])


def _row_geometry(who: str, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    kernel = _one(who, "kernel_size", kernel_size, 1, 1)
    strides = kernel if stride is None or stride in ((), []) else _one(who, "stride", stride, 1, 1)
    pads, dilations = _one(who, "padding", padding, 0, 0), _one(who, "dilation", dilation, 1, 1)
    return geometry_of(who, _image(who, input), kernel, strides, pads, dilations, ceil)


def max_pool1d(
    input: T,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window: max_pool2d of images of height one.

    input: (N, C, L) or (C, L); other arguments as for max_pool2d. Result (N, C, l); with return_indices also where each
    maximum stands along L (int64). Raises ShapeError, ArgumentError, DTypeError. Source:
    torch.nn.functional.max_pool1d.
    """
    x, single, geometry = _row_geometry("max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode)
    y, positions = MaxPool2d.apply(x, **geometry)
    del geometry["output_size"]
    axes = (0, 2) if single else 2
    if not return_indices:
        return y.squeeze(axes)
    return y.squeeze(axes), ImageIndices.apply(positions, width=x.data.shape[3], **geometry).squeeze(axes)


def avg_pool1d(
    input: T,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> T:
    """The mean of each window: avg_pool2d of images of height one.

    input: (N, C, L) or (C, L); other arguments as for avg_pool2d. Result (N, C, l). Raises ShapeError, ArgumentError,
    DTypeError. Source: torch.nn.functional.avg_pool1d.
    """
    x, single, geometry = _row_geometry("avg_pool1d", input, kernel_size, stride, padding, 1, ceil_mode)
    del geometry["dilation"]
    y = AvgPool2d.apply(x, count_include_pad=bool(count_include_pad), divisor_override=None, **geometry)
    return y.squeeze((0, 2) if single else 2)


def adaptive_avg_pool1d(input: T, output_size: Any) -> T:
    """The mean over windows chosen so that the result has length output_size; see adaptive_avg_pool2d.

    input: (N, C, L) or (C, L). Source: torch.nn.functional.adaptive_avg_pool1d.
    """
    x, single = batched("adaptive_avg_pool1d", _image("adaptive_avg_pool1d", input))
    size = _one("adaptive_avg_pool1d", "output_size", output_size, 1, 1)
    if 0 in x.data.shape[1:]:
        raise ShapeError("adaptive_avg_pool1d", expected="channels and a length above 0", got=str(input.data.shape))
    return AdaptiveAvgPool2d.apply(x, output_size=size).squeeze((0, 2) if single else 2)


def _windows(xp: Any, length: int, count: int) -> Any:
    """The elements of ``count`` adaptive windows, (count, widest); a narrower one repeats its last element."""
    bounds = [adaptive_bounds(length, count, i) for i in range(count)]
    widest = max([stop - start for start, stop in bounds], default=0)
    numbers = xp.arange(count)[:, None]
    start, stop = numbers * length // max(count, 1), -(-(numbers + 1) * length // max(count, 1))
    return xp.minimum(start + xp.arange(widest), stop - 1)


@on_its_device
def _adaptive_max(who: str, input: Any, size: tuple[int, int], return_indices: bool) -> Any:
    """The largest element of each window of an image (N, C, H, W) or (C, H, W): windows gathered, then compared."""
    x, single = batched(who, input)
    if 0 in x.data.shape[1:]:
        raise ShapeError(who, expected="channels and an image that are not empty", got=str(input.data.shape))
    xp = namespace(x.data)
    height, width = x.data.shape[2:]
    rows, columns = _windows(xp, height, size[0]), _windows(xp, width, size[1])
    # (oh, 1, kh, 1) and (1, ow, 1, kw) pick (N, C, oh, ow, kh, kw) from (N, C, H, W)
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    windows = x[:, :, row, column]
    y, position = extrema.max(windows.reshape(*windows.data.shape[:4], rows.shape[1] * columns.shape[1]), -1)
    if single:
        y = y.squeeze(0)
    if not return_indices:
        return y
    places = x._make((row * width + column).reshape(1, 1, *size, -1))  # (1, 1, oh, ow, kh * kw)
    indices = gather(expand(places, *windows.data.shape[:4], -1), 4, position.unsqueeze(4)).squeeze(4)
    return y, indices.squeeze(0) if single else indices


def adaptive_max_pool2d(input: T, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of windows chosen so that the result has output_size; see adaptive_avg_pool2d.

    input: (N, C, H, W) or (C, H, W); output_size: one integer or two; None keeps the input's length. With
    return_indices also where each maximum stands in its image, h * W + w (int64). Raises ShapeError, ArgumentError,
    DTypeError. Source: torch.nn.functional.adaptive_max_pool2d.
    """
    who = "adaptive_max_pool2d"
    require_float(who, input)
    if input.data.ndim not in (3, 4):
        raise ShapeError(who, expected="input (N, C, H, W) or (C, H, W)", got=str(input.data.shape))
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    filled = tuple(length if n is None else n for n, length in zip(wanted, input.data.shape[-2:]))
    if len(wanted) != 2:
        raise ArgumentError(who, expected="output_size as one or two integers", got=repr(output_size))
    height, width = numbers(who, "output_size", filled, 1, 2)
    return _adaptive_max(who, input, (height, width), return_indices)


def adaptive_max_pool1d(input: T, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of windows chosen so that the result has length output_size; see adaptive_max_pool2d.

    input: (N, C, L) or (C, L). Source: torch.nn.functional.adaptive_max_pool1d.
    """
    who = "adaptive_max_pool1d"
    image = _image(who, input)
    result = _adaptive_max(who, image, _one(who, "output_size", output_size, 1, 1), return_indices)
    return tuple([t.squeeze(-2) for t in result]) if return_indices else result.squeeze(-2)


class AdaptiveAvgPool2d(Function):
    """The mean of each of oh x ow windows that cover the image as evenly as integers allow."""

    def forward(self, x: Any, output_size: tuple[int, int]) -> Any:
        self.shape = x.shape
        return kernels.adaptive_avg_pool2d_forward(x, output_size)

    def backward(self, grad: Any) -> Any:
        return AdaptiveAvgPool2dGradient.evaluate(grad, input_shape=self.shape)


class AdaptiveAvgPool2dGradient(Function):
    """Each window's gradient shared evenly among its elements."""

    def forward(self, grad: Any, input_shape: tuple[int, ...]) -> Any:
        self.output_size = grad.shape[2:]
        return kernels.adaptive_avg_pool2d_backward(grad, input_shape)

    def backward(self, grad: Any) -> Any:
        return AdaptiveAvgPool2d.evaluate(grad, output_size=self.output_size)


def adaptive_avg_pool2d(input: T, output_size: Any) -> T:
    """The mean over windows chosen so that the result has output_size; window i of n over length L is [iL/n, (i+1)L/n).

    input: (N, C, H, W) or (C, H, W); output_size: one integer or two; None keeps the input's length. Result
    (N, C, oh, ow). Raises ShapeError, ArgumentError, DTypeError. Source: torch.nn.functional.adaptive_avg_pool2d.
    """
    require_float("adaptive_avg_pool2d", input)
    x: Any
    x, single = batched("adaptive_avg_pool2d", input)
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(wanted) != 2:
        raise DTypeError("adaptive_avg_pool2d", expected="output_size as one or two integers", got=repr(output_size))
    filled = tuple(length if n is None else n for n, length in zip(wanted, x.data.shape[2:]))
    sizes = pair("adaptive_avg_pool2d", "output_size", filled, 1)
    if 0 in x.data.shape[1:]:
        raise ShapeError("adaptive_avg_pool2d", expected="an image that is not empty", got=str(x.data.shape))
    y: Any = AdaptiveAvgPool2d.apply(x, output_size=sizes)
    return y.squeeze(0) if single else y
