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


def check_twins(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], *shapes: tuple[int, ...]
) -> tuple[Any, torch.nn.Module]:
    """A layer of ours equals torch's: repr, state, outputs in training and evaluation, state afterwards."""
    ours, theirs = getattr(minidl.nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    assert same_repr(ours, theirs)
    assert list(state_of(ours)) == list(state_of(theirs))
    assert state_of(ours) == state_of(theirs)
    assert [p for p, _ in ours.named_parameters()] == [p for p, _ in theirs.named_parameters()]
    ours.double()
    theirs.double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    load_from_torch(ours, theirs)
    pairs = [pair_of_inputs(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        y = ours(*[x.clone() for x, _ in pairs])
        assert relative_error(y, theirs(*[x.clone() for _, x in pairs])) < 1e-12
    for key, tensor in theirs.state_dict().items():
        np.testing.assert_allclose(as_numpy(ours.state_dict()[key]), tensor.numpy(), rtol=1e-12, err_msg=key)
    return ours, theirs
