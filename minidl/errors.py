"""What minidl raises and warns of: messages name who, what was expected, what came, and where sensible what to do."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ArgumentError",
    "Call",
    "DTypeError",
    "DeviceError",
    "ExtraError",
    "GraphError",
    "ShapeError",
    "SlipWarning",
    "calling_line",
    "dims",
    "warn_of_slip",
]


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
    """The graph cannot be differentiated (freed, spoilt by an in-place write, not asked for), captured or exported."""


class ExtraError(_Report, ImportError):
    """A package is missing that the core does not need: those of an extra, "examples" for training tools and plots."""

    def __init__(self, who: str, package: str, extra: str = "examples") -> None:
        super().__init__(
            who,
            expected=f"the package {package}",
            got="none installed",
            hint=f'Install it with pip install "minidl[{extra}]".',
        )


def dims(names: str, shape: tuple[int, ...]) -> str:
    """A shape with its axes named, for messages: ``dims("N C H W", (2, 3, 8, 8))`` is ``(N=2, C=3, H=8, W=8)``."""
    axes = names.split()
    if len(axes) != len(shape):
        return str(tuple(shape))
    return "(" + ", ".join(f"{axis}={length}" for axis, length in zip(axes, shape)) + ")"


class SlipWarning(UserWarning):
    """A classic slip: nothing fails, but the numbers are not what was meant. Silence it as any other warning."""


class Call(NamedTuple):
    """A line of the user's program: the file, the line's number, the function, and the line itself."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}, in {self.function}: "{self.text}"'


_HERE = str(Path(__file__).parent) + os.sep
_NETWORKS = _HERE + "models" + os.sep  # ready-made networks are written as a user would, and count as such


def calling_line() -> tuple[Call, int]:
    """The innermost line that is not of the library itself, and how many calls it is away (for ``stacklevel``)."""
    frame = sys._getframe(1)
    depth = 1
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_HERE) or file.startswith(_NETWORKS):
            break
        frame = frame.f_back
        depth += 1
    file, line = frame.f_code.co_filename, frame.f_lineno
    return Call(file, line, frame.f_code.co_name, linecache.getline(file, line).strip()), depth


def warn_of_slip(message: str) -> None:
    """A SlipWarning at the user's line."""
    _, depth = calling_line()
    warnings.warn(message, SlipWarning, stacklevel=depth)
