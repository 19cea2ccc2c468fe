"""The numbers that an optimizer keeps for each parameter beside its buffers, as torch does: float32, on the CPU."""

from __future__ import annotations

from typing import Any

from minidl._factories import full
from minidl._tensor import Tensor
from minidl.backend.dtypes import float32

__all__ = ["count_step", "scalar"]


def scalar(value: float) -> Tensor:
    """``value`` as an optimizer's state holds it: a float32 tensor without axes, rounded as torch rounds it."""
    return full((), value, dtype=float32)


def count_step(state: dict[str, Any]) -> int:
    """Count one more step in a parameter's ``state``, from 1."""
    if "step" not in state:
        state["step"] = scalar(0.0)
    count = state["step"].data
    count += 1  # on the raw array: as a Tensor operation this would cost more than the update of a small layer
    return int(count)
