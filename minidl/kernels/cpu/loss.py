"""Cross entropy on the CPU, one row at a time; formulas and shapes in ``plain/loss.py``. Too small for threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.cpu.activation import exponential_row
from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import OPTIONS

__all__ = ["cross_entropy_backward", "cross_entropy_forward"]


@njit(**OPTIONS)
def _forward(
    logits: Any, target: Any, weight: Any, ignore_index: int, smoothing: float, losses: Any, probabilities: Any
) -> None:
    count, classes = logits.shape
    for n in range(count):
        x, p = logits[n], probabilities[n]
        largest, total = exponential_row(x, p)
        factor, log_total = p.dtype.type(1.0 / total), p.dtype.type(math.log(total))
        for c in range(classes):
            p[c] *= factor
        if target[n] == ignore_index:
            losses[n] = 0
            continue
        y = target[n]
        loss = weight[y] * (log_total - (x[y] - largest))
        if smoothing != 0:
            smooth = 0.0
            for c in range(classes):
                smooth += weight[c] * (log_total - (x[c] - largest))
            loss = losses.dtype.type((1 - smoothing) * loss + smoothing / classes * smooth)
        losses[n] = loss


@njit(**OPTIONS)
def _backward(
    scale: Any, probabilities: Any, target: Any, weight: Any, ignore_index: int, smoothing: float, dlogits: Any
) -> None:
    count, classes = probabilities.shape
    share = dlogits.dtype.type(smoothing / classes)
    total = dlogits.dtype.type(weight.sum())
    for n in range(count):
        p, d = probabilities[n], dlogits[n]
        if target[n] == ignore_index:
            d[:] = 0
            continue
        y = target[n]
        s = scale[n]
        hard = dlogits.dtype.type(1 - smoothing) * weight[y]
        if share != 0:
            for c in range(classes):
                d[c] = s * (hard * p[c] + share * (p[c] * total - weight[c]))
            d[y] = s * (hard * (p[y] - dlogits.dtype.type(1)) + share * (p[y] * total - weight[y]))
        else:
            for c in range(classes):
                d[c] = s * (hard * p[c])
            d[y] = s * (hard * (p[y] - dlogits.dtype.type(1)))


def _weights(weight: Any | None, like: Any) -> Any:
    """The class weights (C,) in the type of the logits; ones for None."""
    classes = like.shape[1]
    return np.ones(classes, like.dtype) if weight is None else np.ascontiguousarray(weight, dtype=like.dtype)


def cross_entropy_forward(
    logits: Any, target: Any, weight: Any | None, ignore_index: int, label_smoothing: float
) -> tuple[Any, Any]:
    logits, target = np.ascontiguousarray(logits), np.ascontiguousarray(target, dtype=np.int64)
    losses = np.empty(len(logits), dtype=logits.dtype)
    probabilities = np.empty_like(logits)
    weight = _weights(weight, logits)
    _forward(logits, target, weight, ignore_index, float(label_smoothing), losses, probabilities)
    return losses, probabilities


def cross_entropy_backward(
    scale: Any, probabilities: Any, target: Any, weight: Any | None, ignore_index: int, label_smoothing: float
) -> Any:
    probabilities = np.ascontiguousarray(probabilities)
    rows = len(probabilities)
    scale = np.full(rows, scale, probabilities.dtype) if scale.ndim == 0 else np.ascontiguousarray(scale)
    target = np.ascontiguousarray(target, dtype=np.int64)
    dlogits = np.empty_like(probabilities)
    weight = _weights(weight, probabilities)
    _backward(scale, probabilities, target, weight, ignore_index, float(label_smoothing), dlogits)
    return dlogits
