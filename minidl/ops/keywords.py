"""Arguments by other names that torch takes: NumPy's ``axis`` and ``keepdims``, and the name of a list of sizes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from minidl.errors import ArgumentError

__all__ = ["numpy_names", "sizes_named"]

F = TypeVar("F", bound=Callable[..., Any])

_OURS = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function: F) -> F:
    """Decorator: the function takes NumPy's names too, and refuses ``out`` with an ArgumentError that says why."""
    who = function.__name__

    @functools.wraps(function)
    def renamed(*args: Any, **named: Any) -> Any:
        for theirs in [name for name in named if name in _OURS]:
            ours = _OURS[theirs]
            if ours in named:
                raise ArgumentError(who, expected=f"{ours} or {theirs}", got="both")
            named[ours] = named.pop(theirs)
        if named.pop("out", None) is not None:
            hint = f"Results are new tensors; write y.copy_(minidl.{who}(...)) to fill a tensor that is there."
            raise ArgumentError(who, expected="no out", got="one", hint=hint)
        return function(*args, **named)

    return renamed  # type: ignore[return-value]


def sizes_named(name: str, after: int = 1) -> Callable[[F], F]:
    """Decorator: the sizes, positional arguments that follow the first ``after``, may be given as one by this name."""

    def decorate(function: F) -> F:
        who = function.__name__

        @functools.wraps(function)
        def renamed(*args: Any, **named: Any) -> Any:
            if name in named:
                sizes = named.pop(name)
                if len(args) > after:
                    raise ArgumentError(who, expected=f"sizes, or {name}", got="both")
                first = (named.pop("input"),) if after and not args and "input" in named else args
                return function(*first, sizes, **named)
            return function(*args, **named)

        return renamed  # type: ignore[return-value]

    return decorate
