"""Two-dimensional convolution; its two gradients are operations of their own and close under differentiation."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.errors import ArgumentError, ShapeError, dims
from minidl.ops.matmul import ChannelSum
from minidl.ops.padding import pad
from minidl.ops.promotion import require_float, same_dtype
from minidl.ops.windows import Pair, batched, check_fits, pair

__all__ = ["conv2d"]


class Conv2d(Function):
    """y = x * weight + bias; x (N, C, H, W), weight (O, C/groups, kh, kw), y (N, O, oh, ow)."""

    def forward(self, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
        self.geometry, self.shapes = geometry, (x.shape, weight.shape)
        need_x, need_weight, _ = self.needs_input_grad
        self.save_for_backward(x if need_weight else None, weight if need_x else None)
        return kernels.conv2d_forward(x, weight, bias, **geometry)

    def backward(self, grad: Any) -> Any:
        x, weight = self.saved_tensors
        need_x, need_weight, need_bias = self.needs_input_grad
        shape_x, shape_weight = self.shapes
        return (
            Conv2dInputGradient.evaluate(grad, weight, input_shape=shape_x, **self.geometry) if need_x else None,
            Conv2dWeightGradient.evaluate(grad, x, weight_shape=shape_weight, **self.geometry) if need_weight else None,
            ChannelSum.evaluate(grad) if need_bias else None,
        )


class Conv2dInputGradient(Function):
    """The transposed convolution: linear in the gradient and in the weight."""

    def forward(self, grad: Any, weight: Any, input_shape: tuple[int, ...], **geometry: Any) -> Any:
        self.geometry, self.weight_shape = geometry, weight.shape
        self.save_for_backward(grad, weight)
        return kernels.conv2d_input_gradient(grad, weight, input_shape, **geometry)

    def backward(self, upstream: Any) -> Any:
        grad, weight = self.saved_tensors
        need_grad, need_weight = self.needs_input_grad
        return (
            Conv2d.evaluate(upstream, weight, None, **self.geometry) if need_grad else None,
            Conv2dWeightGradient.evaluate(grad, upstream, weight_shape=self.weight_shape, **self.geometry)
            if need_weight
            else None,
        )


class Conv2dWeightGradient(Function):
    """The correlation of the input with the gradient: linear in both."""

    def forward(self, grad: Any, x: Any, weight_shape: tuple[int, ...], **geometry: Any) -> Any:
        self.geometry, self.input_shape = geometry, x.shape
        self.save_for_backward(grad, x)
        return kernels.conv2d_weight_gradient(grad, x, weight_shape, **geometry)

    def backward(self, upstream: Any) -> Any:
        grad, x = self.saved_tensors
        need_grad, need_x = self.needs_input_grad
        return (
            Conv2d.evaluate(x, upstream, None, **self.geometry) if need_grad else None,
            Conv2dInputGradient.evaluate(grad, upstream, input_shape=self.input_shape, **self.geometry)
            if need_x
            else None,
        )


def conv2d(
    input: T,
    weight: Any,
    bias: Any = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> T:
    """Two-dimensional cross-correlation.

    y[n, o, i, j] = bias[o] + sum over c, r, s of weight[o, c, r, s] * x[n, c, i*sh - ph + r*dh, j*sw - pw + s*dw],
    where x is 0 outside the image and c runs over the input channels of o's group.

    input: (N, C, H, W) or (C, H, W); weight: (O, C/groups, kh, kw); bias: (O,) or None; stride, dilation: at least 1;
    padding: at least 0, or "valid" (none), or "same" (the result has the input's size; stride 1 only; what is uneven
    goes to the right and bottom). Result (N, O, oh, ow) with oh = floor((H + 2 ph - dh (kh - 1) - 1) / sh) + 1, or
    without N. Raises ShapeError, ArgumentError, DTypeError. Source: torch.nn.functional.conv2d.
    """
    require_float("conv2d", input, weight, bias)
    x: Any
    x, single = batched("conv2d", input)
    shape, kernel = x.data.shape, weight.data.shape
    if len(kernel) != 4:
        raise ShapeError("conv2d", expected="a weight (O, C/groups, kh, kw)", got=str(kernel))
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1 or kernel[0] % groups:
        raise ArgumentError("conv2d", expected=f"groups of at least 1 that divide O={kernel[0]}", got=repr(groups))
    if shape[1] != kernel[1] * groups:
        raise ShapeError(
            "conv2d",
            expected=f"input with {kernel[1] * groups} channels (weight: {dims('O C kh kw', kernel)}, groups={groups})",
            got=f"{shape[1]} (input: {dims('N C H W', shape)})",
            hint="Did the previous layer change its out_channels?",
        )
    if bias is not None and bias.data.shape != kernel[:1]:
        raise ShapeError("conv2d", expected=f"bias of shape ({kernel[0]},)", got=str(bias.data.shape))
    same_dtype("conv2d", x, weight, bias)
    strides = pair("conv2d", "stride", stride, 1)
    dilations = pair("conv2d", "dilation", dilation, 1)
    extents = dilations[0] * (kernel[2] - 1) + 1, dilations[1] * (kernel[3] - 1) + 1
    if isinstance(padding, str):
        x, pads = _named_padding(x, padding, strides, extents)
        shape = x.data.shape
    else:
        pads = pair("conv2d", "padding", padding, 0)
    check_fits("conv2d", shape, extents, pads)
    result: Any = Conv2d.apply(
        x, weight, bias, stride=strides, padding=pads, dilation=dilations, groups=groups.__index__()
    )
    return result.squeeze(0) if single else result


def _named_padding(
    x: Any, padding: str, stride: tuple[int, int], extents: tuple[int, int]
) -> tuple[Any, tuple[int, int]]:
    """Padding by name, in numbers; an uneven "same" pads the right and bottom by one more, before the convolution."""
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ArgumentError("conv2d", expected='padding as integers, "same" or "valid"', got=repr(padding))
    if stride != (1, 1):
        raise ArgumentError("conv2d", expected='stride 1 with padding "same"', got=str(stride))
    total = extents[0] - 1, extents[1] - 1
    if total[0] % 2 or total[1] % 2:
        x = pad(x, (0, total[1] % 2, 0, total[0] % 2))
    return x, (total[0] // 2, total[1] // 2)
