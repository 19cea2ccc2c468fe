"""Helpers for tests that hold a module of ours against its torch twin in float64."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import torch

import minidl


def as_numpy(value: Any) -> np.ndarray:
    """The values of a tensor of either library."""
    return value.detach().numpy()


def load_from_torch(ours: Any, theirs: torch.nn.Module) -> None:
    """Give our module the state of the torch one, by name."""
    ours.load_state_dict({name: tensor.numpy() for name, tensor in theirs.state_dict().items()})


def state_of(module: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    """Names, shapes and element types of a state_dict of either library."""
    return {name: (tuple(t.shape), str(as_numpy(t).dtype)) for name, t in module.state_dict().items()}


def same_repr(ours: Any, theirs: torch.nn.Module) -> bool:
    """Whether both describe themselves alike; an older torch is silent about the bias of batch norm."""
    text = repr(ours)
    if "bias" not in inspect.signature(torch.nn.BatchNorm2d).parameters:
        text = re.sub(r"(affine=\w+), bias=\w+", r"\1", text)
    return text == repr(theirs)


def pair_of_inputs(*shape: int, seed: int = 0) -> tuple[Any, torch.Tensor]:
    """The same float64 values for us and for torch."""
    values = np.random.default_rng(seed).standard_normal(shape)
    return minidl.tensor(values), torch.tensor(values)


def relative_error(ours: Any, theirs: torch.Tensor) -> float:
    """The largest difference over the largest value."""
    a, b = as_numpy(ours), as_numpy(theirs)
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    return float(np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1e-300))
