"""Windows of images as columns, and back; channels as pixels."""

from __future__ import annotations

from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.errors import DTypeError, ShapeError
from minidl.kernels.geometry import conv_output_size
from minidl.ops.promotion import require_float, require_tensor
from minidl.ops.windows import Pair, batched, check_fits, pair

__all__ = ["fold", "pixel_shuffle", "unfold"]


class Unfold(Function):
    """Every window as a column, (N, C, H, W) -> (N, C * kh * kw, oh * ow); linear, undone by its adjoint."""

    def forward(self, x: Any, **geometry: Any) -> Any:
        self.geometry, self.image = geometry, x.shape[2:]
        columns = kernels.im2col(x, **geometry)  # (C, kh, kw, N, oh, ow)
        C, kh, kw, N, oh, ow = columns.shape
        # (C, kh, kw, N, oh, ow) -> (N, C, kh, kw, oh, ow) -> (N, C * kh * kw, oh * ow)
        return columns.transpose(3, 0, 1, 2, 4, 5).reshape(N, C * kh * kw, oh * ow)

    def backward(self, grad: Any) -> Any:
        return Fold.evaluate(grad, image=self.image, **self.geometry)


class Fold(Function):
    """Every column added where its window lies, (N, C * kh * kw, oh * ow) -> (N, C, H, W)."""

    def forward(self, x: Any, image: tuple[int, int], kernel_size: Any, **geometry: Any) -> Any:
        self.geometry = {"kernel_size": kernel_size, **geometry}
        sizes = _windows(image, kernel_size, **geometry)
        N, channels = x.shape[0], x.shape[1] // (kernel_size[0] * kernel_size[1])
        # (N, C * kh * kw, oh * ow) -> (N, C, kh, kw, oh, ow) -> (C, kh, kw, N, oh, ow)
        columns = x.reshape(N, channels, *kernel_size, *sizes).transpose(1, 2, 3, 0, 4, 5)
        return kernels.col2im(columns, (N, channels, *image), **geometry)

    def backward(self, grad: Any) -> Any:
        return Unfold.evaluate(grad, **self.geometry)


def _windows(image: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, int]:
    """How many windows fit into the image, vertically and horizontally."""
    rows, columns = (conv_output_size(*v) for v in zip(image, kernel_size, stride, padding, dilation))
    return rows, columns


def _geometry(who: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, tuple[int, int]]:
    return {
        "kernel_size": pair(who, "kernel_size", kernel_size, 1),
        "stride": pair(who, "stride", stride, 1),
        "padding": pair(who, "padding", padding, 0),
        "dilation": pair(who, "dilation", dilation, 1),
    }


def _check_fits(who: str, shape: tuple[int, ...], geometry: dict[str, tuple[int, int]]) -> None:
    (kh, kw), (dh, dw) = geometry["kernel_size"], geometry["dilation"]
    check_fits(who, shape, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), geometry["padding"])


def unfold(input: T, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> T:
    """Every window of the images as a column, zeros where it lies over the padding (im2col).

    input: (N, C, H, W) or (C, H, W); result (N, C * kh * kw, L), L the number of windows, row by row; or without N.
    Raises ShapeError, ArgumentError, DTypeError. Source: torch.nn.functional.unfold.
    """
    require_float("unfold", input)
    x, single = batched("unfold", input)
    geometry = _geometry("unfold", kernel_size, dilation, padding, stride)
    if 0 in x.data.shape[1:]:
        raise ShapeError("unfold", expected="channels and an image that are not empty", got=str(input.data.shape))
    _check_fits("unfold", x.data.shape, geometry)
    y: Any = Unfold.apply(x, **geometry)
    return y.squeeze(0) if single else y


def fold(input: T, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> T:
    """Images from columns, each added where its window lies: the adjoint of unfold.

    input: (N, C * kh * kw, L) or without N; output_size: (H, W); result (N, C, H, W). Raises ShapeError, ArgumentError,
    DTypeError. Source: torch.nn.functional.fold.
    """
    require_float("fold", input)
    image = pair("fold", "output_size", output_size, 1)
    geometry = _geometry("fold", kernel_size, dilation, padding, stride)
    shape = input.data.shape
    if len(shape) not in (2, 3):
        raise ShapeError("fold", expected="input (N, C * kh * kw, L) or (C * kh * kw, L)", got=str(shape))
    taps = geometry["kernel_size"][0] * geometry["kernel_size"][1]
    _check_fits("fold", (1, 1, *image), geometry)
    rows, columns = _windows(image, **geometry)
    if shape[-2] == 0 or shape[-2] % taps or shape[-1] != rows * columns:
        raise ShapeError(
            "fold", expected=f"a multiple of {taps} channels and {rows} * {columns} columns", got=str(shape)
        )
    values: Any = input
    y: Any = Fold.apply(values if len(shape) == 3 else values.unsqueeze(0), image=image, **geometry)
    return y if len(shape) == 3 else y.squeeze(0)


def pixel_shuffle(input: T, upscale_factor: int) -> T:
    """Channels as pixels: (..., C r^2, H, W) -> (..., C, H r, W r), r the upscale_factor.

    Raises ShapeError where the channels are not divisible by r^2. Source: torch.nn.functional.pixel_shuffle; Shi et al.
    2016.
    """
    require_tensor("pixel_shuffle", input)
    if isinstance(upscale_factor, bool) or not hasattr(upscale_factor, "__index__"):
        raise DTypeError("pixel_shuffle", expected="upscale_factor as an integer", got=repr(upscale_factor))
    shape, r = input.data.shape, upscale_factor.__index__()
    if len(shape) < 3 or r < 1 or shape[-3] % (r * r):
        raise ShapeError(
            "pixel_shuffle", expected=f"input (..., C, H, W) with C divisible by {r}^2, {r} above 0", got=str(shape)
        )
    lead, (channels, H, W) = shape[:-3], shape[-3:]
    n = len(lead)
    x: Any = input
    # (..., C r r, H, W) -> (..., C, r, r, H, W) -> (..., C, H, r, W, r) -> (..., C, H r, W r)
    apart = x.reshape(*lead, channels // (r * r), r, r, H, W)
    moved = apart.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return moved.reshape(*lead, channels // (r * r), H * r, W * r)
