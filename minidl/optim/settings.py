"""Checks of an optimizer's settings, with torch's names for them."""

from __future__ import annotations

from typing import Any

from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError

__all__ = ["check_betas", "check_numbers", "refuse_unsupported"]

_WORDS = {"lr": "learning rate", "eps": "epsilon value"}  # where torch does not call a setting by its name


def refuse_unsupported(who: str, group: dict[str, Any]) -> None:
    """ArgumentError for torch's switches that this library cannot honour."""
    for name in ("foreach", "capturable", "differentiable"):
        if group.get(name):
            hint = "Updates here are always fused and in place."
            raise ArgumentError(who, expected=f"{name} to be False or None", got=repr(group[name]), hint=hint)


def check_numbers(who: str, group: dict[str, Any], *names: str) -> None:
    """DTypeError unless these settings are numbers, ArgumentError if one is negative."""
    for name in names:
        value = group[name]
        if not is_real(value):
            raise DTypeError(who, expected=f"{name} as a number", got=repr(value))
        if not value >= 0:
            words = _WORDS.get(name, f"{name} value")
            raise ArgumentError(who, expected=f"{name} >= 0", got=repr(value), hint=f"Invalid {words}: {value}")


def check_betas(who: str, betas: Any) -> None:
    """ArgumentError unless ``betas`` is a pair of numbers from 0 to below 1."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ArgumentError(who, expected="betas to be a pair (beta1, beta2)", got=repr(betas))
    for index, beta in enumerate(betas):
        if not is_real(beta) or not 0.0 <= beta < 1.0:
            hint = f"Invalid beta parameter at index {index}: {beta}"
            raise ArgumentError(who, expected="0 <= beta < 1", got=repr(beta), hint=hint)
