"""Schedules that multiply the rate by a factor: at every epoch, at some, at the beginning, or by a function."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError
from minidl.optim.lr_scheduler.base import LRScheduler, check_between, check_whole, checked_state, one_for_each_group
from minidl.optim.optimizer import Optimizer

__all__ = ["ConstantLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "StepLR"]


class StepLR(LRScheduler):
    """lr <- gamma lr every ``step_size`` epochs (``torch.optim.lr_scheduler.StepLR``)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        check_whole("StepLR", "step_size", step_size, 1)
        _check_gamma("StepLR", gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if due else rate for rate in self._rates()]

    def _first_lr(self) -> list[float]:
        return list(self.base_lrs)


class MultiStepLR(LRScheduler):
    """lr <- gamma lr at each of the epochs ``milestones`` (``torch.optim.lr_scheduler.MultiStepLR``).

    A milestone that is named twice counts twice.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if not isinstance(milestones, Iterable):
            raise DTypeError("MultiStepLR", expected="milestones as a list of epochs", got=repr(milestones))
        self.milestones = Counter(milestones)
        for milestone in self.milestones:
            check_whole("MultiStepLR", "every milestone", milestone, 0)
        _check_gamma("MultiStepLR", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones[self.last_epoch]
        return [rate * self.gamma**times if times else rate for rate in self._rates()]

    def _first_lr(self) -> list[float]:
        return [rate * self.gamma ** self.milestones[0] for rate in self.base_lrs]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.milestones = Counter(self.milestones)  # a file gives a dict


class ExponentialLR(LRScheduler):
    """lr <- gamma lr every epoch (``torch.optim.lr_scheduler.ExponentialLR``)."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        _check_gamma("ExponentialLR", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [rate if self._is_initial else rate * self.gamma for rate in self._rates()]

    def _first_lr(self) -> list[float]:
        return list(self.base_lrs)


class ConstantLR(LRScheduler):
    """lr times ``factor`` for the first ``total_iters`` epochs (``torch.optim.lr_scheduler.ConstantLR``).

    ArgumentError unless 0 <= factor <= 1. Factor 0, whose inverse does not exist, ends in an ArgumentError at epoch
    ``total_iters``, where torch divides by zero.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        check_between("ConstantLR", "factor", factor, 0, 1)
        check_whole("ConstantLR", "total_iters", total_iters, 0)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self._rates()]
        if self.last_epoch != self.total_iters:
            return self._rates()
        if self.factor == 0:
            raise ArgumentError("ConstantLR", expected="factor > 0 to return from", got="0")
        return [rate * (1 / self.factor) for rate in self._rates()]

    def _first_lr(self) -> list[float]:
        return [rate if self.total_iters == 0 else rate * self.factor for rate in self.base_lrs]


class LinearLR(LRScheduler):
    """lr times a factor that goes from ``start_factor`` to ``end_factor`` on a straight line over ``total_iters``
    epochs (``torch.optim.lr_scheduler.LinearLR``). ArgumentError unless 0 < start_factor <= 1, 0 <= end_factor <= 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        hint = "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
        check_between("LinearLR", "start_factor", start_factor, 0, 1, hint)
        if start_factor == 0:
            raise ArgumentError("LinearLR", expected="0 < start_factor", got=repr(start_factor), hint=hint)
        check_between("LinearLR", "end_factor", end_factor, 0, 1)
        check_whole("LinearLR", "total_iters", total_iters, 0)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in self._rates()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        # factor(t) / factor(t - 1), where factor(t) = start + (end - start) t / total
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [rate * (1 + rise / before) for rate in self._rates()]

    def _first_lr(self) -> list[float]:
        return [rate * self.start_factor for rate in self.base_lrs]


class LambdaLR(LRScheduler):
    """The group's first rate times ``lr_lambda(epoch)`` (``torch.optim.lr_scheduler.LambdaLR``).

    ``lr_lambda`` is one function or a list with one for each group. Functions are not in the state, objects that can
    be called are, by their attributes. ArgumentError for a list of another length.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError("LambdaLR", expected="an Optimizer", got=type(optimizer).__name__)
        self.lr_lambdas = one_for_each_group("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                raise DTypeError("LambdaLR", expected="lr_lambda as a function of the epoch", got=repr(function))
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [rate * function(self.last_epoch) for rate, function in zip(self.base_lrs, self.lr_lambdas)]

    def state_dict(self) -> dict[str, Any]:
        attributes = {key: value for key, value in vars(self).items() if key not in ("optimizer", "lr_lambdas")}
        return {
            **{key: list(value) if isinstance(value, list) else value for key, value in attributes.items()},
            "lr_lambdas": [None if isinstance(f, types.FunctionType) else dict(vars(f)) for f in self.lr_lambdas],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        there = checked_state("LambdaLR", state_dict, self.state_dict())
        for function, attributes in zip(self.lr_lambdas, there.pop("lr_lambdas")):
            if attributes is not None:
                vars(function).update(attributes)
        vars(self).update(there)


def _check_gamma(who: str, gamma: Any) -> None:
    if not is_real(gamma):
        raise DTypeError(who, expected="gamma as a number", got=repr(gamma))
