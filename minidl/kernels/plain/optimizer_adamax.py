"""One step of Adam's relatives Adamax, NAdam and RAdam, in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["adamax_update", "nadam_update", "radam_update"]


def adamax_update(
    parameter: Any,
    gradient: Any,
    exp_avg: Any,
    exp_inf: Any,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    maximize: bool,
    step: int,
) -> None:
    """One step of Adamax on the parameter and its averages, in place; ``torch.optim.Adamax``.

    With g = gradient (negated by ``maximize``) + weight_decay * parameter, t = ``step`` counted from 1::

        exp_avg = beta1 * exp_avg + (1 - beta1) * g     exp_inf = max(beta2 * exp_inf, abs(g) + epsilon)
        parameter -= lr / (1 - beta1**t) * exp_avg / exp_inf

    All arrays have one shape, any strides. Kingma and Ba 2015, section 7.1.
    """
    direction = -gradient if maximize else gradient
    if weight_decay:
        direction = direction + weight_decay * parameter
    exp_avg += (1 - beta1) * (direction - exp_avg)
    exp_inf *= beta2
    np.maximum(exp_inf, abs(direction) + epsilon, out=exp_inf)
    parameter -= lr / (1 - beta1**step) * (exp_avg / exp_inf)


def nadam_update(
    parameter: Any,
    gradient: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
    mu: float,
    mu_next: float,
    mu_product: float,
) -> None:
    """One step of NAdam on the parameter and its averages, in place; ``torch.optim.NAdam``.

    With g = gradient (negated by ``maximize``), t = ``step`` counted from 1, ``mu`` and ``mu_next`` the momenta of
    this step and the next, and ``mu_product`` that of all steps up to this one::

        g += weight_decay * parameter,   or  parameter *= 1 - lr * weight_decay  if ``decoupled``
        exp_avg = beta1 * exp_avg + (1 - beta1) * g     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
        m = (1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * exp_avg
        parameter -= lr * m / (sqrt(exp_avg_sq / (1 - beta2**t)) + epsilon)

    All arrays have one shape, any strides. Dozat 2016.
    """
    direction = -gradient if maximize else gradient
    if weight_decay and decoupled:
        parameter *= 1 - lr * weight_decay
    elif weight_decay:
        direction = direction + weight_decay * parameter
    exp_avg += (1 - beta1) * (direction - exp_avg)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * direction * direction
    denominator = np.sqrt(exp_avg_sq) / math.sqrt(1 - beta2**step) + epsilon
    ahead = (1 - mu) / (1 - mu_product) * direction + mu_next / (1 - mu_product * mu_next) * exp_avg
    parameter -= lr * (ahead / denominator)


def radam_update(
    parameter: Any,
    gradient: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    step: int,
) -> None:
    """One step of RAdam on the parameter and its averages, in place; ``torch.optim.RAdam``.

    With g = gradient (negated by ``maximize``), t = ``step`` counted from 1, r = ``rectification(beta2, t)``::

        g += weight_decay * parameter,   or  parameter *= 1 - lr * weight_decay  if ``decoupled``
        exp_avg = beta1 * exp_avg + (1 - beta1) * g     exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
        m = exp_avg / (1 - beta1**t)
        parameter -= lr * r * m * sqrt(1 - beta2**t) / (sqrt(exp_avg_sq) + epsilon),   or lr * m  while r is None

    All arrays have one shape, any strides. Liu et al. 2020, algorithm 2.
    """
    direction = -gradient if maximize else gradient
    if weight_decay and decoupled:
        parameter *= 1 - lr * weight_decay
    elif weight_decay:
        direction = direction + weight_decay * parameter
    exp_avg += (1 - beta1) * (direction - exp_avg)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * direction * direction
    rate, factor = lr / (1 - beta1**step), rectification(beta2, step)
    if factor is None:
        parameter -= rate * exp_avg
    else:
        parameter -= rate * factor * math.sqrt(1 - beta2**step) * (exp_avg / (np.sqrt(exp_avg_sq) + epsilon))


def rectification(beta2: float, step: int) -> float | None:
    """By how much RAdam trusts its second moment at ``step``; None while the variance cannot be estimated.

    With rho_inf = 2 / (1 - beta2) - 1 and rho = rho_inf - 2 t beta2^t / (1 - beta2^t), for rho > 5::

        sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
    """
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * step * beta2**step / (1 - beta2**step)
    if rho <= 5:
        return None
    return math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
