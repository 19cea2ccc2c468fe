"""SGD and Adam for many parameters in one call; formulas in ``plain/optimizer.py``.

A call for each of the ten parameters of a small network takes longer than all the arithmetic. Here the kernel is given
a table of addresses instead of arrays: those of parameters and buffers are looked up once, those of the gradients,
which are new arrays at every step, each time. It cuts every parameter into the same pieces whatever the number of
threads and hands them to the functions that update single parameters: the same bits.

What cannot be described by an address goes through ``sgd_update`` and ``adam_update``: a parameter or buffer that is
not C-contiguous, a gradient that is not or has another type, and all of them where memory overlaps that is written,
because the result then depends on the order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numba import prange
from numpy.lib.array_utils import byte_bounds

from minidl.kernels.cpu.caching import njit
from minidl.kernels.cpu.memory import array_at
from minidl.kernels.cpu.optimizer import BLOCK, _adam_piece, _sgd_piece, adam_update, sgd_update
from minidl.kernels.cpu.shared import EXACT, GRAIN
from minidl.kernels.cpu.threads import parallel_region

__all__ = ["adam_update_group", "sgd_update_group"]

PIECE = 4 * BLOCK  # elements of one parameter that one thread takes at a time; small, to share small networks evenly

# Columns of the table of rows, one row a parameter; after them come the addresses of its buffers.
_SIZE, _PARAMETER, _BUFFERS = range(3)


@njit(**EXACT)
def _address(x: Any) -> Any:
    """Where the memory of x begins; 0 if it is not C-contiguous."""
    return np.int64(x.ctypes.data) if x.flags.c_contiguous else np.int64(0)


@njit(**EXACT)
def _apart(like: Any, rows: Any, written: Any, gradients: Any) -> bool:
    """Whether no gradient overlaps memory that is written: written (2, S), begins and ends in ascending order."""
    for r in range(len(rows)):
        if gradients[r] == 0 or rows[r, _SIZE] == 0:
            continue
        # Bisection for the stretches that begin before this gradient ends; only the last of them can reach into it.
        end, low, high = gradients[r] + rows[r, _SIZE] * like.itemsize, 0, written.shape[1]
        while low < high:
            middle = (low + high) // 2
            if written[0, middle] < end:
                low = middle + 1
            else:
                high = middle
        if low > 0 and written[1, low - 1] > gradients[r]:
            return False
    return True


@njit(**EXACT)
def _sgd_at(
    like: Any,
    rows: Any,
    gradients: Any,
    first: Any,
    has_buffer: bool,
    lr: float,
    momentum: float,
    rest: float,
    decay: float,
    nesterov: bool,
    sign: float,
    r: int,
    start: int,
) -> None:
    """Up to PIECE elements of row r, from `start` on; nothing without a gradient."""
    if gradients[r] == 0:
        return
    number = like.dtype.type
    count, place = min(PIECE, rows[r, _SIZE] - start), start * like.itemsize
    p = array_at(like, rows[r, _PARAMETER] + place, count)
    _sgd_piece(
        p,
        array_at(like, gradients[r] + place, count),
        array_at(like, rows[r, _BUFFERS] + place, count) if has_buffer else p,
        has_buffer,
        number(lr),
        number(momentum),
        number(rest),
        number(decay),
        nesterov,
        number(sign),
        first[r] != 0,
    )


@njit(**EXACT)
def _sgd_alone(like: Any, rows: Any, pieces: Any, written: Any, gradients: Any, *settings: Any) -> bool:
    if not _apart(like, rows, written, gradients):
        return False
    for i in range(len(pieces)):
        _sgd_at(like, rows, gradients, *settings, pieces[i, 0], pieces[i, 1])
    return True


@njit(parallel=True, **EXACT)
def _sgd_together(like: Any, rows: Any, pieces: Any, written: Any, gradients: Any, *settings: Any) -> bool:
    if not _apart(like, rows, written, gradients):
        return False
    for i in prange(len(pieces)):
        _sgd_at(like, rows, gradients, *settings, pieces[i, 0], pieces[i, 1])
    return True


@njit(**EXACT)
def _count_steps(rows: Any, gradients: Any, lr: float, beta1: float, beta2: float) -> Any:
    """Count up the steps of all parameters with a gradient -> (P, 2): Adam's corrections, as ``adam_update`` has them.

    The last column of rows holds the addresses of the counts.
    """
    corrections = np.empty((len(rows), 2))
    single = np.empty(0, np.float32)
    for r in range(len(rows)):
        if gradients[r] != 0:
            count = array_at(single, rows[r, -1], 1)
            count[0] += np.float32(1)
            step = float(int(count[0]))
            corrections[r, 0] = math.sqrt(1 - math.pow(beta2, step))
            corrections[r, 1] = lr / (1 - math.pow(beta1, step))
    return corrections


@njit(**EXACT)
def _adam_at(
    like: Any,
    rows: Any,
    gradients: Any,
    corrections: Any,
    beta1: float,
    beta2: float,
    amsgrad: bool,
    shrink: float,
    decay: float,
    sign: float,
    epsilon: float,
    r: int,
    start: int,
) -> None:
    """Up to PIECE elements of row r, from `start` on; nothing without a gradient."""
    if gradients[r] == 0:
        return
    number = like.dtype.type
    count, place = min(PIECE, rows[r, _SIZE] - start), start * like.itemsize
    square = array_at(like, rows[r, _BUFFERS + 1] + place, count)
    _adam_piece(
        array_at(like, rows[r, _PARAMETER] + place, count),
        array_at(like, gradients[r] + place, count),
        array_at(like, rows[r, _BUFFERS] + place, count),
        square,
        array_at(like, rows[r, _BUFFERS + 2] + place, count) if amsgrad else square,
        amsgrad,
        number(shrink),
        number(decay),
        number(sign),
        number(1 - beta1),
        number(beta2),
        number(1 - beta2),
        number(corrections[r, 0]),
        number(epsilon),
        number(corrections[r, 1]),
    )


@njit(**EXACT)
def _adam_alone(
    like: Any, rows: Any, pieces: Any, written: Any, gradients: Any, lr: float, beta1: float, beta2: float, *rest: Any
) -> bool:
    if not _apart(like, rows, written, gradients):
        return False
    corrections = _count_steps(rows, gradients, lr, beta1, beta2)
    for i in range(len(pieces)):
        _adam_at(like, rows, gradients, corrections, beta1, beta2, *rest, pieces[i, 0], pieces[i, 1])
    return True


@njit(parallel=True, **EXACT)
def _adam_together(
    like: Any, rows: Any, pieces: Any, written: Any, gradients: Any, lr: float, beta1: float, beta2: float, *rest: Any
) -> bool:
    if not _apart(like, rows, written, gradients):
        return False
    corrections = _count_steps(rows, gradients, lr, beta1, beta2)
    for i in prange(len(pieces)):
        _adam_at(like, rows, gradients, corrections, beta1, beta2, *rest, pieces[i, 0], pieces[i, 1])
    return True


class _Table:
    """What the kernels must know of parameters and buffers, all of one type, and of float32 counts of steps.

    rows (P, 2 + buffers + 1 with steps): sizes and addresses. misfits: rows that addresses cannot describe. pieces
    (M, 2): row and first element; size: elements in all pieces. written (2, S): where the memory that is written begins
    and ends, in ascending order.
    """

    def __init__(
        self, parameters: Sequence[Any], buffers: Sequence[Sequence[Any]], steps: Sequence[Any] | None
    ) -> None:
        self.dtype = parameters[0].dtype
        self.like = np.empty(0, self.dtype)
        self.nothing = np.zeros(len(parameters), np.int64)
        groups = list(zip(parameters, *buffers, strict=True))
        counts = [()] * len(groups) if steps is None else [(step,) for step in steps]
        bounds = [[byte_bounds(x) for x in (*group, *count)] for group, count in zip(groups, counts, strict=True)]
        self.rows = np.array([[x.size, *(low for low, _ in row)] for x, row in zip(parameters, bounds)], np.int64)
        # (P, buffers, 2) -> (2, S)
        every = np.array([pair for row in bounds for pair in row if pair[0] < pair[1]], np.int64).reshape(-1, 2).T
        self.written = np.ascontiguousarray(np.sort(every))
        if (self.written[0, 1:] < self.written[1, :-1]).any():
            fits = [False] * len(groups)
        else:
            fits = [
                all(_fits(x, self.dtype, group[0].shape) for x in group)
                and all(_fits(x, np.float32, ()) for x in count)
                for group, count in zip(groups, counts)
            ]
        self.misfits = [r for r, fit in enumerate(fits) if not fit]
        pieces = [(r, start) for r, fit in enumerate(fits) if fit for start in range(0, parameters[r].size, PIECE)]
        self.pieces = np.array(pieces, np.int64).reshape(-1, 2)
        self.size = sum(parameters[r].size for r, fit in enumerate(fits) if fit)

    def addresses(self, gradients: Sequence[Any | None]) -> list[int]:
        """Where the gradients lie; 0 for None and for those that must go through single updates."""
        dtype = self.dtype
        found = [0 if g is None or (g.dtype is not dtype and g.dtype != dtype) else _address(g) for g in gradients]
        for i in self.misfits:
            found[i] = 0
        if any(self._overlaps(gradients[i]) for i in _left_over(gradients, found)):
            return [0] * len(found)
        return found

    def _overlaps(self, gradient: Any) -> bool:
        low, high = byte_bounds(gradient)
        begin_before = int(np.searchsorted(self.written[0], high))
        return begin_before > 0 and bool(self.written[1, begin_before - 1] > low)


def _fits(x: Any, dtype: Any, shape: tuple[int, ...]) -> bool:
    return type(x) is np.ndarray and x.dtype == dtype and x.shape == shape and x.flags.carray


def _left_over(gradients: Sequence[Any | None], found: list[int]) -> list[int]:
    """Positions of the gradients that were not found."""
    return [i for i, g in enumerate(gradients) if g is not None and not found[i]] if 0 in found else []


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
    table = memo.get("table")
    if table is None:
        buffers = () if momentum_buffers is None else (momentum_buffers,)
        table = memo["table"] = _Table(parameters, buffers, None)
    found = table.addresses(gradients)
    flags = table.nothing
    if first:
        flags = np.array([i in first for i in range(len(parameters))], np.int64)
    arguments = (
        table.like,
        table.rows,
        table.pieces,
        table.written,
        np.array(found),
        flags,
        momentum_buffers is not None,
        float(lr),
        float(momentum),
        float(1 - dampening),
        float(weight_decay),
        nesterov,
        -1.0 if maximize else 1.0,
    )
    if table.size <= GRAIN:
        done = _sgd_alone(*arguments)
    else:
        with parallel_region():
            done = _sgd_together(*arguments)
    for i in _left_over(gradients, found if done else [0] * len(found)):
        buffer = None if momentum_buffers is None else momentum_buffers[i]
        sgd_update(
            parameters[i],
            gradients[i],
            buffer,
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            maximize,
            i in first,
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
    table = memo.get("table")
    if table is None:
        largest = () if max_exp_avg_sqs is None else (max_exp_avg_sqs,)
        table = memo["table"] = _Table(parameters, (exp_avgs, exp_avg_sqs, *largest), steps)
    found = table.addresses(gradients)
    arguments = (
        table.like,
        table.rows,
        table.pieces,
        table.written,
        np.array(found),
        float(lr),
        float(beta1),
        float(beta2),
        max_exp_avg_sqs is not None,
        float(1 - lr * weight_decay if decoupled else 1),
        float(0 if decoupled else weight_decay),
        -1.0 if maximize else 1.0,
        float(epsilon),
    )
    if table.size <= GRAIN:
        done = _adam_alone(*arguments)
    else:
        with parallel_region():
            done = _adam_together(*arguments)
    for i in _left_over(gradients, found if done else [0] * len(found)):
        steps[i][...] += 1
        adam_update(
            parameters[i],
            gradients[i],
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
