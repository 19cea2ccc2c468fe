"""Which dtype comes out: torch's rules, over tensors, 0-d tensors and Python numbers of every kind."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl

DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
NUMBERS: tuple[Any, ...] = (True, 2, 0.5)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "maximum": lambda x, y: x.maximum(y),
    ">": operator.gt,
    "==": operator.eq,
}


def operand(library: Any, kind: str, dtype: str) -> Any:
    return library.ones(() if kind == "0-d" else (2,), dtype=getattr(library, dtype))


def name_of(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


OPERANDS = [(kind, dtype) for kind in ("tensor", "0-d") for dtype in DTYPES]


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize(("kind", "dtype"), OPERANDS)
def test_tensor_with_tensor(symbol: str, kind: str, dtype: str) -> None:
    for other in OPERANDS:
        function = OPERATORS[symbol]
        try:
            theirs = function(operand(torch, kind, dtype), operand(torch, *other))
        except RuntimeError:  # torch has no such operation, for example bool ** bool
            continue
        ours = function(operand(minidl, kind, dtype), operand(minidl, *other))
        assert name_of(ours) == name_of(theirs), (symbol, kind, dtype, other)
        assert tuple(ours.shape) == tuple(theirs.shape)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("symbol", [name for name in OPERATORS if name != "maximum"])
@pytest.mark.parametrize(("kind", "dtype"), OPERANDS)
def test_tensor_with_number(symbol: str, kind: str, dtype: str) -> None:
    function = OPERATORS[symbol]
    for number in NUMBERS:
        for swap in (False, True):

            def compute(library: Any, number: Any = number, swap: bool = swap) -> Any:
                x = operand(library, kind, dtype)
                return function(number, x) if swap else function(x, number)

            try:
                theirs = compute(torch)
            except RuntimeError:
                continue
            ours = compute(minidl)
            assert name_of(ours) == name_of(theirs), (symbol, kind, dtype, number, swap)
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_result_type_of_the_grid_is_torchs() -> None:
    """The same grid straight from torch.result_type, in case an operator has rules of its own."""
    for left in OPERANDS:
        for right in OPERANDS:
            ours = operand(minidl, *left) + operand(minidl, *right)
            theirs = torch.result_type(operand(torch, *left), operand(torch, *right))
            assert name_of(ours) == str(theirs).removeprefix("torch.")


@pytest.mark.parametrize(
    "value",
    [
        True,
        3,
        2.5,
        [1, 2],
        [1.0, 2],
        [True, False],
        [[1], [2]],
        2**40,
        np.float32(1),
        np.arange(3),
        np.ones(2, np.uint8),
    ],
)
def test_dtype_of_tensor(value: Any) -> None:
    assert name_of(minidl.tensor(value)) == name_of(torch.tensor(value))


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.zeros(2),
        lambda m: m.ones(2),
        lambda m: m.arange(3),
        lambda m: m.arange(0.0, 1.0, 0.25),
        lambda m: m.arange(1, 7, 2),
        lambda m: m.randn(2),
        lambda m: m.rand(2),
        lambda m: m.zeros(2, dtype=m.int64).exp(),
        lambda m: m.zeros(2, dtype=m.int64).sqrt(),
        lambda m: m.zeros(2, dtype=m.int64).sigmoid(),
        lambda m: m.zeros(2, dtype=m.bool).sum(),
        lambda m: m.zeros(2, dtype=m.uint8).sum(),
        lambda m: m.zeros(2, dtype=m.int32).sum(),
        lambda m: abs(m.zeros(2, dtype=m.int32)),
        lambda m: -m.zeros(2, dtype=m.int32),
        lambda m: m.ones(2, dtype=m.uint8).argmax(),
        lambda m: m.ones(2, dtype=m.int32) / m.ones(2, dtype=m.int32),
        lambda m: m.ones(2, dtype=m.int64).clamp(0, 1),
        lambda m: m.ones(2, dtype=m.int64).clamp(0, 1.5),
        lambda m: m.where(m.ones(2) > 0, 1, 2),
        lambda m: m.where(m.ones(2) > 0, 1.0, 2),
        lambda m: m.where(m.ones(2) > 0, m.ones(2, dtype=m.float64), 2),
        lambda m: m.cat([m.ones(2), m.ones(2, dtype=m.float64)]),
        lambda m: m.ones(2, dtype=m.int64).float(),
        lambda m: m.ones(2).double(),
        lambda m: m.ones(2).long(),
        lambda m: m.ones(2).int(),
        lambda m: m.ones(2).bool(),
        lambda m: m.ones(2).to(m.float64),
        lambda m: m.zeros_like(m.ones(2, dtype=m.int32)),
        lambda m: m.full((2,), 3),
        lambda m: m.full((2,), 3.0),
        lambda m: m.full((2,), True),
    ],
)
def test_dtype_of_functions(make: Callable[[Any], Any]) -> None:
    ours, theirs = make(minidl), make(torch)
    assert name_of(ours) == name_of(theirs)
    assert tuple(ours.shape) == tuple(theirs.shape)


def test_gradients_through_promotion_come_back_in_each_inputs_dtype() -> None:
    grads = []
    for library in (minidl, torch):
        x = library.tensor([1.0, 2.0], requires_grad=True)
        y = library.tensor([3.0, 4.0], dtype=library.float64, requires_grad=True)
        z = library.tensor(2.0, dtype=library.float64, requires_grad=True)
        ((x * y).sum() + (x * z).sum()).backward()
        grads.append([(name_of(t.grad), t.grad.numpy().tolist()) for t in (x, y, z)])
    assert grads[0] == grads[1]
