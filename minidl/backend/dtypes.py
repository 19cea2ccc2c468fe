"""The element types, under torch's names; they are NumPy dtypes; and what counts as a number."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from minidl.errors import DTypeError

__all__ = [
    "as_dtype",
    "bool_",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_real",
    "uint8",
]

bool_ = np.dtype("bool")
uint8 = np.dtype("uint8")
int8 = np.dtype("int8")
int16 = np.dtype("int16")
int32 = np.dtype("int32")
int64 = np.dtype("int64")
float16 = np.dtype("float16")
float32 = np.dtype("float32")
float64 = np.dtype("float64")

_PYTHON = {bool: bool_, int: int64, float: float32}


def as_dtype(dtype: Any) -> Any:
    """A dtype from whatever names one: ``minidl.float32``, ``"float32"``, ``float`` (float32, as in torch)."""
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind not in "biuf" or dtype is None:
        raise DTypeError("dtype", expected="a bool, integer or float dtype such as minidl.float32", got=repr(dtype))
    return found


def is_real(value: Any) -> bool:
    """Whether ``value`` is a real number, Python's or NumPy's, and not a truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
