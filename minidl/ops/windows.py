"""What convolution and pooling arguments mean: pairs, sizes, and the complaints when they do not fit."""

from __future__ import annotations

import operator
from typing import Any

from minidl.errors import ArgumentError, DTypeError, ShapeError, dims

__all__ = ["batched", "check_fits", "numbers", "pair"]

Pair = int | tuple[int, int] | list[int]


_COUNTS = {1: "an integer", 2: "an integer or a pair of integers", 3: "an integer or three integers"}


def numbers(who: str, name: str, value: Any, least: int, axes: int) -> tuple[int, ...]:
    """An argument given as one integer or one for each axis; each at least ``least``."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(values) not in (1, axes) or not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values):
        raise DTypeError(who, expected=f"{name} as {_COUNTS[axes]}", got=repr(value))
    if min(values) < least:
        raise ArgumentError(who, expected=f"{name} of at least {least}", got=repr(value))
    return tuple(map(operator.index, values)) * (axes // len(values))


def pair(who: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """An argument given as one integer or two, as (vertical, horizontal); each at least ``least``."""
    vertical, horizontal = numbers(who, name, value, least, 2)
    return vertical, horizontal


def batched(who: str, input: Any) -> tuple[Any, bool]:
    """The input as (N, C, H, W), and whether a batch axis had to be added to (C, H, W)."""
    shape = input.data.shape
    if len(shape) == 3:
        return input.unsqueeze(0), True  # (C, H, W) -> (1, C, H, W)
    if len(shape) != 4:
        raise ShapeError(who, expected="input (N, C, H, W) or (C, H, W)", got=str(shape))
    return input, False


def check_fits(who: str, shape: tuple[int, ...], extents: tuple[int, int], padding: tuple[int, int]) -> None:
    """ShapeError unless a window of ``extents`` (dilation included) fits into the padded image."""
    padded = shape[2] + 2 * padding[0], shape[3] + 2 * padding[1]
    if extents[0] > padded[0] or extents[1] > padded[1]:
        raise ShapeError(
            who,
            expected=f"a window within the padded image, {padded[0]} x {padded[1]} (input: {dims('N C H W', shape)})",
            got=f"{extents[0]} x {extents[1]}",
            hint="Use a smaller kernel, less dilation or more padding.",
        )
