"""One step of stochastic gradient descent and of Adam, in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["adam_update", "sgd_update"]


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
    """One step of gradient descent on ``parameter`` and ``momentum_buffer``, in place; ``torch.optim.SGD``.

    With g = gradient (negated by ``maximize``) + weight_decay * parameter::

        buffer = g                                           at the first step, else
        buffer = momentum * buffer + (1 - dampening) * g
        parameter -= lr * (g + momentum * buffer  if nesterov,  else buffer)

    All arrays have one shape, any strides. Without a buffer (None, momentum 0) the step is ``lr * g``.
    """
    step = -gradient if maximize else gradient
    if weight_decay:
        step = step + weight_decay * parameter
    if momentum_buffer is not None:
        if first:
            momentum_buffer[...] = step
        else:
            momentum_buffer *= momentum
            momentum_buffer += (1 - dampening) * step
        step = step + momentum * momentum_buffer if nesterov else momentum_buffer
    parameter -= lr * step


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
    """One step of Adam or (``decoupled``) AdamW on the parameter and its averages, in place; ``torch.optim.Adam``.

    With g = gradient (negated by ``maximize``), t = ``step`` counted from 1::

        Adam:  g += weight_decay * parameter            AdamW:  parameter *= 1 - lr * weight_decay
        exp_avg = beta1 * exp_avg + (1 - beta1) * g     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
        v = max_exp_avg_sq = max(max_exp_avg_sq, exp_avg_sq)  with AMSGrad,  else  v = exp_avg_sq
        parameter -= lr / (1 - beta1**t) * exp_avg / (sqrt(v) / sqrt(1 - beta2**t) + epsilon)

    All arrays have one shape, any strides. Kingma and Ba 2015; Reddi et al. 2018; Loshchilov and Hutter 2019.
    """
    direction = -gradient if maximize else gradient
    if weight_decay and decoupled:
        parameter *= 1 - lr * weight_decay
    elif weight_decay:
        direction = direction + weight_decay * parameter
    exp_avg += (1 - beta1) * (direction - exp_avg)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * direction * direction
    if max_exp_avg_sq is not None:
        np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
        exp_avg_sq = max_exp_avg_sq
    denominator = np.sqrt(exp_avg_sq) / math.sqrt(1 - beta2**step) + epsilon
    parameter -= lr / (1 - beta1**step) * (exp_avg / denominator)
