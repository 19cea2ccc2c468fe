"""What minidl raises: every message names who, what was expected, what came, and where sensible what to do."""

from __future__ import annotations

__all__ = ["ArgumentError", "DTypeError", "DeviceError", "ExtraError", "GraphError", "ShapeError", "dims"]


class _Report(Exception):
    """The message all errors share: ``who: expected ..., got .... What to do.``"""

    def __init__(self, who: str, *, expected: str, got: str, hint: str = "") -> None:
        message = f"{who}: expected {expected}, got {got}."
        super().__init__(f"{message} {hint}" if hint else message)
        self.who = who


class ShapeError(_Report, ValueError):
    """An array has the wrong number of axes, or axes whose lengths do not fit together."""


class ArgumentError(_Report, ValueError):
    """An argument has a value that the function does not accept."""


class DTypeError(_Report, TypeError):
    """An array or argument has the wrong type."""


class DeviceError(_Report, RuntimeError):
    """A device is missing, or tensors on different devices met in one operation."""


class GraphError(_Report, RuntimeError):
    """The graph cannot be differentiated: freed, spoilt by an in-place write, or not asked for."""


class ExtraError(_Report, ImportError):
    """A package is missing that only the examples, the training tools and the plots need."""

    def __init__(self, who: str, package: str) -> None:
        super().__init__(
            who,
            expected=f"the package {package}",
            got="none installed",
            hint='Install it with pip install "minidl[examples]".',
        )


def dims(names: str, shape: tuple[int, ...]) -> str:
    """A shape with its axes named, for messages: ``dims("N C H W", (2, 3, 8, 8))`` is ``(N=2, C=3, H=8, W=8)``."""
    axes = names.split()
    if len(axes) != len(shape):
        return str(tuple(shape))
    return "(" + ", ".join(f"{axis}={length}" for axis, length in zip(axes, shape)) + ")"
