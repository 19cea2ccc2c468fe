"""Copies between the two memory orders of activations."""

from __future__ import annotations

from typing import Any

from minidl.backend.layout import channels_last, from_channels_last

__all__ = ["contiguous", "to_channels_last"]


def contiguous(x: Any) -> Any:
    """The same values in C order, any shape: x itself if it lies so already, else a copy (``flatten`` needs it)."""
    return x if x.flags.c_contiguous else x.copy(order="C")


def to_channels_last(x: Any) -> Any:
    """The same (N, C, H, W) array with (N, H, W, C) memory: x itself if it lies so already, else a copy."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:  # (N, C, H, W) -> (N, H, W, C)
        return x
    return from_channels_last(channels_last(x))
