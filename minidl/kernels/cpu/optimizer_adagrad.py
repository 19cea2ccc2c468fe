"""Adagrad, RMSprop and Adadelta on the CPU, one pass over memory; formulas in ``plain/optimizer_adagrad.py``."""

from __future__ import annotations

import math
from typing import Any

from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.optimizer import BLOCK
from minidl.kernels.cpu.shared import EXACT, GRAIN, flat_in_place
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.plain import optimizer_adagrad as plain

__all__ = ["adadelta_update", "adagrad_update", "rmsprop_update"]


@njit(**EXACT)
def _decayed(g: Any, p: Any, decay: Any, sign: Any) -> Any:
    """One element of the gradient, negated or not, with the weight decay."""
    return g * sign + decay * p if decay != 0 else g * sign


@njit(**EXACT)
def _adagrad_piece(p: Any, g: Any, total: Any, step_size: Any, epsilon: Any, decay: Any, sign: Any) -> None:
    for i in range(p.size):
        d = g[i] * sign
        if decay != 0:
            d += decay * p[i]
        t = total[i] + d * d
        total[i] = t
        p[i] -= step_size * (d / (math.sqrt(t) + epsilon))


@njit(parallel=True, **EXACT)
def _adagrad_pieces(p: Any, g: Any, total: Any, step_size: Any, epsilon: Any, decay: Any, sign: Any) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _adagrad_piece(p[part], g[part], total[part], step_size, epsilon, decay, sign)


@njit(**EXACT)
def _rmsprop_piece(
    p: Any,
    g: Any,
    square: Any,
    mean: Any,
    centered: bool,
    buffer: Any,
    has_buffer: bool,
    lr: Any,
    alpha: Any,
    rest: Any,
    epsilon: Any,
    decay: Any,
    momentum: Any,
    sign: Any,
) -> None:
    # Short loops over blocks instead of one over five arrays, as in `_adam_piece`, and one for each form of the step: a
    # loop that named an array which stands in for a missing one would find that two overlap, and not be vectorised.
    # The gradient with its decay is computed anew in the last loop: `p` changes only there.
    for begin in range(0, p.size, BLOCK):
        block = slice(begin, begin + BLOCK)
        p_, g_, square_, mean_, buffer_ = p[block], g[block], square[block], mean[block], buffer[block]
        for i in range(p_.size):
            d = _decayed(g_[i], p_[i], decay, sign)
            square_[i] = alpha * square_[i] + rest * d * d
        if centered:
            for i in range(p_.size):
                mean_[i] += rest * (_decayed(g_[i], p_[i], decay, sign) - mean_[i])
        if centered and has_buffer:
            for i in range(p_.size):
                root = math.sqrt(square_[i] - mean_[i] * mean_[i]) + epsilon
                b = momentum * buffer_[i] + _decayed(g_[i], p_[i], decay, sign) / root
                buffer_[i] = b
                p_[i] -= lr * b
        elif has_buffer:
            for i in range(p_.size):
                b = momentum * buffer_[i] + _decayed(g_[i], p_[i], decay, sign) / (math.sqrt(square_[i]) + epsilon)
                buffer_[i] = b
                p_[i] -= lr * b
        elif centered:
            for i in range(p_.size):
                root = math.sqrt(square_[i] - mean_[i] * mean_[i]) + epsilon
                p_[i] -= lr * (_decayed(g_[i], p_[i], decay, sign) / root)
        else:
            for i in range(p_.size):
                p_[i] -= lr * (_decayed(g_[i], p_[i], decay, sign) / (math.sqrt(square_[i]) + epsilon))


@njit(parallel=True, **EXACT)
def _rmsprop_pieces(
    p: Any,
    g: Any,
    square: Any,
    mean: Any,
    centered: bool,
    buffer: Any,
    has_buffer: bool,
    lr: Any,
    alpha: Any,
    rest: Any,
    epsilon: Any,
    decay: Any,
    momentum: Any,
    sign: Any,
) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _rmsprop_piece(
            p[part],
            g[part],
            square[part],
            mean[part],
            centered,
            buffer[part],
            has_buffer,
            lr,
            alpha,
            rest,
            epsilon,
            decay,
            momentum,
            sign,
        )


@njit(**EXACT)
def _adadelta_piece(
    p: Any, g: Any, square: Any, moved: Any, lr: Any, rho: Any, rest: Any, epsilon: Any, decay: Any, sign: Any
) -> None:
    for i in range(p.size):
        d = g[i] * sign
        if decay != 0:
            d += decay * p[i]
        s = rho * square[i] + rest * d * d
        square[i] = s
        delta = math.sqrt(moved[i] + epsilon) / math.sqrt(s + epsilon) * d
        moved[i] = rho * moved[i] + rest * delta * delta
        p[i] -= lr * delta


@njit(parallel=True, **EXACT)
def _adadelta_pieces(
    p: Any, g: Any, square: Any, moved: Any, lr: Any, rho: Any, rest: Any, epsilon: Any, decay: Any, sign: Any
) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _adadelta_piece(p[part], g[part], square[part], moved[part], lr, rho, rest, epsilon, decay, sign)


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
    arrays = flat_in_place(parameter, gradient, total)
    if arrays is None:
        plain.adagrad_update(parameter, gradient, total, lr, lr_decay, epsilon, weight_decay, maximize, step)
        return
    number = parameter.dtype.type
    arguments = (
        *arrays,
        number(lr / (1 + (step - 1) * lr_decay)),
        number(epsilon),
        number(weight_decay),
        number(-1 if maximize else 1),
    )
    if parameter.size <= GRAIN:
        _adagrad_piece(*arguments)
    else:
        with parallel_region():
            _adagrad_pieces(*arguments)


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
    mean = square_avg if grad_avg is None else grad_avg
    buffer = square_avg if momentum_buffer is None else momentum_buffer
    arrays = flat_in_place(parameter, gradient, square_avg, mean, buffer)
    if arrays is None:
        plain.rmsprop_update(
            parameter,
            gradient,
            square_avg,
            grad_avg,
            momentum_buffer,
            lr,
            alpha,
            epsilon,
            weight_decay,
            momentum,
            maximize,
        )
        return
    number = parameter.dtype.type
    arguments = (
        *arrays[:4],
        grad_avg is not None,
        arrays[4],
        momentum_buffer is not None,
        number(lr),
        number(alpha),
        number(1 - alpha),
        number(epsilon),
        number(weight_decay),
        number(momentum),
        number(-1 if maximize else 1),
    )
    if parameter.size <= GRAIN:
        _rmsprop_piece(*arguments)
    else:
        with parallel_region():
            _rmsprop_pieces(*arguments)


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
    arrays = flat_in_place(parameter, gradient, square_avg, acc_delta)
    if arrays is None:
        plain.adadelta_update(parameter, gradient, square_avg, acc_delta, lr, rho, epsilon, weight_decay, maximize)
        return
    number = parameter.dtype.type
    arguments = (
        *arrays,
        number(lr),
        number(rho),
        number(1 - rho),
        number(epsilon),
        number(weight_decay),
        number(-1 if maximize else 1),
    )
    if parameter.size <= GRAIN:
        _adadelta_piece(*arguments)
    else:
        with parallel_region():
            _adadelta_pieces(*arguments)
