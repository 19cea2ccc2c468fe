"""Several schedules one after another."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from minidl.errors import ArgumentError, DTypeError
from minidl.optim.lr_scheduler.base import LRScheduler, check_whole, checked_state
from minidl.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minidl.optim.optimizer import Optimizer

__all__ = ["SequentialLR"]


class SequentialLR(LRScheduler):
    """The first of ``schedulers`` until epoch ``milestones[0]``, where the second one begins at its epoch 0; and so on.

    As ``torch.optim.lr_scheduler.SequentialLR``. Raises ArgumentError unless there is one milestone less than
    schedules and all of them belong to ``optimizer``; ReduceLROnPlateau, which needs a figure, is refused,
    and so is a SequentialLR that is not the first, which torch cannot restart.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        who = "SequentialLR"
        if not schedulers:
            raise ArgumentError(who, expected="at least one schedule", got="none")
        for number, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise DTypeError(who, expected="schedules only", got=f"{type(scheduler).__name__} at {number}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(
                    who,
                    expected="schedules whose step takes no figure",
                    got=f"ReduceLROnPlateau at {number}",
                )
            if number > 0 and isinstance(scheduler, SequentialLR):
                raise ArgumentError(who, expected="a SequentialLR only as the first schedule", got=f"one at {number}")
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(
                    who,
                    expected="all schedules on the same optimizer",
                    got=f"{type(scheduler).__name__} at {number} on another",
                )
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                who, expected=f"{len(schedulers) - 1} milestones for {len(schedulers)} schedules", got=f"{milestones}"
            )
        for milestone in milestones:
            check_whole(who, "every milestone", milestone, 0)
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each schedule took its step 0 when it was made: that is undone, and the first one takes it anew.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def _undo(self) -> None:
        for scheduler in self._schedulers:
            if isinstance(scheduler, SequentialLR):
                scheduler._undo()
            else:
                scheduler.last_epoch -= 1

    def step(self) -> None:
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        state = {key: value for key, value in vars(self).items() if key not in ("optimizer", "_schedulers")}
        return {**state, "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        there = checked_state("SequentialLR", state_dict, self.state_dict())
        for scheduler, state in zip(self._schedulers, there.pop("_schedulers")):
            scheduler.load_state_dict(state)
        vars(self).update({name: list(value) if isinstance(value, list) else value for name, value in there.items()})
