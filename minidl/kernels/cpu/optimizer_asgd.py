"""Averaged stochastic gradient descent on the CPU, one pass over memory; formulas in ``plain/optimizer_asgd.py``."""

from __future__ import annotations

from typing import Any

from numba import prange

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.shared import EXACT, GRAIN, flat_in_place
from minidl.kernels.cpu.threads import parallel_region
from minidl.kernels.plain import optimizer_asgd as plain

__all__ = ["asgd_update"]


@njit(**EXACT)
def _asgd_piece(p: Any, g: Any, average: Any, eta: Any, mu: Any, shrink: Any, decay: Any, sign: Any) -> None:
    for i in range(p.size):
        d = g[i] * sign
        if decay != 0:
            d += decay * p[i]
        value = p[i] * shrink - eta * d
        p[i] = value
        average[i] = value if mu == 1 else average[i] + mu * (value - average[i])


@njit(parallel=True, **EXACT)
def _asgd_pieces(p: Any, g: Any, average: Any, eta: Any, mu: Any, shrink: Any, decay: Any, sign: Any) -> None:
    for i in prange((p.size + GRAIN - 1) // GRAIN):
        part = slice(i * GRAIN, (i + 1) * GRAIN)
        _asgd_piece(p[part], g[part], average[part], eta, mu, shrink, decay, sign)


def asgd_update(
    parameter: Any,
    gradient: Any,
    average: Any,
    eta: float,
    mu: float,
    lambd: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    arrays = flat_in_place(parameter, gradient, average)
    if arrays is None:
        plain.asgd_update(parameter, gradient, average, eta, mu, lambd, weight_decay, maximize)
        return
    number = parameter.dtype.type
    arguments = (
        *arrays,
        number(eta),
        number(mu),
        number(1 - lambd * eta),
        number(weight_decay),
        number(-1 if maximize else 1),
    )
    if parameter.size <= GRAIN:
        _asgd_piece(*arguments)
    else:
        with parallel_region():
            _asgd_pieces(*arguments)
