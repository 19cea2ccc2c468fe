"""Tensors beside NumPy: arrays and NumPy numbers on either side of an operator, conversions, shared memory."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.errors import GraphError

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
ARRAY = np.array([[1.5, 2.0], [0.5, 3.0]])


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize(
    "left", [ARRAY, ARRAY[0], np.float64(2.0), np.float32(2.0), np.int64(2), np.array(2.0)], ids=repr
)
def test_numpy_on_the_left(symbol: str, left: Any) -> None:
    """One tensor comes out, with a graph: not an object array of tensors, and not an array without a graph."""
    x = minidl.tensor([[2.0, 0.5], [1.0, 3.0]], dtype=minidl.float64, requires_grad=True)
    y = OPERATORS[symbol](left, x)
    assert type(y) is minidl.Tensor
    assert y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), OPERATORS[symbol](left, x.detach().numpy()), rtol=1e-14)
    y.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("symbol", OPERATORS)
def test_numpy_on_the_right(symbol: str) -> None:
    x = minidl.tensor([[2.0, 0.5], [1.0, 3.0]], dtype=minidl.float64, requires_grad=True)
    y = OPERATORS[symbol](x, ARRAY)
    assert type(y) is minidl.Tensor
    assert y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), OPERATORS[symbol](x.detach().numpy(), ARRAY), rtol=1e-14)


def test_matmul_with_numpy() -> None:
    x = minidl.tensor([[2.0, 0.5], [1.0, 3.0]], dtype=minidl.float64, requires_grad=True)
    for y in (ARRAY @ x, x @ ARRAY):
        assert type(y) is minidl.Tensor
        assert y.requires_grad
    np.testing.assert_allclose((ARRAY @ x).detach().numpy(), ARRAY @ x.detach().numpy())


def test_comparisons_with_numpy() -> None:
    x = minidl.tensor([1.0, 2.0, 3.0], dtype=minidl.float64)
    bound = np.array([2.0, 2.0, 2.0])
    for result, expected in (
        (bound < x, [False, False, True]),
        (bound >= x, [True, True, False]),
        (bound == x, [False, True, False]),
        (x != bound, [True, False, True]),
    ):
        assert type(result) is minidl.Tensor
        assert result.numpy().tolist() == expected


def test_a_numpy_number_does_not_change_float32() -> None:
    x = minidl.ones(2)
    for number in (np.float64(2.0), np.float32(2.0), np.int64(2)):
        assert (x * number).dtype == minidl.float32
        assert (number * x).dtype == minidl.float32


def test_numpy_refuses_a_tensor_with_a_graph() -> None:
    x = minidl.ones(2, requires_grad=True)
    for tensor in (x, x * 2):
        with pytest.raises((GraphError, RuntimeError), match="detach"):
            tensor.numpy()
    with pytest.raises(RuntimeError, match="detach"):
        torch.ones(2, requires_grad=True).numpy()
    x.detach().numpy()
    with minidl.no_grad():
        (x * 2).numpy()


def test_asarray_refuses_a_tensor_with_a_graph() -> None:
    x = minidl.ones(2, requires_grad=True)
    with pytest.raises((GraphError, RuntimeError), match="detach"):
        np.asarray(x)
    assert np.asarray(x.detach()).dtype == np.float32
    assert np.asarray(x.detach(), dtype=np.float64).dtype == np.float64


def test_memory_is_shared_where_torch_shares_it() -> None:
    array = np.zeros(3)
    t = minidl.from_numpy(array)
    array[0] = 5.0
    assert t[0].item() == 5.0
    t.numpy()[1] = 7.0
    assert array[1] == 7.0
    assert not np.shares_memory(minidl.tensor(array).numpy(), array)
    copied = np.array(t)
    copied[:] = -1
    assert array[1] == 7.0


def test_numbers_out() -> None:
    x = minidl.tensor([[2.5]])
    assert x.item() == 2.5
    assert float(x) == 2.5
    assert int(minidl.tensor(7)) == 7
    assert bool(minidl.tensor([True]))
    assert minidl.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert isinstance(minidl.tensor(3).item(), int)
    assert isinstance(minidl.tensor(3.0).item(), float)
    assert isinstance(minidl.tensor(True).item(), bool)
    assert [1, 2, 3][minidl.tensor(1)] == 2
    assert list(range(minidl.tensor(3))) == [0, 1, 2]
    with pytest.raises((ValueError, RuntimeError)):
        minidl.ones(2).item()
    with pytest.raises((ValueError, RuntimeError)):
        bool(minidl.ones(2))
    with pytest.raises((TypeError, ValueError)):
        [1, 2, 3][minidl.tensor(1.0)]


def test_iteration_length_and_hash() -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    rows = list(x)
    assert len(x) == 2
    assert [row.shape for row in rows] == [(2,), (2,)]
    rows[1].sum().backward()
    assert x.grad.numpy().tolist() == [[0.0, 0.0], [1.0, 1.0]]
    with pytest.raises(TypeError):
        len(minidl.tensor(1.0))
    with pytest.raises(TypeError):
        iter(minidl.tensor(1.0))
    assert len({x, x, rows[0]}) == 2


def test_membership_compares_values() -> None:
    assert 2 in minidl.tensor([1, 2, 3])
    assert 5 not in minidl.tensor([1, 2, 3])


def test_numpy_functions_of_a_tensor_give_arrays() -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.mean(np.asarray(x)) == 2.5
    np.testing.assert_array_equal(x, [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("dtype", [None, minidl.float64])
@pytest.mark.parametrize("make", [minidl.tensor, minidl.as_tensor])
def test_numbers_of_numpys_become_arrays_that_can_be_written(make: Callable[..., Any], dtype: Any) -> None:
    x = make(np.float32(3), dtype=dtype)
    assert type(x.data) is np.ndarray
    x.data[...] = 4
    assert x.item() == 4
