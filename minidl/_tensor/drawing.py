"""Random numbers drawn on the host: from which generator, and for which dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor.description import not_while_recording
from minidl.backend.random import Generator, default_generator
from minidl.errors import ArgumentError, DTypeError

__all__ = ["check_fractional", "host_generator"]


def host_generator(generator: Any) -> np.random.Generator:
    """NumPy's random generator of a minidl Generator, or of this thread's default one."""
    not_while_recording("random numbers drawn on the host")
    from_default = default_generator() if generator is None else generator
    if not isinstance(from_default, Generator):
        raise ArgumentError("generator", expected="a minidl.Generator or None", got=type(generator).__name__)
    return from_default.host


def check_fractional(who: str, dtype: Any) -> None:
    """DTypeError for a dtype whose elements are no fractions."""
    if dtype.kind != "f":
        raise DTypeError(who, expected="a floating-point dtype", got=str(dtype))
