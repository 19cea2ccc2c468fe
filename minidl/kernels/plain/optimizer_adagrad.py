"""One step of Adagrad, RMSprop and Adadelta, in place: the gradient over the root of its squares so far."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["adadelta_update", "adagrad_update", "rmsprop_update"]


def adagrad_update(
    parameter: Any,
    gradient: Any,
    total: Any,
    lr: float,
    lr_decay: float,
    epsilon: float,
    weight_decay: float,
    maximize: bool,
    step: int,
) -> None:
    """One step of Adagrad on ``parameter`` and ``total``, in place; ``torch.optim.Adagrad``.

    With g = gradient (negated by ``maximize``) + weight_decay * parameter, t = ``step`` counted from 1::

        total += g**2
        parameter -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(total) + epsilon)

    All arrays have one shape, any strides. Duchi, Hazan and Singer 2011.
    """
    direction = -gradient if maximize else gradient
    if weight_decay:
        direction = direction + weight_decay * parameter
    total += direction * direction
    parameter -= lr / (1 + (step - 1) * lr_decay) * (direction / (np.sqrt(total) + epsilon))


def rmsprop_update(
    parameter: Any,
    gradient: Any,
    square_avg: Any,
    grad_avg: Any | None,
    momentum_buffer: Any | None,
    lr: float,
    alpha: float,
    epsilon: float,
    weight_decay: float,
    momentum: float,
    maximize: bool,
) -> None:
    """One step of RMSprop on the parameter and its averages, in place; ``torch.optim.RMSprop``.

    With g = gradient (negated by ``maximize``) + weight_decay * parameter::

        square_avg = alpha * square_avg + (1 - alpha) * g**2
        grad_avg = alpha * grad_avg + (1 - alpha) * g        v = square_avg - grad_avg**2     if centered, else
                                                             v = square_avg                   (``grad_avg`` None)
        momentum_buffer = momentum * momentum_buffer + g / (sqrt(v) + epsilon)

    and parameter -= lr * momentum_buffer; without a buffer (None, momentum 0) lr * g / (sqrt(v) + epsilon). All arrays
    have one shape, any strides. Tieleman and Hinton 2012; centered: Graves 2013, equations 38 to 45.
    """
    direction = -gradient if maximize else gradient
    if weight_decay:
        direction = direction + weight_decay * parameter
    square_avg *= alpha
    square_avg += (1 - alpha) * direction * direction
    variance = square_avg
    if grad_avg is not None:
        grad_avg += (1 - alpha) * (direction - grad_avg)
        variance = square_avg - grad_avg * grad_avg
    direction = direction / (np.sqrt(variance) + epsilon)
    if momentum_buffer is not None:
        momentum_buffer *= momentum
        momentum_buffer += direction
        direction = momentum_buffer
    parameter -= lr * direction


def adadelta_update(
    parameter: Any,
    gradient: Any,
    square_avg: Any,
    acc_delta: Any,
    lr: float,
    rho: float,
    epsilon: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """One step of Adadelta on the parameter and its averages, in place; ``torch.optim.Adadelta``.

    With g = gradient (negated by ``maximize``) + weight_decay * parameter::

        square_avg = rho * square_avg + (1 - rho) * g**2
        delta = sqrt(acc_delta + epsilon) / sqrt(square_avg + epsilon) * g
        acc_delta = rho * acc_delta + (1 - rho) * delta**2
        parameter -= lr * delta

    All arrays have one shape, any strides. Zeiler 2012, algorithm 1.
    """
    direction = -gradient if maximize else gradient
    if weight_decay:
        direction = direction + weight_decay * parameter
    square_avg *= rho
    square_avg += (1 - rho) * direction * direction
    delta = np.sqrt(acc_delta + epsilon) / np.sqrt(square_avg + epsilon) * direction
    acc_delta *= rho
    acc_delta += (1 - rho) * delta * delta
    parameter -= lr * delta
