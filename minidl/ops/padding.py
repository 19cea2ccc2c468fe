"""Borders around a tensor: constant, reflected, replicated, circular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.promotion import require_tensor
from minidl.ops.shape import clone, sizes_of

__all__ = ["pad"]


class Pad(Function):
    """A constant border; the gradient is the inner part."""

    def forward(self, x: Any, widths: tuple[tuple[int, int], ...], value: float) -> Any:
        self.inner = tuple([slice(before, before + n) for (before, _), n in zip(widths, x.shape)])
        result = namespace(x).full([n + sum(w) for n, w in zip(x.shape, widths)], value, x.dtype)
        result[self.inner] = x
        return result

    def backward(self, grad: Any) -> Any:
        return grad[self.inner]


def pad(input: T, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> T:
    """A border around the last axes.

    pad: (left, right) of the last axis, then (top, bottom) of the one before, and so on; a negative width cuts.
    mode: "constant" (``value``, default 0, over any axes); "reflect" (mirrored, without the edge itself), "replicate"
    (the edge repeated) or "circular" (the other end), over the last 1, 2 or 3 axes with at most two axes before them.
    Raises ArgumentError, ShapeError. Source: torch.nn.functional.pad.
    """
    require_tensor("pad", input)
    shape = input.data.shape
    widths = sizes_of("pad", (pad,))
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ArgumentError("pad", expected='mode "constant", "reflect", "replicate" or "circular"', got=repr(mode))
    if len(widths) % 2 or len(widths) > 2 * len(shape):
        raise ArgumentError("pad", expected=f"two widths for each of at most {len(shape)} axes", got=str(widths))
    pairs = [(0, 0)] * (len(shape) - len(widths) // 2) + list(zip(widths[0::2], widths[1::2]))[::-1]
    if any(before + after + n < 0 for (before, after), n in zip(pairs, shape)):
        raise ShapeError("pad", expected="negative widths that leave something over", got=f"{widths} for shape {shape}")
    if mode in ("reflect", "replicate"):
        return _from_the_inside(input, pairs, len(widths) // 2, mode, value)
    if any(n + min(0, before) + min(0, after) < 0 for (before, after), n in zip(pairs, shape)):
        raise ShapeError("pad", expected="no more cut off than there is", got=f"{widths} for shape {shape}")
    cut = tuple([slice(max(0, -before), n - max(0, -after)) for (before, after), n in zip(pairs, shape)])
    values: Any = input
    if any(w < 0 for w in widths):
        values = values[cut]
    if mode == "circular":  # what was cut off does not come back at the other end
        pairs = [(max(0, before), max(0, after)) for before, after in pairs]
        return _from_the_inside(values, pairs, len(widths) // 2, mode, value)
    grown = tuple([(max(0, before), max(0, after)) for before, after in pairs])
    if not any(w for pair in grown for w in pair):
        return values if values is not input else clone(input)
    return Pad.apply(values, widths=grown, value=0 if value is None else value)


def _from_the_inside(input: Any, pairs: list[tuple[int, int]], axes: int, mode: str, value: float | None) -> Any:
    """A border made of the tensor's own elements: along each axis they are picked by their numbers."""
    shape = input.data.shape
    if value is not None and value != 0:
        raise ArgumentError("pad", expected=f'no value with mode "{mode}"', got=repr(value))
    if axes not in (1, 2, 3) or len(shape) not in (axes + 1, axes + 2):
        raise ShapeError(
            "pad",
            expected=f'the last 1, 2 or 3 axes padded and one or two before them, with mode "{mode}"',
            got=f"{axes} padded axes of shape {shape}",
        )
    values = input
    xp = namespace(input.data)
    for axis, ((before, after), n) in enumerate(zip(pairs, shape)):
        if not before and not after:
            continue
        most = {"reflect": n - 1, "circular": n, "replicate": max(before, after) if n else -1}[mode]
        if max(before, after) > most:
            raise ShapeError(
                "pad", expected=f'widths of at most {max(most, 0)} with mode "{mode}" along axis {axis}', got=str(shape)
            )
        places = xp.arange(-before, n + after)
        if mode == "replicate":
            places = places.clip(0, n - 1)
        elif mode == "circular":
            places = places % n
        else:  # 0 1 2 3 2 1 0 1 ...
            places = n - 1 - abs(n - 1 - abs(places))
        values = values[(slice(None),) * axis + (places,)]
    return values if values is not input else clone(input)
