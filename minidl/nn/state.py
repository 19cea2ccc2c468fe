"""Loading a state_dict: what fits, what is missing, and one complaint that lists everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad
from minidl.backend.arrays import is_array
from minidl.errors import DTypeError

__all__ = ["IncompatibleKeys", "load"]


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` could not match; both lists are empty after a complete load."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load(name: str, own: dict[str, Tensor], state_dict: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy ``state_dict`` into the tensors ``own`` of the module class ``name``; see ``Module.load_state_dict``."""
    who = f"{name}.load_state_dict"
    if not isinstance(state_dict, Mapping):
        raise DTypeError(who, expected="a dict of names and tensors", got=type(state_dict).__name__)
    missing = [key for key in own if key not in state_dict]
    unexpected = [key for key in state_dict if key not in own]
    values = {key: _as_tensor(who, key, state_dict[key]) for key in own if key in state_dict}
    complaints = []
    if strict and missing:
        complaints.append("Missing key(s): " + ", ".join(f'"{key}"' for key in missing))
    if strict and unexpected:
        complaints.append("Unexpected key(s): " + ", ".join(f'"{key}"' for key in unexpected))
    misshapen = [
        f'"{key}": expected {tuple(own[key].shape)}, got {tuple(value.shape)}'
        for key, value in values.items()
        if value.shape != own[key].shape
    ]
    if misshapen:
        complaints.append("Size mismatch: " + "; ".join(misshapen))
    if complaints:
        lines = "\n    ".join(complaints)
        raise RuntimeError(f"Error(s) in loading state_dict for {name} (nothing was loaded):\n    {lines}")
    with no_grad():
        for key, value in values.items():
            own[key].copy_(value)
    return IncompatibleKeys(missing, unexpected)


def _as_tensor(who: str, key: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if is_array(value):
        return Tensor(value)
    kind = f"{type(value).__module__}.{type(value).__name__}"
    hint = "Convert it with .numpy() first." if kind.startswith("torch.") else ""
    raise DTypeError(who, expected=f'a Tensor or a NumPy array for "{key}"', got=kind, hint=hint)
