"""One step of averaged stochastic gradient descent, in place."""

from __future__ import annotations

from typing import Any

__all__ = ["asgd_update"]


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
    """One step of averaged gradient descent on ``parameter`` and ``average``, in place; ``torch.optim.ASGD``.

    With g = gradient (negated by ``maximize``) + weight_decay * parameter::

        parameter = (1 - lambd * eta) * parameter - eta * g
        average += mu * (parameter - average),   or average = parameter while mu is 1

    All arrays have one shape, any strides. ``eta`` is the step size, ``mu`` the weight of the newest value. Polyak and
    Juditsky 1992.
    """
    direction = -gradient if maximize else gradient
    if weight_decay:
        direction = direction + weight_decay * parameter
    parameter *= 1 - lambd * eta
    parameter -= eta * direction
    if mu == 1:
        average[...] = parameter  # also where the average before is infinite or NaN
    else:
        average += mu * (parameter - average)
