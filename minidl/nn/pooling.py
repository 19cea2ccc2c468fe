"""Pooling layers: the largest or the mean value of each window."""

from __future__ import annotations

from typing import Any, ClassVar

from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.ops.windows import numbers

__all__ = ["AvgPool2d", "MaxPool2d"]

Size = int | tuple[int, int]


class MaxPool(Module):
    """What max pooling along one and two axes shares; ``_axes``: how many."""

    _axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        check_window(who, kernel_size, stride, padding, self._axes)
        numbers(who, "dilation", dilation, 1, self._axes)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool2d(MaxPool):
    """The maximum of each window (``torch.nn.MaxPool2d``): input (N, C, H, W) or (C, H, W) -> (N, C, oh, ow).

    The padding counts as minus infinity. With ``return_indices`` forward gives (output, indices into the plane H W).
    """

    _axes = 2

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
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
        check_window("AvgPool2d", kernel_size, stride, padding, 2)
        if divisor_override is not None:
            whole("AvgPool2d", "divisor_override", divisor_override, 1)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        window = self.kernel_size, self.stride, self.padding
        return F.avg_pool2d(input, *window, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def check_window(who: str, kernel_size: Any, stride: Any, padding: Any, axes: int) -> None:
    """Raise DTypeError or ArgumentError for a window that cannot be: sizes below 1, a padding above half the kernel."""
    kernel = numbers(who, "kernel_size", kernel_size, 1, axes)
    if stride is not None:
        numbers(who, "stride", stride, 1, axes)
    border = numbers(who, "padding", padding, 0, axes)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError(
            who,
            expected="padding of at most half the kernel_size",
            got=f"padding={padding} with kernel_size={kernel_size}",
        )
