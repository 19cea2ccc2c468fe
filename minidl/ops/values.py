"""What operations ask of values: places within a range, a condition that holds everywhere.

The host waits for a GPU to answer. While a step is recorded as a CUDA graph its values do not exist yet: nothing is
looked at, and all is taken to be well, as it was in the ordinary steps before.
"""

from __future__ import annotations

from typing import Any

from minidl.backend.arrays import on_device_of
from minidl.backend.graph import recording
from minidl.errors import ArgumentError

__all__ = ["bounds", "check_range", "everywhere"]


def bounds(array: Any) -> tuple[int, int] | None:
    """The smallest and the largest integer of an array; None for an empty one, and where nothing can be looked at."""
    if not array.size or recording() is not None:
        return None
    with on_device_of(array):
        return int(array.min()), int(array.max())


def check_range(who: str, places: Any, length: int) -> None:
    """ArgumentError unless all integers of an array lie in [0, length)."""
    found = bounds(places)
    if found is not None and (found[0] < 0 or found[1] >= length):
        raise ArgumentError(who, expected=f"integers in [0, {length})", got=f"{found[0]} to {found[1]}")


def everywhere(truth: Any) -> bool:
    """Whether a bool, or every element of an array of bools, is true."""
    if isinstance(truth, bool):
        return truth
    if recording() is not None:
        return True
    with on_device_of(truth):
        return bool(truth.all())
