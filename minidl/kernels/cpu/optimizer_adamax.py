"""Adamax, NAdam and RAdam on the CPU, one pass over memory; formulas in ``plain/optimizer_adamax.py``."""

from __future__ import annotations

import math
from typing import Any

from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.optimizer import BLOCK
from minidl.kernels.cpu.shared import EXACT, GRAIN, flat_in_place
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.plain import optimizer_adamax as plain

__all__ = ["adamax_update", "nadam_update", "radam_update"]


@njit(**EXACT)
def _adamax_piece(
    p: Any,
    g: Any,
    average: Any,
    largest: Any,
    rest1: Any,
    beta2: Any,
    epsilon: Any,
    step_size: Any,
    decay: Any,
    sign: Any,
) -> None:
    for i in range(p.size):
        d = g[i] * sign
        if decay != 0:
            d += decay * p[i]
        a = average[i] + rest1 * (d - average[i])
        average[i] = a
        size, before = abs(d) + epsilon, beta2 * largest[i]
        size = size if size > before or size != size else before
        largest[i] = size
        p[i] -= step_size * (a / size)


@njit(parallel=True, **EXACT)
def _adamax_pieces(
    p: Any,
    g: Any,
    average: Any,
    largest: Any,
    rest1: Any,
    beta2: Any,
    epsilon: Any,
    step_size: Any,
    decay: Any,
    sign: Any,
) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _adamax_piece(p[part], g[part], average[part], largest[part], rest1, beta2, epsilon, step_size, decay, sign)


@njit(**EXACT)
def _moments_piece(
    p: Any,
    g: Any,
    average: Any,
    square: Any,
    shrink: Any,
    decay: Any,
    sign: Any,
    rest1: Any,
    beta2: Any,
    rest2: Any,
    root: Any,
    epsilon: Any,
    fresh: Any,
    kept: Any,
    divide: bool,
) -> None:
    """Both moments, then p <- shrink p - (fresh d + kept average) / (sqrt(square) / root + epsilon).

    d is the gradient with its decay; without ``divide`` the denominator is 1. NAdam and RAdam are of this form.
    """
    # Two short loops over blocks instead of one, as in `_adam_piece`.
    for begin in range(0, p.size, BLOCK):
        block = slice(begin, begin + BLOCK)
        p_, g_, average_, square_ = p[block], g[block], average[block], square[block]
        for i in range(p_.size):
            d = g_[i] * sign
            if decay != 0:
                d += decay * p_[i]
            average_[i] += rest1 * (d - average_[i])
            square_[i] = beta2 * square_[i] + rest2 * d * d
        for i in range(p_.size):
            move = kept * average_[i]
            if fresh != 0:
                d = g_[i] * sign
                if decay != 0:
                    d += decay * p_[i]
                move += fresh * d
            if divide:
                move /= math.sqrt(square_[i]) / root + epsilon
            p_[i] = p_[i] * shrink - move


@njit(parallel=True, **EXACT)
def _moments_pieces(
    p: Any,
    g: Any,
    average: Any,
    square: Any,
    shrink: Any,
    decay: Any,
    sign: Any,
    rest1: Any,
    beta2: Any,
    rest2: Any,
    root: Any,
    epsilon: Any,
    fresh: Any,
    kept: Any,
    divide: bool,
) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _moments_piece(
            p[part],
            g[part],
            average[part],
            square[part],
            shrink,
            decay,
            sign,
            rest1,
            beta2,
            rest2,
            root,
            epsilon,
            fresh,
            kept,
            divide,
        )


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
    arrays = flat_in_place(parameter, gradient, exp_avg, exp_inf)
    if arrays is None:
        plain.adamax_update(
            parameter, gradient, exp_avg, exp_inf, lr, beta1, beta2, epsilon, weight_decay, maximize, step
        )
        return
    number = parameter.dtype.type
    arguments = (
        *arrays,
        number(1 - beta1),
        number(beta2),
        number(epsilon),
        number(lr / (1 - beta1**step)),
        number(weight_decay),
        number(-1 if maximize else 1),
    )
    if parameter.size <= GRAIN:
        _adamax_piece(*arguments)
    else:
        with parallel_region():
            _adamax_pieces(*arguments)


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
    arrays = flat_in_place(parameter, gradient, exp_avg, exp_avg_sq)
    if arrays is None:
        plain.nadam_update(
            parameter,
            gradient,
            exp_avg,
            exp_avg_sq,
            lr,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
            maximize,
            step,
            mu,
            mu_next,
            mu_product,
        )
        return
    root = math.sqrt(1 - beta2**step)
    fresh, kept = lr * (1 - mu) / (1 - mu_product), lr * mu_next / (1 - mu_product * mu_next)
    _moments(arrays, lr, beta1, beta2, epsilon, weight_decay, decoupled, maximize, root, fresh, kept, True)


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
    arrays = flat_in_place(parameter, gradient, exp_avg, exp_avg_sq)
    if arrays is None:
        plain.radam_update(
            parameter,
            gradient,
            exp_avg,
            exp_avg_sq,
            lr,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
            maximize,
            step,
        )
        return
    kept, factor = lr / (1 - beta1**step), plain.rectification(beta2, step)
    if factor is not None:
        kept *= factor * math.sqrt(1 - beta2**step)
    _moments(arrays, lr, beta1, beta2, epsilon, weight_decay, decoupled, maximize, 1.0, 0.0, kept, factor is not None)


def _moments(
    arrays: tuple[Any, ...],
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    root: float,
    fresh: float,
    kept: float,
    divide: bool,
) -> None:
    """Launch ``_moments_piece`` over flat arrays."""
    number = arrays[0].dtype.type
    arguments = (
        *arrays,
        number(1 - lr * weight_decay if decoupled else 1),
        number(0 if decoupled else weight_decay),
        number(-1 if maximize else 1),
        number(1 - beta1),
        number(beta2),
        number(1 - beta2),
        number(root),
        number(epsilon),
        number(fresh),
        number(kept),
        divide,
    )
    if arrays[0].size <= GRAIN:
        _moments_piece(*arguments)
    else:
        with parallel_region():
            _moments_pieces(*arguments)
