"""The GPU through CuPy, imported at first use: is one there, how many, and why not."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from minidl.errors import DeviceError

__all__ = ["cupy", "device_count", "is_available", "require"]

_INSTALL = (
    'Install CuPy with pip install "minidl[cuda12]" or "minidl[cuda13]" on a machine with an NVIDIA GPU, or use "cpu".'
)


@lru_cache(maxsize=1)
def _find() -> tuple[Any, int, str]:
    """(the cupy module or None, the number of GPUs, what is missing)."""
    try:
        module = importlib.import_module("cupy")
    except ImportError as error:
        return None, 0, f"CuPy could not be imported ({error})"
    try:
        count = int(module.cuda.runtime.getDeviceCount())
    except module.cuda.runtime.CUDARuntimeError as error:
        return module, 0, f"CuPy is installed but CUDA reports: {error}"
    return module, count, "" if count else "CuPy is installed but no CUDA device was found"


def cupy() -> Any:
    """The cupy module; DeviceError where it is not installed."""
    require(0)
    return _find()[0]


def is_available() -> bool:
    """Whether CuPy is installed and sees at least one GPU."""
    return _find()[1] > 0


def device_count() -> int:
    """The number of GPUs that CuPy sees."""
    return _find()[1]


def require(index: int) -> None:
    """Raise a DeviceError that says what was looked for unless GPU number ``index`` can be used."""
    _, count, problem = _find()
    if problem:
        raise DeviceError(
            "device", expected="an NVIDIA GPU reached through CuPy", got=f"none: {problem}", hint=_INSTALL
        )
    if index >= count:
        raise DeviceError("device", expected=f"a GPU below gpu:{count}", got=f"gpu:{index}")
