"""Convolutions along one and three axes as layers, and the transposed one."""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.conv import Convolution
from minidl.ops.windows import numbers

__all__ = ["Conv1d", "Conv3d", "ConvTranspose2d"]


class Conv1d(Convolution):
    """Cross-correlation along one axis (``torch.nn.Conv1d``): input (N, C, L) or (C, L) -> (N, O, l).

    The arguments are ``Conv2d``'s, with one number in the place of two; weight (O, C / groups, k), bias (O,).
    """

    _axes = 1

    def forward(self, input: Tensor) -> Tensor:
        input, padding = self._padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(Convolution):
    """Cross-correlation along three axes (``torch.nn.Conv3d``): input (N, C, D, H, W) or (C, D, H, W) -> (N, O, ...).

    The arguments are ``Conv2d``'s, with three numbers in the place of two; weight (O, C / groups, kd, kh, kw), bias
    (O,).
    """

    _axes = 3

    def forward(self, input: Tensor) -> Tensor:
        input, padding = self._padded(input)
        return F.conv3d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose2d(Convolution):
    """The transposed convolution (``torch.nn.ConvTranspose2d``): input (N, C, H, W) or (C, H, W) -> (N, O, oh, ow).

    oh = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1; see ``functional.conv_transpose2d``.
    weight (C, O / groups, kh, kw) and bias (O,) start uniform in +-1/sqrt(O / groups * kh * kw).
    """

    _axes = 2
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        geometry = kernel_size, stride, padding, dilation, groups
        super().__init__(in_channels, out_channels, *geometry, bias, padding_mode, device, dtype)
        self.output_padding = numbers("ConvTranspose2d", "output_padding", output_padding, 0, 2)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """``output_size``: (oh, ow) wanted, of which stride leaves several possible; replaces ``output_padding``."""
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return F.conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that gives the wanted size."""
        wanted = tuple(output_size)[-2:]
        assert isinstance(self.padding, tuple)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(input.shape[-2:], self.stride, self.padding, self.dilation, self.kernel_size)
        ]
        extra = tuple([w - n for w, n in zip(wanted, least)])
        if len(wanted) != 2 or any(not 0 <= e < max(s, d) for e, s, d in zip(extra, self.stride, self.dilation)):
            most = tuple(n + max(s, d) - 1 for n, s, d in zip(least, self.stride, self.dilation))
            raise ArgumentError(
                "ConvTranspose2d", expected=f"an output_size from {tuple(least)} to {most}", got=repr(output_size)
            )
        return extra
