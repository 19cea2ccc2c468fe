"""Launches the kernels of ``loss.cu``; formulas and shapes in ``plain/loss.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend.arrays import namespace
from minidl.kernels.cuda.layout import contiguous
from minidl.kernels.cuda.shared import THREADS, WARP, blocks, empty, program

__all__ = ["cross_entropy_backward", "cross_entropy_forward"]

CUDA = program("loss")


def _labels(target: Any) -> Any:
    return contiguous(target if target.dtype == np.int64 else target.astype(np.int64))


def cross_entropy_forward(
    logits: Any, target: Any, weight: Any | None, ignore_index: int, label_smoothing: float
) -> tuple[Any, Any]:
    logits, weight = contiguous(logits), None if weight is None else contiguous(weight)
    rows, classes = logits.shape
    losses, probabilities = empty(logits, (rows,)), empty(logits, (rows, classes))
    arrays = logits, _labels(target), weight, losses, probabilities
    numbers = rows, classes, ignore_index, label_smoothing
    CUDA.launch("cross_entropy", blocks(rows * WARP), THREADS, *arrays, *numbers)
    return losses, probabilities


def cross_entropy_backward(
    scale: Any, probabilities: Any, target: Any, weight: Any | None, ignore_index: int, label_smoothing: float
) -> Any:
    probabilities, weight = contiguous(probabilities), None if weight is None else contiguous(weight)
    rows, classes = probabilities.shape
    dlogits = empty(probabilities, (rows, classes))
    if scale.ndim == 0:
        scale = namespace(scale).broadcast_to(scale, (rows,))
    arrays = contiguous(scale), probabilities, _labels(target), weight, dlogits
    numbers = rows, classes, ignore_index, label_smoothing
    CUDA.launch("cross_entropy_gradient", blocks(rows * WARP), THREADS, *arrays, *numbers)
    return dlogits
