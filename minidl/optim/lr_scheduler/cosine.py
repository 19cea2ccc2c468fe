"""Schedules along half a cosine: once, or again and again."""

from __future__ import annotations

import math

from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError
from minidl.optim.lr_scheduler.base import LRScheduler, check_whole
from minidl.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter 2017, without its restarts).

    As ``torch.optim.lr_scheduler.CosineAnnealingLR``: computed from the present rate, so that it goes with other
    schedules; after ``T_max`` epochs it rises again.
    """

    def __init__(self, optimizer: Optimizer, T_max: float, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not is_real(T_max) or not T_max > 0:
            raise ArgumentError("CosineAnnealingLR", expected="T_max > 0", got=repr(T_max))
        _check_eta_min("CosineAnnealingLR", eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._rates()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The rate was eta_min, of which no multiple leads up again.
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [rate + (base - self.eta_min) * rise for rate, base in zip(self._rates(), self.base_lrs)]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [ratio * (rate - self.eta_min) + self.eta_min for rate in self._rates()]

    def _first_lr(self) -> list[float]:
        return list(self.base_lrs)

    def _height(self, epoch: float) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """eta_min + (lr_0 - eta_min) (1 + cos(pi T_cur / T_i)) / 2 (Loshchilov and Hutter 2017, equation 5).

    As ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``: the first cosine takes T_i = ``T_0`` epochs, each next
    one ``T_mult`` times as many; T_cur counts the epochs since the last restart.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_whole("CosineAnnealingWarmRestarts", "T_0", T_0, 1)
        check_whole("CosineAnnealingWarmRestarts", "T_mult", T_mult, 1)
        _check_eta_min("CosineAnnealingWarmRestarts", eta_min)
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self) -> None:
        if self.last_epoch < 0:
            self.T_cur, self.T_i = -1, self.T_0
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur %= self.T_i
            self.T_i *= self.T_mult
        super().step()


def _check_eta_min(who: str, eta_min: object) -> None:
    if not is_real(eta_min):
        raise ArgumentError(who, expected="eta_min as a number", got=repr(eta_min))
