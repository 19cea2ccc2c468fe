"""Two-dimensional convolution as a layer."""

from __future__ import annotations

import math
from typing import Any

from minidl._factories import zeros
from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.windows import pair

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlation with learned filters (``torch.nn.Conv2d``): input (N, C, H, W) or (C, H, W) -> (N, O, oh, ow).

    oh = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1. ``padding`` is an int, a pair (height, width),
    "valid" (none) or "same" (oh = H; stride 1 only); the border is zeros, another ``padding_mode`` is an ArgumentError.
    weight (O, C / groups, kh, kw) and bias (O,) start uniform in +-1/sqrt(C / groups * kh * kw).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_channels = whole("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = whole("Conv2d", "out_channels", out_channels, 1)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.groups = whole("Conv2d", "groups", groups, 1)
        self.padding: str | tuple[int, int]
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError("Conv2d", expected="padding 'same', 'valid' or numbers", got=repr(padding))
            if padding == "same" and self.stride != (1, 1):
                raise ArgumentError("Conv2d", expected="stride 1 with padding='same'", got=f"stride {self.stride}")
            self.padding = padding
        else:
            self.padding = pair("Conv2d", "padding", padding, 0)
        if padding_mode != "zeros":
            raise ArgumentError(
                "Conv2d",
                expected="padding_mode 'zeros'",
                got=repr(padding_mode),
                hint="Other borders are not implemented; pad the input before the layer.",
            )
        self.padding_mode = padding_mode
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ArgumentError("Conv2d", expected=f"{name} divisible by groups={self.groups}", got=f"{channels}")
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(zeros((self.out_channels,), dtype=dtype, device=device))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weight, then the initial bias."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"
