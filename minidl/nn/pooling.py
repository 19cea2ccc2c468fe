"""Pooling layers: the largest or the mean value of each window."""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.ops.windows import pair

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"]

Size = int | tuple[int, int]


class MaxPool2d(Module):
    """The maximum of each window (``torch.nn.MaxPool2d``): input (N, C, H, W) or (C, H, W) -> (N, C, oh, ow).

    The padding counts as minus infinity. With ``return_indices`` forward gives (output, indices into the plane H W).
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        _check_window("MaxPool2d", kernel_size, stride, padding)
        pair("MaxPool2d", "dilation", dilation, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window (``torch.nn.AvgPool2d``): input (N, C, H, W) or (C, H, W) -> (N, C, oh, ow).

    The sum is divided by ``divisor_override`` if given, else by the window's size, in which the zeros of the padding
    count unless ``count_include_pad`` is False.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        _check_window("AvgPool2d", kernel_size, stride, padding)
        if divisor_override is not None:
            whole("AvgPool2d", "divisor_override", divisor_override, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of windows that tile the input (``torch.nn.AdaptiveAvgPool2d``): (N, C, H, W) -> (N, C, *output_size).

    A side of ``output_size`` that is None keeps the input's.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        sides = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
        pair("AdaptiveAvgPool2d", "output_size", tuple(0 if side is None else side for side in sides), 0)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


def _check_window(who: str, kernel_size: Size, stride: Size | None, padding: Size) -> None:
    kernel = pair(who, "kernel_size", kernel_size, 1)
    if stride is not None:
        pair(who, "stride", stride, 1)
    border = pair(who, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError(
            who,
            expected="padding of at most half the kernel_size",
            got=f"padding={padding} with kernel_size={kernel_size}",
        )
