"""Launches the kernels of ``optimizer.cu``; formulas in ``plain/optimizer.py``, which also takes odd layouts.

``sgd_update`` and ``adam_update`` are the table's, for one tensor. ``sgd_update_many`` and ``adam_update_many`` take
all tensors of a parameter group in one launch (or one for every 48), and the formula's numbers either as the NumPy
array that ``sgd_numbers`` and ``adam_numbers`` make, or as such an array on the GPU, which is read when the kernel
runs: a captured step is replayed with new learning rates and step counts by writing that array anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backend.launcher import Program
from minidl.backend.layout import memory_order
from minidl.kernels.cuda.layout import in_order_of
from minidl.kernels.cuda.shared import THREADS, blocks, program
from minidl.kernels.plain import optimizer as plain

__all__ = ["adam_numbers", "adam_update", "adam_update_many", "sgd_numbers", "sgd_update", "sgd_update_many"]

CUDA: Program = program("optimizer")
MANY, CHUNK = 48, 4096  # as in the source


def sgd_numbers(
    lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool, maximize: bool, first: bool
) -> np.ndarray:
    """The numbers of ``sgd_update`` as the kernel wants them, (7,) float64."""
    return np.array([lr, momentum, 1 - dampening, weight_decay, -1 if maximize else 1, nesterov, first], np.float64)


def adam_numbers(
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
) -> np.ndarray:
    """The numbers of ``adam_update`` as the kernel wants them, (9,) float64."""
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    root, step_size = math.sqrt(1 - beta2**step), lr / (1 - beta1**step)
    sign = -1 if maximize else 1
    return np.array([shrink, decay, sign, 1 - beta1, beta2, 1 - beta2, root, epsilon, step_size], np.float64)


def fits(parameter: Any, *others: Any) -> bool:
    """Whether the kernels can work on these arrays in place: of one type, shape and memory order, without gaps."""
    order = memory_order(parameter)
    return order is not None and all(
        x.dtype == parameter.dtype and x.shape == parameter.shape and memory_order(x) == order for x in others
    )


def _launch(kernel: str, parameters: Sequence[Any], lists: Sequence[Sequence[Any]], numbers: Any) -> None:
    """Update all parameters, MANY at a time; ``lists``: what the kernel wants of each, gradients first, or empty."""
    given, current = (numbers, None) if isinstance(numbers, np.ndarray) else (np.zeros(len(numbers)), numbers)
    for i in range(0, len(parameters), MANY):
        part = parameters[i : i + MANY]
        others = [values[i : i + MANY] for values in lists]
        others[0] = [in_order_of(parameter, gradient) for parameter, gradient in zip(part, others[0], strict=True)]
        counts = [blocks(parameter.size, CHUNK) for parameter in part]
        starts = [sum(counts[:t]) for t in range(len(counts))]
        sizes = [parameter.size for parameter in part]
        CUDA.launch(kernel, sum(counts), THREADS, part, *others, sizes, starts, len(part), given, current)


def sgd_update_many(parameters: Sequence[Any], gradients: Sequence[Any], buffers: Sequence[Any], numbers: Any) -> None:
    """``sgd_update`` for many tensors. All are of one type; a parameter and its buffer must satisfy ``fits``.

    ``buffers`` is empty without momentum. ``numbers``: see ``sgd_numbers``.
    """
    _launch("sgd", parameters, (gradients, buffers), numbers)


def adam_update_many(
    parameters: Sequence[Any],
    gradients: Sequence[Any],
    averages: Sequence[Any],
    squares: Sequence[Any],
    largest: Sequence[Any],
    numbers: Any,
) -> None:
    """``adam_update`` for many tensors. All are of one type; a parameter and its averages must satisfy ``fits``.

    ``largest`` is empty without AMSGrad. ``numbers``: see ``adam_numbers``.
    """
    _launch("adam", parameters, (gradients, averages, squares, largest), numbers)


def sgd_update(
    parameter: Any,
    gradient: Any,
    momentum_buffer: Any | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    settings = lr, momentum, dampening, weight_decay, nesterov, maximize, first
    buffers = [] if momentum_buffer is None else [momentum_buffer]
    if gradient.dtype != parameter.dtype or not fits(parameter, *buffers):
        plain.sgd_update(parameter, gradient, momentum_buffer, *settings)
        return
    sgd_update_many([parameter], [gradient], buffers, sgd_numbers(*settings))


def adam_update(
    parameter: Any,
    gradient: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    max_exp_avg_sq: Any | None,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
) -> None:
    settings = lr, beta1, beta2, epsilon, weight_decay, decoupled, maximize, step
    largest = [] if max_exp_avg_sq is None else [max_exp_avg_sq]
    if gradient.dtype != parameter.dtype or not fits(parameter, exp_avg, exp_avg_sq, *largest):
        plain.adam_update(parameter, gradient, exp_avg, exp_avg_sq, max_exp_avg_sq, *settings)
        return
    adam_update_many([parameter], [gradient], [exp_avg], [exp_avg_sq], largest, adam_numbers(*settings))
