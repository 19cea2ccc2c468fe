"""minidl as seen by a program that keeps everything on one device: what a case of the table makes is made there."""

from __future__ import annotations

from typing import Any

import minidl

__all__ = ["OnDevice"]

_FACTORIES = frozenset(
    ("arange", "as_tensor", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "tensor", "zeros")
)


class OnDevice:
    """minidl, with ``device`` as the default of every factory."""

    def __init__(self, device: str) -> None:
        self._device = device

    def from_numpy(self, array: Any) -> Any:
        return minidl.from_numpy(array).to(self._device)

    def __getattr__(self, name: str) -> Any:
        value = getattr(minidl, name)
        if name not in _FACTORIES:
            return value
        return lambda *values, **options: value(*values, **{"device": self._device, **options})
