"""The one-cycle policy: up to a large rate and down to a tiny one, with the momentum going the other way."""

from __future__ import annotations

import math
from typing import Any

from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError
from minidl.optim.lr_scheduler.base import LRScheduler, check_between, check_whole, one_for_each_group
from minidl.optim.optimizer import Optimizer

__all__ = ["OneCycleLR"]

_MARKS = frozenset({"initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"})


class OneCycleLR(LRScheduler):
    """One cycle over the whole run, a step for each batch (Smith and Topin 2019).

    As ``torch.optim.lr_scheduler.OneCycleLR``. The rate goes from max_lr / ``div_factor`` up to ``max_lr`` during the
    part ``pct_start`` of ``total_steps`` (or epochs * steps_per_epoch), then down to max_lr / (div_factor *
    ``final_div_factor``), along half a cosine or a straight line (``anneal_strategy`` "cos" or "linear"). With
    ``three_phase`` it first comes down as it went up. With ``cycle_momentum`` the momentum (beta1 of Adam and its kin)
    goes from ``max_momentum`` to ``base_momentum`` and back meanwhile. max_lr and both momenta may be lists, one for
    each group. Raises ArgumentError for settings out of range, for an optimizer without momentum, and for a step
    beyond the last.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        who = "OneCycleLR"
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(who, expected="an Optimizer", got=type(optimizer).__name__)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(
                    who,
                    expected="total_steps, or epochs and steps_per_epoch",
                    got="neither",
                    hint="You must define either total_steps OR (epochs AND steps_per_epoch)",
                )
            check_whole(who, "epochs", epochs, 1)
            check_whole(who, "steps_per_epoch", steps_per_epoch, 1)
            total_steps = epochs * steps_per_epoch
        check_whole(who, "total_steps", total_steps, 1)
        check_between(who, "pct_start", pct_start, 0, 1)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(who, expected='anneal_strategy "cos" or "linear"', got=repr(anneal_strategy))
        self.total_steps = total_steps
        self._schedule_phases = _phases(total_steps, float(pct_start), three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = bool(cycle_momentum)
        if self.cycle_momentum:
            if not {"momentum", "betas"} & set(optimizer.defaults):
                raise ArgumentError(
                    who,
                    expected="an optimizer with momentum or betas, or cycle_momentum=False",
                    got=type(optimizer).__name__,
                    hint="optimizer must support momentum or beta1 with `cycle_momentum` option enabled",
                )
            self.use_beta1 = "betas" in optimizer.defaults
        rates = one_for_each_group(who, "max_lr", max_lr, optimizer)
        highest = one_for_each_group(who, "max_momentum", max_momentum, optimizer)
        lowest = one_for_each_group(who, "base_momentum", base_momentum, optimizer)
        for value in (*rates, *highest, *lowest, div_factor, final_div_factor):
            if not is_real(value):
                raise DTypeError(who, expected="rates, momenta and factors as numbers", got=repr(value))
        if last_epoch == -1:
            for group, rate, high, low in zip(optimizer.param_groups, rates, highest, lowest):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if self.cycle_momentum:
                    self._set_momentum(group, high)
                    group["max_momentum"] = high
                    group["base_momentum"] = low
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                "OneCycleLR.step",
                expected=f"at most {self.total_steps} steps",
                got=f"step {self.last_epoch}",
                hint="Make the schedule with the number of batches of the whole run.",
            )
        begin = 0.0
        for phase in self._schedule_phases:
            if self.last_epoch <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            begin = phase["end_step"]
        part = (self.last_epoch - begin) / (phase["end_step"] - begin)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                self._set_momentum(
                    group, self._between(group[phase["start_momentum"]], group[phase["end_momentum"]], part)
                )
        return [self._between(group[phase["start_lr"]], group[phase["end_lr"]], part) for group in groups]

    def _between(self, start: float, end: float, part: float) -> float:
        """The value after ``part`` (0 to 1) of the way from start to end."""
        if self._anneal_func_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        phases = state_dict.get("_schedule_phases") if isinstance(state_dict, dict) else None
        for phase in phases if isinstance(phases, list) else []:
            known = isinstance(phase, dict) and set(phase) == set(self._schedule_phases[0])
            if not known or not is_real(phase["end_step"]) or not set(phase.values()) - {phase["end_step"]} <= _MARKS:
                raise ArgumentError("OneCycleLR.load_state_dict", expected="phases", got=repr(phase)[:80])
        super().load_state_dict(state_dict)


def _phases(total: int, pct_start: float, three: bool) -> list[dict[str, Any]]:
    """The parts of the cycle: the step at which each ends, and between which of a group's settings it leads."""

    def phase(end_step: float, rates: str, momenta: str) -> dict[str, Any]:
        (start_lr, end_lr), (start, end) = rates.split(), momenta.split()
        return {
            "end_step": end_step,
            "start_lr": f"{start_lr}_lr",
            "end_lr": f"{end_lr}_lr",
            "start_momentum": f"{start}_momentum",
            "end_momentum": f"{end}_momentum",
        }

    up = phase(pct_start * total - 1, "initial max", "max base")
    if not three:
        return [up, phase(total - 1, "max min", "base max")]
    down = phase(2 * pct_start * total - 2, "max initial", "base max")
    return [up, down, phase(total - 1, "initial min", "max max")]
