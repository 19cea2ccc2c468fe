"""Convolution along one axis and along three, and the transposed convolution, all made of the one along two."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.conv import Conv2d, Conv2dInputGradient
from minidl.ops.padding import pad
from minidl.ops.promotion import require_float, same_dtype
from minidl.ops.windows import numbers

__all__ = ["conv1d", "conv3d", "conv_transpose2d"]

AXES = {1: "L", 2: "H, W", 3: "D, H, W"}


def _check(who: str, axes: int, input: Any, weight: Any, bias: Any, groups: Any, transposed: bool = False) -> Any:
    """The input with a batch axis, and whether that had to be added."""
    require_float(who, input, weight, bias)
    same_dtype(who, input, weight, bias)
    names = AXES[axes]
    shape, kernel = input.data.shape, weight.data.shape
    if len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(who, expected=f"input (N, C, {names}) or (C, {names})", got=str(shape))
    if len(kernel) != axes + 2 or 0 in kernel:
        first = "C, O/groups" if transposed else "O, C/groups"
        raise ShapeError(who, expected=f"a weight ({first}, kernel) with {axes} kernel axes", got=str(kernel))
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1 or kernel[0] % groups:
        raise ArgumentError(who, expected=f"groups of at least 1 that divide {kernel[0]}", got=repr(groups))
    channels = kernel[0] if transposed else kernel[1] * groups
    if shape[-axes - 1] != channels:
        raise ShapeError(
            who,
            expected=f"input with {channels} channels (weight: {kernel}, groups={groups})",
            got=f"{shape[-axes - 1]} (input: {shape})",
        )
    filters = kernel[1] * groups if transposed else kernel[0]
    if bias is not None and bias.data.shape != (filters,):
        raise ShapeError(who, expected=f"bias of shape ({filters},)", got=str(bias.data.shape))
    single = len(shape) == axes + 1
    return (input.unsqueeze(0) if single else input), single


def _padded(
    who: str, x: Any, kernel: tuple[int, ...], stride: tuple[int, ...], padding: Any, dilation: tuple[int, ...]
) -> tuple[Any, tuple[int, ...]]:
    """The padding in numbers; an uneven "same" pads the far ends by one more, before the convolution."""
    axes = len(kernel)
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    if not isinstance(padding, str):
        pads = numbers(who, "padding", padding, 0, axes)
    elif padding == "valid":
        pads = (0,) * axes
    elif padding != "same":
        raise ArgumentError(who, expected='padding as integers, "same" or "valid"', got=repr(padding))
    elif stride != (1,) * axes:
        raise ArgumentError(who, expected='stride 1 with padding "same"', got=str(stride))
    else:
        pads = tuple([(extent - 1) // 2 for extent in extents])
        uneven = [(extent - 1) % 2 for extent in extents]
        if any(uneven):
            x = pad(x, [width for n in reversed(uneven) for width in (0, n)])
    lengths = [n + 2 * p for n, p in zip(x.data.shape[2:], pads)]
    if any(extent > n for extent, n in zip(extents, lengths)):
        raise ShapeError(
            who,
            expected=f"a window within the padded input, {tuple(lengths)} (input: {x.data.shape})",
            got=str(tuple(extents)),
            hint="Use a smaller kernel, less dilation or more padding.",
        )
    return x, pads


def conv1d(
    input: T, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> T:
    """One-dimensional cross-correlation: conv2d of images of height one.

    input: (N, C, L) or (C, L); weight: (O, C/groups, k); bias: (O,) or None; other arguments as for conv2d. Result
    (N, O, l) with l = floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1, or without N. Raises ShapeError,
    ArgumentError, DTypeError. Source: torch.nn.functional.conv1d.
    """
    x, single = _check("conv1d", 1, input, weight, bias, groups)
    strides, dilations = (numbers("conv1d", n, v, 1, 1) for n, v in (("stride", stride), ("dilation", dilation)))
    x, pads = _padded("conv1d", x, weight.data.shape[2:], strides, padding, dilations)
    y = Conv2d.apply(
        x.unsqueeze(2),  # (N, C, L) -> (N, C, 1, L)
        weight.unsqueeze(2),
        bias,
        stride=(1, *strides),
        padding=(0, *pads),
        dilation=(1, *dilations),
        groups=groups.__index__(),
    ).squeeze(2)
    return y.squeeze(0) if single else y


def conv3d(
    input: T, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> T:
    """Three-dimensional cross-correlation: the sum, over the kernel's depth, of conv2d of the slices that it meets.

    input: (N, C, D, H, W) or (C, D, H, W); weight: (O, C/groups, kd, kh, kw); bias: (O,) or None; other arguments as
    for conv2d, with three numbers. Result (N, O, od, oh, ow), or without N. Raises ShapeError, ArgumentError,
    DTypeError. Source: torch.nn.functional.conv3d.
    """
    x, single = _check("conv3d", 3, input, weight, bias, groups)
    strides, dilations = (numbers("conv3d", n, v, 1, 3) for n, v in (("stride", stride), ("dilation", dilation)))
    kernel = weight.data.shape[2:]
    x, pads = _padded("conv3d", x, kernel, strides, padding, dilations)
    if pads[0]:
        x = pad(x, (0, 0, 0, 0, pads[0], pads[0]))
    batch, _, depth = x.data.shape[:3]
    planes = (depth - dilations[0] * (kernel[0] - 1) - 1) // strides[0] + 1
    geometry = {"stride": strides[1:], "padding": pads[1:], "dilation": dilations[1:], "groups": groups.__index__()}
    total: Any = None
    for i in range(kernel[0]):
        start = i * dilations[0]
        slices = x[:, :, start : start + strides[0] * (planes - 1) + 1 : strides[0]]  # (N, C, od, H, W)
        # (N, C, od, H, W) -> (N, od, C, H, W) -> (N * od, C, H, W)
        images = slices.transpose(1, 2).reshape(batch * planes, *x.data.shape[1:2], *x.data.shape[3:])
        part = Conv2d.apply(images, weight[:, :, i], bias if i == 0 else None, **geometry)
        total = part if total is None else total + part
    # (N * od, O, oh, ow) -> (N, od, O, oh, ow) -> (N, O, od, oh, ow)
    y = total.reshape(batch, planes, *total.data.shape[1:]).transpose(1, 2)
    return y.squeeze(0) if single else y


def conv_transpose2d(
    input: T,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> T:
    """The gradient of conv2d by its input, as an operation of its own: every pixel paints a scaled kernel.

    input: (N, C, H, W) or (C, H, W); weight: (C, O/groups, kh, kw); bias: (O,) or None; output_padding: rows and
    columns added at the far end, fewer than stride or dilation. Result (N, O, oh, ow) with oh = (H - 1) stride -
    2 padding + dilation (kh - 1) + output_padding + 1, or without N. Raises ShapeError, ArgumentError, DTypeError.
    Source: torch.nn.functional.conv_transpose2d; Dumoulin & Visin 2016.
    """
    who = "conv_transpose2d"
    x, single = _check(who, 2, input, weight, bias, groups, transposed=True)
    strides, dilations = (numbers(who, n, v, 1, 2) for n, v in (("stride", stride), ("dilation", dilation)))
    pads, extra = (numbers(who, n, v, 0, 2) for n, v in (("padding", padding), ("output_padding", output_padding)))
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations)):
        raise ArgumentError(who, expected="output_padding below stride or dilation", got=f"{extra} and {strides}")
    # Where dilation allows output_padding to reach the stride, the input itself gets rows or columns of zeros.
    beyond = [e // s for e, s in zip(extra, strides)]
    if any(beyond):
        x = pad(x, (0, beyond[1], 0, beyond[0]))
        extra = tuple([e % s for e, s in zip(extra, strides)])
    kernel = weight.data.shape
    sizes = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x.data.shape[2:], strides, pads, dilations, kernel[2:], extra)
    )
    if min(sizes) < 1 or 0 in x.data.shape[1:]:
        raise ShapeError(who, expected="a result of at least one pixel", got=f"{sizes} (input: {x.data.shape})")
    y = Conv2dInputGradient.apply(
        x,
        weight,
        input_shape=(x.data.shape[0], kernel[1] * groups, *sizes),
        stride=strides,
        padding=pads,
        dilation=dilations,
        groups=groups.__index__(),
    )
    if bias is not None:
        y = y + bias.reshape(-1, 1, 1)  # (O,) -> (O, 1, 1) beside (N, O, oh, ow)
    return y.squeeze(0) if single else y
