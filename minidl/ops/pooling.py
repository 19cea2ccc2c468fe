"""Max and average pooling in two dimensions."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.backend.dtypes import int64
from minidl.errors import ArgumentError, ShapeError
from minidl.kernels.geometry import pool_output_size
from minidl.ops.promotion import require_float
from minidl.ops.windows import Pair, batched, check_fits, pair

__all__ = ["avg_pool2d", "geometry_of", "max_pool2d"]


class MaxPool2d(Function):
    """The largest element of each window, and its position i * kw + j in the window (the first of several equals)."""

    def forward(self, x: Any, output_size: tuple[int, int], **geometry: Any) -> Any:
        self.geometry, self.shape = geometry, x.shape
        y, positions = kernels.max_pool2d_forward(x, output_size=output_size, **geometry)
        self.save_for_backward(positions)
        return y, positions

    def backward(self, grad: Any, _: Any) -> Any:
        (positions,) = self.saved_arrays
        return MaxPool2dScatter.evaluate(grad, positions=positions, input_shape=self.shape, **self.geometry)


class MaxPool2dScatter(Function):
    """Each window's gradient at its position, added up where windows overlap; undone by a gather."""

    def forward(self, grad: Any, positions: Any, input_shape: tuple[int, ...], **geometry: Any) -> Any:
        self.geometry = geometry
        self.save_for_backward(positions)
        return kernels.max_pool2d_backward(grad, positions, input_shape, **geometry)

    def backward(self, grad: Any) -> Any:
        return MaxPool2dGather.evaluate(grad, positions=self.saved_arrays[0], **self.geometry)


class MaxPool2dGather(Function):
    """The element of each window at its position."""

    def forward(self, x: Any, positions: Any, **geometry: Any) -> Any:
        self.geometry, self.shape = geometry, x.shape
        self.save_for_backward(positions)
        return kernels.max_pool2d_gather(x, positions, **geometry)

    def backward(self, grad: Any) -> Any:
        positions = self.saved_arrays[0]
        return MaxPool2dScatter.evaluate(grad, positions=positions, input_shape=self.shape, **self.geometry)


class ImageIndices(Function):
    """Positions in the windows as positions in the images, h * W + w: integers, without a gradient."""

    def forward(self, positions: Any, width: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
        xp = namespace(positions)
        rows, columns = xp.divmod(positions.astype(int64), kernel_size[1])
        oh, ow = positions.shape[2:]
        h = xp.arange(oh)[:, None] * stride[0] - padding[0] + rows * dilation[0]  # (oh, 1) beside (N, C, oh, ow)
        w = xp.arange(ow) * stride[1] - padding[1] + columns * dilation[1]
        return h * width + w


class AvgPool2d(Function):
    """The mean of each window."""

    def forward(self, x: Any, output_size: tuple[int, int], **geometry: Any) -> Any:
        self.output_size, self.geometry, self.shape = output_size, geometry, x.shape
        return kernels.avg_pool2d_forward(x, output_size=output_size, **geometry)

    def backward(self, grad: Any) -> Any:
        return AvgPool2dGradient.evaluate(grad, input_shape=self.shape, **self.geometry)


class AvgPool2dGradient(Function):
    """Each window's gradient shared evenly among its elements: linear, undone by the pooling itself."""

    def forward(self, grad: Any, input_shape: tuple[int, ...], **geometry: Any) -> Any:
        self.output_size, self.geometry = grad.shape[2:], geometry
        return kernels.avg_pool2d_backward(grad, input_shape, **geometry)

    def backward(self, grad: Any) -> Any:
        return AvgPool2d.evaluate(grad, output_size=self.output_size, **self.geometry)


def geometry_of(
    who: str, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Any, bool, dict[str, Any]]:
    """The checked input as (N, C, H, W), whether N was added, and the window as the kernels want it."""
    require_float(who, input)
    x, single = batched(who, input)
    kernel = pair(who, "kernel_size", kernel_size, 1)
    strides = kernel if stride is None or stride in ((), []) else pair(who, "stride", stride, 1)
    pads = pair(who, "padding", padding, 0)
    dilations = pair(who, "dilation", dilation, 1)
    if 2 * pads[0] > kernel[0] or 2 * pads[1] > kernel[1]:
        raise ArgumentError(
            who,
            expected=f"padding of at most half the kernel_size {kernel}",
            got=str(pads),
            hint="Pad explicitly first.",
        )
    shape = x.data.shape
    if 0 in shape[1:]:
        raise ShapeError(who, expected="channels and an image that are not empty", got=str(shape))
    sizes = tuple(pool_output_size(*values, ceil_mode) for values in zip(shape[2:], kernel, strides, pads, dilations))
    if min(sizes) < 1:  # with ceil_mode a window may hang over the far end, and so be larger than the image
        check_fits(who, shape, tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel)), pads)  # type: ignore[arg-type]
    return (
        x,
        single,
        {"kernel_size": kernel, "stride": strides, "padding": pads, "output_size": sizes, "dilation": dilations},
    )


def max_pool2d(
    input: T,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window; padding counts as minus infinity; the first of several equals wins.

    input: (N, C, H, W) or (C, H, W); kernel_size, stride (default: kernel_size), dilation: at least 1; padding: at most
    half the kernel; ceil_mode: round the output size up, so that windows may overhang. Result (N, C, oh, ow); with
    return_indices also where each maximum stands in its image, as h * W + w (int64). Raises ShapeError, ArgumentError,
    DTypeError. Source: torch.nn.functional.max_pool2d.
    """
    x, single, geometry = geometry_of("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode)
    y, positions = MaxPool2d.apply(x, **geometry)
    if single:
        y = y.squeeze(0)
    if not return_indices:
        return y
    del geometry["output_size"]
    indices = ImageIndices.apply(positions, width=x.data.shape[3], **geometry)
    return y, indices.squeeze(0) if single else indices


def avg_pool2d(
    input: T,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> T:
    """The mean of each window.

    input: (N, C, H, W) or (C, H, W); kernel_size, stride (default: kernel_size): at least 1; padding: zeros, at most
    half the kernel; count_include_pad: whether they count in the divisor; divisor_override: divide by this number
    instead. Result (N, C, oh, ow). Raises ShapeError, ArgumentError, DTypeError. Source:
    torch.nn.functional.avg_pool2d.
    """
    x, single, geometry = geometry_of("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    del geometry["dilation"]
    if divisor_override is not None and (not hasattr(divisor_override, "__index__") or divisor_override == 0):
        raise ArgumentError(
            "avg_pool2d", expected="divisor_override as an integer other than 0", got=repr(divisor_override)
        )
    y: Any = AvgPool2d.apply(
        x, count_include_pad=bool(count_include_pad), divisor_override=divisor_override, **geometry
    )
    return y.squeeze(0) if single else y
