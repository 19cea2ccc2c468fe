"""Images of another size: each axis is a product with a small matrix whose rows hold the weights of the neighbours."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import T
from minidl.backend.arrays import namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.matmul import matmul
from minidl.ops.pooling_axes import AdaptiveAvgPool2d
from minidl.ops.promotion import require_float
from minidl.ops.shape import clone

__all__ = ["interpolate"]

_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", "area", *_AXES)


@on_its_device
def interpolate(
    input: T,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> T:
    """The input at another size.

    input: (N, C, L), (N, C, H, W) or (N, C, D, H, W). size: one integer or one for each axis after C; or scale_factor:
    how much larger, likewise. mode: "nearest", "nearest-exact", "area" (adaptive average pooling), "linear" (three
    axes), "bilinear", "bicubic" (four), "trilinear" (five). align_corners: the first and last pixels' centres stay in
    place (default: the image's borders do); not for "nearest" and "area". recompute_scale_factor: take the scale from
    the rounded size, not from scale_factor. antialias: average over as many pixels as one covers when shrinking;
    "bilinear" and "bicubic" only. Raises ArgumentError, ShapeError, DTypeError. Source:
    torch.nn.functional.interpolate.
    """
    require_float("interpolate", input)
    shape = input.data.shape
    if len(shape) not in (3, 4, 5):
        raise ShapeError("interpolate", expected="input (N, C, L), (N, C, H, W) or (N, C, D, H, W)", got=str(shape))
    axes = len(shape) - 2
    if mode not in _MODES:
        raise ArgumentError("interpolate", expected=f"mode as one of {', '.join(_MODES)}", got=repr(mode))
    if _AXES.get(mode, axes) != axes:
        raise ArgumentError("interpolate", expected=f'{_AXES[mode]} axes after C for mode "{mode}"', got=str(shape))
    if align_corners is not None and mode not in _AXES:
        raise ArgumentError("interpolate", expected=f'no align_corners with mode "{mode}"', got=repr(align_corners))
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError("interpolate", expected='antialias with "bilinear" or "bicubic" only', got=f'"{mode}"')
    sizes, factors = _sizes(shape[2:], size, scale_factor, bool(recompute_scale_factor))
    if 0 in shape[1:] or min(sizes) < 1:
        raise ShapeError("interpolate", expected="channels and images that are not empty", got=f"{shape} to {sizes}")
    result: Any = input
    if mode == "area":
        return _area(result, sizes)
    for axis, (old, new, factor) in enumerate(zip(shape[2:], sizes, factors), 2):
        if mode in ("nearest", "nearest-exact"):
            places = _nearest(namespace(input.data), old, new, factor, mode == "nearest-exact")
            result = result[(slice(None),) * axis + (places,)]
        elif old != new or (mode == "bicubic" and not antialias):  # else torch leaves the axis, whatever the factor
            scale = _scale(old, new, factor, bool(align_corners))
            rows = (_smooth_rows if antialias else _rows)(input.data, old, new, scale, bool(align_corners), mode)
            # The axis goes last for the product: (..., old) @ (old, new) -> (..., new).
            result = matmul(result.movedim(axis, -1), input._make(rows.T)).movedim(-1, axis)
    return result if result is not input else clone(input)


def _sizes(old: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool) -> tuple[list[int], list[Any]]:
    """The new lengths, and the factors as the user gave them (None where the scale follows from the lengths)."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate", expected="size or scale_factor", got="neither" if size is None else "both")
    given = size if size is not None else scale_factor
    values = list(given) if isinstance(given, (tuple, list)) else [given] * len(old)
    if len(values) != len(old):
        raise ArgumentError("interpolate", expected=f"{len(old)} numbers, one for each axis", got=repr(given))
    if size is not None:
        if recompute:
            raise ArgumentError("interpolate", expected="recompute_scale_factor with scale_factor only", got="size")
        if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in values):
            raise DTypeError("interpolate", expected="size as integers", got=repr(size))
        return [n.__index__() for n in values], [None] * len(old)
    if not all(isinstance(f, (int, float)) and not isinstance(f, bool) and f > 0 for f in values):
        raise ArgumentError("interpolate", expected="scale_factor above 0", got=repr(scale_factor))
    return [math.floor(n * f) for n, f in zip(old, values)], [None if recompute else f for f in values]


