"""What a row of the table is: an operation, its cases, its bad calls, and where its inputs come from.

A case is written once and run twice: ``call(library, *tensors)`` gets ``minidl`` or ``torch`` as its library, which
proves the names and the numbers together. Where torch has no such function, ``twin`` says it in torch's words.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError

__all__ = ["MINIDL_ERRORS", "Bad", "Case", "Draw", "Operation"]

MINIDL_ERRORS = (ShapeError, ArgumentError, DTypeError, DeviceError, GraphError)


class Draw:
    """Seeded inputs for a case, always as float64 (or int64, bool) arrays in C order."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return np.asarray(self.rng.standard_normal(shape))

    def positive(self, *shape: int) -> np.ndarray:
        """Numbers in [0.5, 2)."""
        return np.asarray(self.rng.uniform(0.5, 2.0, shape))

    def nonzero(self, *shape: int) -> np.ndarray:
        """Numbers of both signs with magnitude in [0.5, 2): no kink at zero, no division by little."""
        return np.asarray(self.positive(*shape) * self.rng.choice([-1.0, 1.0], shape))

    def distinct(self, *shape: int) -> np.ndarray:
        """Numbers of both signs, no two closer than 0.1: maxima are not in doubt under a finite difference."""
        count = int(np.prod(shape))
        return (self.rng.permutation(count) * 0.1 - 0.05 * count + 0.025).reshape(shape)

    def negative(self, *shape: int) -> np.ndarray:
        """Distinct numbers below zero: a padding of zeros would win every window it touches."""
        distinct = self.distinct(*shape)
        return distinct - distinct.max(initial=0.0) - 1.0

    def ties(self, *shape: int) -> np.ndarray:
        """Numbers from {-1, 0, 1}: most windows hold equal maxima."""
        return self.rng.integers(-1, 2, shape).astype(np.float64)

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        """int64 in [low, high)."""
        return np.asarray(self.rng.integers(low, high, shape))

    def booleans(self, *shape: int) -> np.ndarray:
        """True and False, about half each."""
        return np.asarray(self.rng.random(shape) < 0.5)

    def simplex(self, *shape: int, axis: int = 1) -> np.ndarray:
        """Non-negative numbers that add up to 1 along ``axis``."""
        weights = self.rng.uniform(0.1, 1.0, shape)
        return weights / weights.sum(axis=axis, keepdims=True)


@dataclass(frozen=True)
class Case:
    """One way to use an operation.

    ``inputs(draw)`` gives the arrays: floating-point ones are differentiated unless their position is in ``constant``.
    ``gradcheck`` and ``second_order`` are True, or a sentence that says why the check has no meaning here.
    ``forward``, ``gradient`` and ``float32`` are the largest relative errors allowed (see ``checks.relative_error``).
    """

    name: str
    inputs: Callable[[Draw], Sequence[np.ndarray]]
    call: Callable[..., Any]
    twin: Callable[..., Any] | None = None
    constant: tuple[int, ...] = ()
    gradcheck: bool | str = True
    second_order: bool | str = True
    forward: float = 1e-9
    gradient: float = 1e-7
    float32: float = 2e-5


@dataclass(frozen=True)
class Bad:
    """A call that must be refused with one of ``error``, in a message that matches ``says``."""

    name: str
    call: Callable[[Any], Any]
    says: str
    error: type[Exception] | tuple[type[Exception], ...] = MINIDL_ERRORS


@dataclass(frozen=True)
class Operation:
    """A row of the report: the operation's name, its cases and at least four bad calls."""

    name: str
    cases: list[Case]
    bad: list[Bad] = field(default_factory=list)
