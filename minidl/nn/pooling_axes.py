"""Pooling along one axis, and adaptive pooling, as layers."""

from __future__ import annotations

from typing import Any, ClassVar

from minidl._tensor import Tensor
from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.nn.pooling import MaxPool, check_window
from minidl.ops.windows import numbers

__all__ = ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "MaxPool1d"]


class MaxPool1d(MaxPool):
    """The maximum of each window (``torch.nn.MaxPool1d``): input (N, C, L) or (C, L) -> (N, C, l)."""

    _axes = 1

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(Module):
    """The mean of each window (``torch.nn.AvgPool1d``): input (N, C, L) or (C, L) -> (N, C, l)."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        check_window("AvgPool1d", kernel_size, stride, padding, 1)
        self.kernel_size = numbers("AvgPool1d", "kernel_size", kernel_size, 1, 1)
        self.stride = self.kernel_size if stride is None else numbers("AvgPool1d", "stride", stride, 1, 1)
        self.padding = numbers("AvgPool1d", "padding", padding, 0, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _Adaptive(Module):
    """Windows that tile the input, so many along each of ``_axes`` axes; a side that is None keeps the input's."""

    _axes: ClassVar[int]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        sides = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
        numbers(type(self).__name__, "output_size", tuple(1 if side is None else side for side in sides), 1, self._axes)
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The mean of windows that tile the input (``torch.nn.AdaptiveAvgPool1d``): (N, C, L) -> (N, C, output_size)."""

    _axes = 1

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """The mean of windows that tile the input (``torch.nn.AdaptiveAvgPool2d``): (N, C, H, W) -> (N, C, *output_size).

    A side of ``output_size`` that is None keeps the input's.
    """

    _axes = 2

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The maximum of windows that tile the input (``torch.nn.AdaptiveMaxPool1d``): (N, C, L) -> (N, C, output_size)."""

    _axes = 1

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The maximum of windows that tile the input (``torch.nn.AdaptiveMaxPool2d``): (N, C, H, W) -> (N, C, oh, ow)."""

    _axes = 2

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
