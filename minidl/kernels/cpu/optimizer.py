"""SGD and Adam on the CPU, one pass over memory; formulas in ``plain/optimizer.py``, which also takes odd layouts."""

from __future__ import annotations

import math
from typing import Any

from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import EXACT, GRAIN, flat_in_place
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.plain import optimizer as plain

__all__ = ["adam_update", "sgd_update"]

BLOCK = 1024


@njit(**EXACT)
def _sgd_piece(
    p: Any,
    g: Any,
    buffer: Any,
    has_buffer: bool,
    lr: Any,
    momentum: Any,
    rest: Any,
    decay: Any,
    nesterov: bool,
    sign: Any,
    first: bool,
) -> None:
    for i in range(p.size):
        d = g[i] * sign
        if decay != 0:
            d += decay * p[i]
        if has_buffer:
            b = d if first else momentum * buffer[i] + rest * d
            buffer[i] = b
            d = d + momentum * b if nesterov else b
        p[i] -= lr * d


@njit(parallel=True, **EXACT)
def _sgd_pieces(
    p: Any,
    g: Any,
    buffer: Any,
    has_buffer: bool,
    lr: Any,
    momentum: Any,
    rest: Any,
    decay: Any,
    nesterov: bool,
    sign: Any,
    first: bool,
) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _sgd_piece(
            p[part],
            g[part],
            buffer[part],
            has_buffer,
            lr,
            momentum,
            rest,
            decay,
            nesterov,
            sign,
            first,
        )


@njit(**EXACT)
def _adam_piece(
    p: Any,
    g: Any,
    average: Any,
    square: Any,
    largest: Any,
    amsgrad: bool,
    shrink: Any,
    decay: Any,
    sign: Any,
    rest1: Any,
    beta2: Any,
    rest2: Any,
    root: Any,
    epsilon: Any,
    step_size: Any,
) -> None:
    # Three short loops instead of one: with five arrays in a loop the compiler gives up proving that they do not
    # overlap. Blocks of this size pass through them without leaving the first-level cache.
    for begin in range(0, p.size, BLOCK):
        block = slice(begin, begin + BLOCK)
        p_, g_, average_, square_, largest_ = p[block], g[block], average[block], square[block], largest[block]
        for i in range(p_.size):
            d = g_[i] * sign
            if decay != 0:
                d += decay * p_[i]
            average_[i] += rest1 * (d - average_[i])
            square_[i] = beta2 * square_[i] + rest2 * d * d
        if amsgrad:
            for i in range(p_.size):
                s = square_[i]
                largest_[i] = s if s > largest_[i] or s != s else largest_[i]
            square_ = largest_
        for i in range(p_.size):
            p_[i] = p_[i] * shrink - step_size * (average_[i] / (math.sqrt(square_[i]) / root + epsilon))


@njit(parallel=True, **EXACT)
def _adam_pieces(
    p: Any,
    g: Any,
    average: Any,
    square: Any,
    largest: Any,
    amsgrad: bool,
    shrink: Any,
    decay: Any,
    sign: Any,
    rest1: Any,
    beta2: Any,
    rest2: Any,
    root: Any,
    epsilon: Any,
    step_size: Any,
) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _adam_piece(
            p[part],
            g[part],
            average[part],
            square[part],
            largest[part],
            amsgrad,
            shrink,
            decay,
            sign,
            rest1,
            beta2,
            rest2,
            root,
            epsilon,
            step_size,
        )


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
    has_buffer = momentum_buffer is not None
    arrays = flat_in_place(parameter, gradient, momentum_buffer if has_buffer else parameter)
    if arrays is None:
        plain.sgd_update(
            parameter, gradient, momentum_buffer, lr, momentum, dampening, weight_decay, nesterov, maximize, first
        )
        return
    number = parameter.dtype.type
    arguments = (
        *arrays,
        has_buffer,
        number(lr),
        number(momentum),
        number(1 - dampening),
        number(weight_decay),
        nesterov,
        number(-1 if maximize else 1),
        first,
    )
    if parameter.size <= GRAIN:
        _sgd_piece(*arguments)
    else:
        with parallel_region():
            _sgd_pieces(*arguments)


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
    amsgrad = max_exp_avg_sq is not None
    arrays = flat_in_place(parameter, gradient, exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad else exp_avg_sq)
    if arrays is None:
        plain.adam_update(
            parameter,
            gradient,
            exp_avg,
            exp_avg_sq,
            max_exp_avg_sq,
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
    number = parameter.dtype.type
    arguments = (
        *arrays,
        amsgrad,
        number(1 - lr * weight_decay if decoupled else 1),
        number(0 if decoupled else weight_decay),
        number(-1 if maximize else 1),
        number(1 - beta1),
        number(beta2),
        number(1 - beta2),
        number(math.sqrt(1 - beta2**step)),
        number(epsilon),
        number(lr / (1 - beta1**step)),
    )
    if parameter.size <= GRAIN:
        _adam_piece(*arguments)
    else:
        with parallel_region():
            _adam_pieces(*arguments)
