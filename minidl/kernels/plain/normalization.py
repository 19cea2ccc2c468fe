"""Batch normalisation: statistics over every axis but the channels (axis 1)."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["batch_norm_backward", "batch_norm_forward", "channel_affine"]


def _axes(x: Any) -> tuple[int, ...]:
    """The axes that the statistics run over: all but axis 1."""
    return (0, *range(2, x.ndim))


def _along_channels(vector: Any, x: Any) -> Any:
    """A vector (C,) shaped (1, C, 1, ...), so that it broadcasts along the channels of x."""
    return vector.reshape(1, -1, *(1,) * (x.ndim - 2))


def _sum(x: Any) -> Any:
    """The sum over all axes but the channels, (C,), accumulated in float64: thousands of float32 terms lose digits."""
    return x.sum(axis=_axes(x), dtype=np.float64)


def batch_norm_forward(x: Any, weight: Any | None, bias: Any | None, epsilon: float) -> tuple[Any, Any, Any, Any]:
    """y = (x - mean) / sqrt(variance + epsilon) * weight + bias with the statistics of this batch.

    ``x`` (N, C), (N, C, L) or (N, C, H, W); ``weight`` and ``bias`` (C,) or None (1 and 0). Returns y, and (C,) each:
    the mean, the biased variance and the inverse standard deviation 1 / sqrt(variance + epsilon).
    Ioffe and Szegedy 2015, algorithm 1.
    """
    count = max(x.size // max(x.shape[1], 1), 1)  # an empty batch has mean and variance 0
    mean = _sum(x) / count
    # Two passes: the mean of squares minus the squared mean would cancel.
    variance = _sum((x - _along_channels(mean, x)) ** 2) / count
    inverse_std = 1 / np.sqrt(variance + epsilon)
    scale = inverse_std if weight is None else inverse_std * weight
    y = (x - _along_channels(mean, x)) * _along_channels(scale, x)
    if bias is not None:
        y += _along_channels(bias, x)
    dtype = x.dtype
    return y.astype(dtype), mean.astype(dtype), variance.astype(dtype), inverse_std.astype(dtype)


def batch_norm_backward(grad: Any, x: Any, weight: Any | None, mean: Any, inverse_std: Any) -> tuple[Any, Any, Any]:
    """The three gradients of batch normalisation in training mode, where mean and variance depend on x as well.

    With the normalised input h = (x - mean) * inverse_std and m values per channel::

        dbias = sum(grad),   dweight = sum(grad * h),   dx = weight * inverse_std * (grad - dbias / m - h * dweight / m)

    ``grad`` and ``x`` (N, C), (N, C, L) or (N, C, H, W); all else (C,). Returns (dx, dweight, dbias).
    """
    count = max(x.size // max(x.shape[1], 1), 1)
    normalised = (x - _along_channels(mean, x)) * _along_channels(inverse_std, x)
    dbias = _sum(grad)
    dweight = _sum(grad * normalised)
    scale = inverse_std if weight is None else inverse_std * weight
    dx = grad - _along_channels(dbias / count, x) - normalised * _along_channels(dweight / count, x)
    dtype = x.dtype
    return (_along_channels(scale, x) * dx).astype(dtype), dweight.astype(dtype), dbias.astype(dtype)


def channel_affine(x: Any, scale: Any, shift: Any) -> Any:
    """y = x * scale + shift with one scale and shift (C,) per channel of x (N, C, ...): inference-mode batch norm."""
    return (x * _along_channels(scale, x) + _along_channels(shift, x)).astype(x.dtype)
