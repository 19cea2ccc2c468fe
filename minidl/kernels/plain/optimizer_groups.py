"""One step of SGD and of Adam for many parameters in one call, in place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from minidl.kernels.plain.optimizer import adam_update, sgd_update

__all__ = ["adam_update_group", "sgd_update_group"]


def sgd_update_group(
    parameters: Sequence[Any],
    gradients: Sequence[Any | None],
    momentum_buffers: Sequence[Any] | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: Collection[int],
    memo: dict[str, Any],
) -> None:
    """``sgd_update`` for each parameter whose gradient is not None, in their order.

    The parameters are of one type and on one device. first: positions of those whose buffer is to be set. memo: an
    empty dict at the first call; given again, it says that ``parameters`` and the buffers are the very arrays of the
    call before, so that what a dialect noted about them still holds.
    """
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        if gradient is not None:
            buffer = None if momentum_buffers is None else momentum_buffers[i]
            sgd_update(
                parameter, gradient, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize, i in first
            )


def adam_update_group(
    parameters: Sequence[Any],
    gradients: Sequence[Any | None],
    exp_avgs: Sequence[Any],
    exp_avg_sqs: Sequence[Any],
    max_exp_avg_sqs: Sequence[Any] | None,
    steps: Sequence[Any],
    lr: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
    memo: dict[str, Any],
) -> None:
    """``adam_update`` for each parameter whose gradient is not None, in their order.

    steps: for each parameter a float32 NumPy array () of the steps made so far, which is counted up. The parameters
    and ``memo`` as for ``sgd_update_group``; ``steps`` are among the arrays that must stay.
    """
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        if gradient is not None:
            steps[i][...] += 1
            adam_update(
                parameter,
                gradient,
                exp_avgs[i],
                exp_avg_sqs[i],
                None if max_exp_avg_sqs is None else max_exp_avg_sqs[i],
                lr,
                beta1,
                beta2,
                epsilon,
                weight_decay,
                decoupled,
                maximize,
                int(steps[i]),
            )
