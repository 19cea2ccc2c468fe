"""Methods of a tensor: none is missing that torch has, and those that no table of cases reaches do what torch's do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import Tensor, nn

VALUES = np.array([[-1.0, 0.5, 2.0], [3.0, -2.0, 1.0]])


def test_a_function_that_torch_has_as_a_method_is_a_method() -> None:
    functions = [name for name in minidl.__all__ if callable(getattr(minidl, name)) and hasattr(torch.Tensor, name)]
    assert len(functions) > 60
    assert [name for name in functions if not hasattr(Tensor, name)] == []


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.mT,
        lambda x: x.T,
        lambda x: x.view_as(x.mT),
        lambda x: x[:1].expand_as(x),
        lambda x: x.lt(1),
        lambda x: x.le(1),
        lambda x: x.gt(x[0]),
        lambda x: x.ge(x[0]),
        lambda x: x.relu_(),
        lambda x: x.pow_(2),
        lambda x: x.clamp_(-1, 1),
    ],
)
def test_method_equals_torch(call: Callable[[Any], Any]) -> None:
    ours, theirs = minidl.tensor(VALUES), torch.tensor(VALUES)
    result, expected = call(ours), call(theirs)
    np.testing.assert_array_equal(result.numpy(), expected.numpy())
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())  # what is written in place, and what is not


def test_equal_and_allclose_are_answers_of_python() -> None:
    x = minidl.tensor(VALUES)
    assert x.equal(x.clone()) is True
    assert x.equal(x + 1e-12) is False
    assert x.allclose(x + 1e-12) is True
    assert x.allclose(x + 1e-3) is False


def test_detach_in_place_leaves_the_graph() -> None:
    x = minidl.tensor(VALUES, requires_grad=True)
    y = (x * 2).detach_()
    assert y.is_leaf
    assert not y.requires_grad


def test_register_module_is_add_module() -> None:
    module = nn.Module()
    module.register_module("layer", nn.Linear(2, 3))
    assert list(module.state_dict()) == ["layer.weight", "layer.bias"]