def _scale(old: int, new: int, factor: float | None, align_corners: bool) -> float:
    """How many old pixels one new pixel is wide."""
    if align_corners:
        return (old - 1) / (new - 1) if new > 1 else 0.0
    return 1 / factor if factor else old / new


def _nearest(xp: Any, old: int, new: int, factor: float | None, exact: bool) -> Any:
    """The old pixel that every new one shows; in float32, as torch reckons it."""
    scale = xp.float32(1 / factor if factor else old / new)
    if not exact and (new == old or new == 2 * old):
        return xp.arange(new) // (new // old)
    middle = xp.float32(0.5 if exact else 0)
    places = xp.floor((xp.arange(new, dtype=xp.float32) + middle) * scale)
    return places.astype(xp.int64).clip(0, old - 1)


def _cubic(xp: Any, distance: Any, a: float) -> Any:
    """The piecewise cubic kernel of Keys (1981), with its free number a."""
    d = xp.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return xp.where(d <= 1, near, xp.where(d < 2, far, 0.0))


def _rows(like: Any, old: int, new: int, scale: float, align_corners: bool, mode: str) -> Any:
    """The weights of the old pixels in every new one, (new, old): of the 2 next to it, or the 4 for "bicubic"."""
    xp = namespace(like)
    positions = xp.arange(new, dtype=xp.float64)
    source = positions * scale if align_corners else (positions + 0.5) * scale - 0.5
    if mode != "bicubic":
        source = source.clip(0, None)
    first = xp.floor(source)
    matrix = xp.zeros((new, old))
    number = xp.arange(new)
    for tap in (0, 1) if mode != "bicubic" else (-1, 0, 1, 2):
        distance = source - (first + tap)
        weight = _cubic(xp, distance, -0.75) if mode == "bicubic" else 1 - xp.abs(distance)
        matrix[number, (first + tap).clip(0, old - 1).astype(xp.int64)] += weight  # each row once a tap
    return matrix.astype(like.dtype)


def _smooth_rows(like: Any, old: int, new: int, scale: float, align_corners: bool, mode: str) -> Any:
    """As _rows, with the kernel stretched to the width of a new pixel where that is larger than an old one."""
    xp = namespace(like)
    stretch = max(scale, 1.0)
    support = (2.0 if mode == "bicubic" else 1.0) * stretch
    centre = scale * (xp.arange(new, dtype=xp.float64) + 0.5)[:, None]
    start = xp.floor(centre - support + 0.5).clip(0, None)
    stop = xp.floor(centre + support + 0.5).clip(None, old)
    pixel = xp.arange(old, dtype=xp.float64)
    distance = (pixel - centre + 0.5) / stretch
    weight = _cubic(xp, distance, -0.5) if mode == "bicubic" else (1 - xp.abs(distance)).clip(0, None)
    weight = xp.where((pixel >= start) & (pixel < stop), weight, 0.0)
    return (weight / weight.sum(1, keepdims=True)).astype(like.dtype)


def _area(x: Any, sizes: list[int]) -> Any:
    """Adaptive average pooling over one, two or three axes."""
    shape = x.data.shape
    if len(sizes) == 3:  # over H and W of every slice, then over D of every pixel
        N, C, D = shape[:3]
        planes = AdaptiveAvgPool2d.apply(x.reshape(N, C * D, *shape[3:]), output_size=tuple(sizes[1:]))
        flat = planes.reshape(N, C, D, sizes[1] * sizes[2])  # (N, C, D, H W)
        return AdaptiveAvgPool2d.apply(flat, output_size=(sizes[0], flat.data.shape[3])).reshape(N, C, *sizes)
    if len(sizes) == 1:
        return AdaptiveAvgPool2d.apply(x.unsqueeze(2), output_size=(1, sizes[0])).squeeze(2)
    return AdaptiveAvgPool2d.apply(x, output_size=tuple(sizes))
