"""Checks of constructor arguments: each names the layer, what it expected and what it got."""

from __future__ import annotations

import operator
from typing import Any

from minidl.errors import ArgumentError, DTypeError

__all__ = ["axis", "probability", "reduction", "whole"]


def whole(who: str, name: str, value: Any, least: int) -> int:
    """``value`` as an int of at least ``least``; DTypeError for what is no integer, ArgumentError for a smaller one."""
    if not hasattr(value, "__index__") or isinstance(value, bool):
        raise DTypeError(who, expected=f"{name} as an integer", got=repr(value))
    number = operator.index(value)
    if number < least:
        raise ArgumentError(who, expected=f"{name} of at least {least}", got=repr(value))
    return number


def probability(who: str, p: Any) -> float:
    """``p`` if it lies between 0 and 1."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ArgumentError(
            who, expected="p between 0 and 1", got=repr(p), hint="p is the probability of an element to be zeroed."
        )
    return p


def reduction(who: str, name: Any) -> str:
    """``name`` if it is one of the reductions that losses know."""
    if name not in ("mean", "sum", "none"):
        raise ArgumentError(who, expected="reduction 'mean', 'sum' or 'none'", got=repr(name))
    return name


def axis(who: str, dim: Any) -> int:
    """``dim`` if it is an integer."""
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise ArgumentError(who, expected="an axis, such as dim=1", got=repr(dim), hint="Axes are counted from 0.")
    return dim
