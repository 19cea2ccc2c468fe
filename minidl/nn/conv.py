"""Convolution as a layer, and what it shares with those along other axes and the transposed one."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from minidl._factories import zeros
from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.windows import numbers

__all__ = ["Conv2d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class Convolution(Module):
    """Arguments, weight and bias of all convolutions; ``_axes``: along how many axes the kernel moves."""

    _axes: ClassVar[int]
    _transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        who, axes = type(self).__name__, self._axes
        self.in_channels = whole(who, "in_channels", in_channels, 1)
        self.out_channels = whole(who, "out_channels", out_channels, 1)
        self.kernel_size = numbers(who, "kernel_size", kernel_size, 1, axes)
        self.stride = numbers(who, "stride", stride, 1, axes)
        self.dilation = numbers(who, "dilation", dilation, 1, axes)
        self.groups = whole(who, "groups", groups, 1)
        self.padding: str | tuple[int, ...]
        if isinstance(padding, str) and not self._transposed:
            if padding not in ("same", "valid"):
                raise ArgumentError(who, expected="padding 'same', 'valid' or numbers", got=repr(padding))
            if padding == "same" and self.stride != (1,) * axes:
                raise ArgumentError(who, expected="stride 1 with padding='same'", got=f"stride {self.stride}")
            self.padding = padding
        else:
            self.padding = numbers(who, "padding", padding, 0, axes)
        if padding_mode not in PADDING_MODES[: 1 if self._transposed else None]:
            modes = PADDING_MODES[0] if self._transposed else ", ".join(PADDING_MODES)
            raise ArgumentError(who, expected=f"padding_mode as one of {modes}", got=repr(padding_mode))
        self.padding_mode = padding_mode
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ArgumentError(who, expected=f"{name} divisible by groups={self.groups}", got=f"{channels}")
        first, second = self.out_channels, self.in_channels
        if self._transposed:
            first, second = second, first
        shape = (first, second // self.groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(zeros((self.out_channels,), dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weight, then the initial bias."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input with a border that is not of zeros, and the padding that is left to the convolution."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return input, self.padding
        extents = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
        if isinstance(self.padding, str):
            widths = [width for extent in reversed(extents) for width in (extent // 2, extent - extent // 2)]
        else:
            widths = [width for width in reversed(self.padding) for _ in range(2)]
        return F.pad(input, widths, mode=self.padding_mode), 0

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self._axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._axes:
            text += f", dilation={self.dilation}"
        if any(getattr(self, "output_padding", ())):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


class Conv2d(Convolution):
    """Cross-correlation with learned filters (``torch.nn.Conv2d``): input (N, C, H, W) or (C, H, W) -> (N, O, oh, ow).

    oh = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1. ``padding`` is an int, a pair (height, width),
    "valid" (none) or "same" (oh = H; stride 1 only); ``padding_mode`` says what the border is made of: "zeros",
    "reflect", "replicate" or "circular" (see ``functional.pad``).
    weight (O, C / groups, kh, kw) and bias (O,) start uniform in +-1/sqrt(C / groups * kh * kw).
    """

    _axes = 2

    def forward(self, input: Tensor) -> Tensor:
        input, padding = self._padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)  # type: ignore[arg-type]
