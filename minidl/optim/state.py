"""Loading an optimizer's state_dict: what fits the parameters held now, adopted as copies."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from minidl._factories import tensor
from minidl._tensor import Tensor
from minidl.backend.dtypes import float32, is_real
from minidl.errors import ArgumentError

if TYPE_CHECKING:
    from minidl.optim.optimizer import Optimizer

__all__ = ["load"]


def load(optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
    """Take over the settings, and copies of the buffers, of a state_dict; see ``Optimizer.load_state_dict``."""
    who = f"{type(optimizer).__name__}.load_state_dict"
    if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
        raise ArgumentError(who, expected='a dict with the keys "state" and "param_groups"', got=repr(state_dict)[:80])
    saved_groups = state_dict["param_groups"]
    if len(saved_groups) != len(optimizer.param_groups):
        raise ArgumentError(
            who,
            expected=f"{len(optimizer.param_groups)} parameter groups",
            got=str(len(saved_groups)),
            hint="loaded state dict has a different number of parameter groups",
        )
    by_number: dict[Any, Tensor] = {}
    groups = []
    for number, (group, saved) in enumerate(zip(optimizer.param_groups, saved_groups, strict=True)):
        if len(saved["params"]) != len(group["params"]):
            expected = f"{len(group['params'])} parameters in group {number}"
            hint = "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            raise ArgumentError(who, expected=expected, got=str(len(saved["params"])), hint=hint)
        by_number.update(zip(saved["params"], group["params"], strict=True))
        settings = copy.deepcopy({key: value for key, value in saved.items() if key != "params"})
        groups.append({**{key: group[key] for key in ("params", *optimizer.defaults)}, **settings})
        optimizer.check_group(groups[-1])
    state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for key, saved in state_dict["state"].items():
        if key in by_number:
            parameter = by_number[key]
            state[parameter] = {
                name: _counter(who, name, value) if name in optimizer.counters else _adopt(who, name, parameter, value)
                for name, value in saved.items()
                if value is not None  # torch's word for a buffer that is not needed
            }
        else:
            state[key] = copy.deepcopy(saved)
    optimizer.state = state
    optimizer.param_groups = groups


def _adopt(who: str, name: str, parameter: Tensor, value: Any) -> Any:
    """A copy of one loaded state entry in the parameter's type and on its device."""
    if not isinstance(value, Tensor):
        raise ArgumentError(who, expected=f"{name} as a tensor", got=repr(value)[:80])
    if value.shape != parameter.shape:
        raise ArgumentError(
            who,
            expected=f"{name} of the parameter's shape {tuple(parameter.shape)}",
            got=f"shape {tuple(value.shape)}",
        )
    return value.detach().to(device=parameter.device, dtype=parameter.dtype).clone()


def _counter(who: str, name: str, value: Any) -> Tensor:
    """A loaded count or factor as a float32 tensor without axes, on the CPU."""
    number = value.item() if isinstance(value, Tensor) and value.shape == () else value
    if not is_real(number) or not 0 <= number < 2**62:
        raise ArgumentError(who, expected=f"{name} as a number of at least 0", got=repr(value)[:80])
    return tensor(number, dtype=float32)
