"""Memory layout: activations have the logical shape (N, C, H, W) and may lie in memory as (N, H, W, C)."""

from __future__ import annotations

from typing import Any

__all__ = ["channels_last", "from_channels_last"]


def channels_last(x: Any) -> Any:
    """The C-contiguous (N, H, W, C) array of a logical (N, C, H, W) one: a view where memory lies so, else a copy."""
    nhwc = x.transpose(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
    return nhwc if nhwc.flags.c_contiguous else nhwc.copy(order="C")


def from_channels_last(nhwc: Any) -> Any:
    """The logical (N, C, H, W) view of an array that lies in memory as (N, H, W, C)."""
    return nhwc.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
