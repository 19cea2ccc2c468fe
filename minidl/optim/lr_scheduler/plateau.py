"""Lowering the rate when a figure no longer improves."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError
from minidl.optim.lr_scheduler.base import LRScheduler, check_whole, one_for_each_group
from minidl.optim.optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """lr <- max(factor lr, min_lr) after ``patience`` epochs in a row without a better figure, at the next bad one.

    As ``torch.optim.lr_scheduler.ReduceLROnPlateau``. ``step(metrics)`` takes the epoch's figure: a number or a tensor
    of one element. Better than b is a figure below b (1 - threshold), or with ``threshold_mode`` "abs" below b -
    threshold; with ``mode`` "max" above b (1 + threshold) or b + threshold. NaN is never better. After a change
    ``cooldown`` epochs do not count, and changes below ``eps`` are not made. ``min_lr`` may be a list, one for each
    group. Raises ArgumentError for factor >= 1 and for other modes.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:
        who = "ReduceLROnPlateau"
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(who, expected="an Optimizer", got=type(optimizer).__name__)
        if not is_real(factor) or not factor < 1:
            raise ArgumentError(who, expected="factor < 1", got=repr(factor), hint="Factor should be < 1.0.")
        _check_modes(who, mode, threshold_mode)
        check_whole(who, "patience", patience, 0)
        check_whole(who, "cooldown", cooldown, 0)
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = one_for_each_group(who, "min_lr", min_lr, optimizer)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        for value in (threshold, eps, *self.min_lrs):
            if not is_real(value):
                raise DTypeError(who, expected="threshold, eps and min_lr as numbers", got=repr(value))
        self.eps = eps
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.best = self.mode_worse
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs do not count at present."""
        return self.cooldown_counter > 0

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Note the epoch's figure, and lower the rates if the time has come."""
        figure = float(metrics)
        self.last_epoch += 1
        if self._is_better(figure):
            self.best = figure
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._rates()

    def _is_better(self, figure: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            bound = self.best * (1 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return figure < bound if self.mode == "min" else figure > bound

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise ArgumentError(
                    "ReduceLROnPlateau",
                    expected=f"min_lrs for each of {len(groups)} groups",
                    got=str(len(self.min_lrs)),
                    hint="Give one min_lr, or make the schedule after add_param_group.",
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs):
            rate = max(group["lr"] * self.factor, least)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if isinstance(state_dict, dict):
            _check_modes(
                "ReduceLROnPlateau.load_state_dict",
                state_dict.get("mode", "min"),
                state_dict.get("threshold_mode", "rel"),
            )
        super().load_state_dict(state_dict)
        self.mode_worse = math.inf if self.mode == "min" else -math.inf


def _check_modes(who: str, mode: Any, threshold_mode: Any) -> None:
    if mode not in ("min", "max"):
        raise ArgumentError(who, expected='mode "min" or "max"', got=repr(mode))
    if threshold_mode not in ("rel", "abs"):
        raise ArgumentError(who, expected='threshold_mode "rel" or "abs"', got=repr(threshold_mode))
