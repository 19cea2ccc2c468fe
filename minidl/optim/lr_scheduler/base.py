"""What all schedules share: the count of epochs, writing the rates into the optimizer's groups, saving and loading."""

from __future__ import annotations

import copy
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError
from minidl.optim.optimizer import Optimizer

__all__ = ["LRScheduler"]

_TORCHS_OWN = frozenset({"_get_lr_called_within_step", "_is_initial"})  # in torch's states, without meaning later


class LRScheduler:
    """The base of every schedule (``torch.optim.lr_scheduler.LRScheduler``).

    ``step()``, called after the epoch's (or, for schedules by batch, the batch's) ``optimizer.step()``, counts
    ``last_epoch`` up and writes ``lr`` into every group of ``optimizer.param_groups``. Making a schedule takes step 0.
    The rate that a group began with is kept in it as ``initial_lr`` and in ``base_lrs``.

    A subclass defines ``get_lr()``: the rates of all groups in epoch ``last_epoch``. Most compute them from the
    groups' present rates, so that several schedules on one optimizer multiply. To go on from a checkpoint, make the
    schedule anew, then give optimizer and schedule their states; or load the optimizer's state first and pass the
    ``last_epoch`` that was reached.
    """

    optimizer: Optimizer
    last_epoch: int
    base_lrs: list[float]
    _last_lr: list[float]
    _step_count: int
    _is_initial: bool  # whether get_lr is asked for the rates that hold from the start

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        who = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(who, expected="an Optimizer", got=type(optimizer).__name__)
        check_whole(who, "last_epoch", last_epoch, -1)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    who,
                    expected=f"initial_lr in param_groups[{number}] with last_epoch={last_epoch}",
                    got="an optimizer that no schedule has worked on",
                    hint="Load the optimizer's state first, or leave last_epoch at -1.",
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set, one for each group."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """The rates of all groups in epoch ``last_epoch``; called by ``step``."""
        raise NotImplementedError(f"{type(self).__name__} defines no get_lr()")

    def step(self) -> None:
        """Go on to the next epoch and set its rates. UserWarning if the optimizer has taken no step by the first."""
        if self._step_count == 1 and not self.optimizer.stepped:
            warnings.warn(
                f"{type(self).__name__}.step() came before the first optimizer.step(): the first rate of the schedule"
                " is never used; call the optimizer first",
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def _restart(self) -> None:
        """Go to epoch 0, wherever the schedule stands; for SequentialLR."""
        self.last_epoch = 0
        self._set(self._first_lr())

    def _first_lr(self) -> list[float]:
        """The rates of epoch 0 from ``base_lrs``, for schedules whose ``get_lr`` goes on from the present ones."""
        return self.get_lr()

    def _set(self, rates: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ArgumentError(
                type(self).__name__,
                expected=f"as many groups as when the schedule was made ({len(rates)})",
                got=str(len(groups)),
                hint="Make the schedule after add_param_group.",
            )
        for group, rate in zip(groups, rates):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in groups]

    def _rates(self) -> list[float]:
        """The present rates."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer, under torch's names; numbers, texts, lists and dicts."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Stand where ``state_dict`` was taken. The rates themselves are in the optimizer's state.

        Raises ArgumentError, and changes nothing, where names or kinds of values are not those of this schedule.
        """
        here = {name: value for name, value in vars(self).items() if name != "optimizer"}
        there = checked_state(type(self).__name__, state_dict, here)
        vars(self).update(copy.deepcopy(there))


def checked_state(who: str, state: Any, here: dict[str, Any]) -> dict[str, Any]:
    """What ``state`` has under the names in ``here``; ArgumentError where names or kinds of values differ."""
    names = set(state) - _TORCHS_OWN if isinstance(state, dict) else set()
    missing, unexpected = set(here) - _TORCHS_OWN - names, names - set(here)
    if missing or unexpected:
        differences = (("missing", missing), ("unexpected", unexpected))
        found = [f"{what}: {', '.join(sorted(map(str, which)))}" for what, which in differences if which]
        raise ArgumentError(f"{who}.load_state_dict", expected="a state of the same schedule", got="; ".join(found))
    for name in sorted(names):
        if _kind(state[name]) != _kind(here[name]) and None not in (state[name], here[name]):
            raise ArgumentError(
                f"{who}.load_state_dict",
                expected=f"{name} as {_kind(here[name])}",
                got=repr(state[name])[:80],
            )
        if name in ("last_epoch", "_step_count"):
            check_whole(f"{who}.load_state_dict", name, state[name], -1)
    return {name: state[name] for name in names}


def _kind(value: Any) -> str:
    """What a value of a state is, as far as that must not change."""
    for kind, name in ((bool, "a truth value"), (numbers.Real, "a number"), (dict, "a dict"), (str, "a text")):
        if isinstance(value, kind):
            return name
    if isinstance(value, (list, tuple)):
        return f"a list ({', '.join(map(_kind, value))})"
    return type(value).__name__


def check_whole(who: str, name: str, value: Any, least: int) -> None:
    """ArgumentError unless the setting is a whole number of at least ``least``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ArgumentError(who, expected=f"{name} as a whole number of at least {least}", got=repr(value))


def check_between(who: str, name: str, value: Any, least: float, most: float, hint: str = "") -> None:
    """ArgumentError unless the setting is a number from ``least`` to ``most``."""
    if not is_real(value) or not least <= value <= most:
        raise ArgumentError(who, expected=f"{least} <= {name} <= {most}", got=repr(value), hint=hint)


def one_for_each_group(who: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """``value`` as a list with an entry for each group: its own entries if it is a list, else itself repeated."""
    count = len(optimizer.param_groups)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(who, expected=f"one {name} or one for each of {count} groups", got=f"{len(value)}")
    return list(value)
