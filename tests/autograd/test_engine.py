"""The pass back: accumulation, reuse, refusals, long chains, partial graphs, higher orders."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.autograd import backward, grad
from minidl.errors import DTypeError, GraphError, ShapeError


def leaf(*values: float) -> minidl.Tensor:
    return minidl.tensor(list(values), dtype=minidl.float64, requires_grad=True)


def test_a_tensor_used_often_gets_the_sum() -> None:
    x = leaf(2.0, 3.0)
    y = x * x
    (y * x + y + x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.array([2.0, 3.0]) ** 2 + 2 * np.array([2.0, 3.0]) + 1)


def test_a_diamond_of_many_levels_is_walked_once_a_node() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2**60 paths
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_gradients_accumulate_until_they_are_reset() -> None:
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    held = x.grad
    (x * 3).sum().backward()
    assert x.grad is held, "torch adds in place"
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 6.0])
    x.grad = None
    (x * 5).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 5.0])


def test_the_gradient_is_the_leafs_own_array() -> None:
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    start = minidl.tensor([1.0, 10.0], dtype=minidl.float64)
    (x + y).backward(start)
    assert not np.shares_memory(x.grad.numpy(), y.grad.numpy())
    assert not np.shares_memory(x.grad.numpy(), start.numpy())
    x.grad.add_(1.0)
    np.testing.assert_array_equal(y.grad.numpy(), [1.0, 10.0])
    np.testing.assert_array_equal(start.numpy(), [1.0, 10.0])


def test_an_expanded_gradient_is_writable() -> None:
    x = leaf(1.0, 2.0, 3.0)
    x.sum().backward()
    x.grad.mul_(2.0)  # the gradient of a sum is one number expanded: it has to be copied out
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 2.0, 2.0])


def test_a_second_backward_is_refused() -> None:
    x = leaf(1.0, 2.0)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GraphError, match=r"(?s)^\w+: expected .*second backward.*retain_graph=True"):
        loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0])


def test_a_second_backward_through_a_shared_part_is_refused() -> None:
    x = leaf(1.0, 2.0)
    shared = x * x
    (shared * 2).sum().backward()
    with pytest.raises(GraphError, match="retain_graph"):
        (shared * 3).sum().backward()


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(1.0, 2.0)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [4.0, 8.0])
    with pytest.raises(GraphError):
        loss.backward()


def test_backward_on_a_non_scalar_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match=r"^backward: .*\(2,\).*sum"):
        (x * x).backward()
    (x * x).backward(minidl.tensor([1.0, 10.0], dtype=minidl.float64))
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 40.0])


def test_backward_on_one_element_needs_none() -> None:
    x = leaf(3.0)
    (x * x).reshape(1, 1).backward()
    assert x.grad.item() == 6.0


def test_the_given_gradient_is_checked() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"^backward: .*\(2,\).*\(3,\)"):
        (x * x).backward(minidl.ones(3, dtype=minidl.float64))
    with pytest.raises(DTypeError, match=r"^backward: .*ndarray"):
        (x * x).backward(np.ones(2))


def test_nothing_to_differentiate_is_refused() -> None:
    with pytest.raises(GraphError, match="requires"):
        minidl.ones(1).backward()
    with minidl.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(GraphError, match="no_grad"):
        y.backward()


def test_backward_on_a_leaf_gives_ones() -> None:
    x = leaf(5.0)
    x.backward()
    assert x.grad.item() == 1.0


def test_zero_d_gradients_stay_tensors() -> None:
    x = minidl.tensor(2.0, requires_grad=True)
    (x * x + x).backward()
    assert isinstance(x.grad, minidl.Tensor)
    assert x.grad.shape == ()
    assert x.grad.dtype == minidl.float32
    (x * x).backward()
    assert x.grad.item() == 9.0


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_long_chains_do_not_overflow_the_stack(length: int) -> None:
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y + 1e-3
    y.backward()
    assert x.grad.item() == 1.0
    del y  # the chain falls apart here


def test_a_long_chain_that_was_never_used_falls_apart_without_recursion() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    before = sys.getrecursionlimit()
    del y
    assert sys.getrecursionlimit() == before


def test_a_long_chain_in_a_small_thread() -> None:
    """A thread's stack is small; recursion in C (freeing nested tuples) would end the process, not raise."""
    gradients = []

    def work() -> None:
        x = leaf(1.0)
        y = x
        for _ in range(20_000):
            y = y * 1.0
        y.backward(retain_graph=True)
        gradients.append(x.grad.item())

    old = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(old)
    assert gradients == [1.0]


def test_detach_cuts() -> None:
    x = leaf(2.0)
    y = x * x
    assert not y.detach().requires_grad
    (y.detach() * x).backward()
    assert x.grad.item() == 4.0


def test_flags_of_results() -> None:
    x, c = leaf(1.0), minidl.ones(1, dtype=minidl.float64)
    assert x.is_leaf
    assert c.is_leaf
    y = x * c
    assert y.requires_grad
    assert not y.is_leaf
    assert y.grad_fn is not None
    assert not (c * c).requires_grad
    assert (c * c).is_leaf
    assert (x > 0).requires_grad is False


def test_only_leaves_may_drop_requires_grad() -> None:
    x = leaf(1.0)
    with pytest.raises((GraphError, RuntimeError)):
        (x * 2).requires_grad = False
    with pytest.raises((GraphError, RuntimeError)):
        (x * 2).requires_grad_(False)
    x.requires_grad_(False)
    assert not (x * 2).requires_grad


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integers_cannot_require_a_gradient(dtype: str) -> None:
    kind = getattr(minidl, dtype)
    with pytest.raises((DTypeError, GraphError), match=dtype):
        minidl.tensor([1, 0], dtype=kind, requires_grad=True)
    with pytest.raises((DTypeError, GraphError), match=dtype):
        minidl.tensor([1, 0], dtype=kind).requires_grad_()
    with pytest.raises((DTypeError, GraphError), match=dtype):
        minidl.zeros(2, dtype=kind, requires_grad=True)


def test_grad_leaves_leaves_alone() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (dx,) = grad((x * w).sum(), x)
    assert dx.item() == 3.0
    assert x.grad is None
    assert w.grad is None


def test_grad_with_respect_to_results_inside_the_graph() -> None:
    x = leaf(2.0, 3.0)
    y = x * x
    z = (y * y).sum()
    dy, dx = grad(z, [y, x])
    np.testing.assert_array_equal(dy.numpy(), [8.0, 18.0])
    np.testing.assert_array_equal(dx.numpy(), [32.0, 108.0])


def test_grad_runs_only_what_leads_to_the_inputs() -> None:
    calls = []

    class Watched(minidl.autograd.Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1.0

        def backward(self, gradient: np.ndarray) -> np.ndarray:
            calls.append(1)
            return gradient

    x, w = leaf(2.0), leaf(3.0)
    z = Watched.apply(x) * w
    grad(z, w, retain_graph=True)
    assert calls == []
    grad(z, x)
    assert calls == [1]


def test_grad_of_the_output_itself() -> None:
    x = leaf(2.0)
    y = x * 3
    (dy,) = grad(y, y)
    assert dy.item() == 1.0


def test_unused_inputs() -> None:
    x, w = leaf(2.0), leaf(3.0)
    with pytest.raises(GraphError, match="allow_unused"):
        grad(x * 2, [x, w])
    dx, dw = grad(x * 2, [x, w], allow_unused=True)
    assert dx.item() == 2.0
    assert dw is None
    with pytest.raises(GraphError):
        grad(x * 2, minidl.ones(1))


def test_grad_of_several_outputs_with_weights() -> None:
    x = leaf(2.0, 3.0)
    weights = [minidl.tensor([1.0, 2.0], dtype=minidl.float64), minidl.tensor([10.0, 20.0], dtype=minidl.float64)]
    (dx,) = grad([x * x, x * 3], [x], weights)
    np.testing.assert_array_equal(dx.numpy(), [4.0 + 30.0, 12.0 + 60.0])


def test_backward_of_several_tensors() -> None:
    x = leaf(2.0)
    y = x * x
    backward([y, y * 2], [minidl.ones(1, dtype=minidl.float64)] * 2)
    assert x.grad.item() == 12.0
    with pytest.raises(ValueError, match="one gradient"):
        backward([y, y], [None])


def test_one_root_inside_the_graph_of_another() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * y
    backward([z, y])
    assert x.grad.item() == 4 * 8.0 + 4.0


def test_third_derivative() -> None:
    x = leaf(1.5, -2.0)
    y = (x**4).sum()
    (d1,) = grad(y, x, create_graph=True)
    (d2,) = grad(d1.sum(), x, create_graph=True)
    (d3,) = grad(d2.sum(), x, create_graph=True)
    np.testing.assert_allclose(d1.detach().numpy(), 4 * np.array([1.5, -2.0]) ** 3, rtol=1e-14)
    np.testing.assert_allclose(d2.detach().numpy(), 12 * np.array([1.5, -2.0]) ** 2, rtol=1e-14)
    np.testing.assert_allclose(d3.detach().numpy(), 24 * np.array([1.5, -2.0]), rtol=1e-14)


def test_fifth_derivative_of_a_composition() -> None:
    def derivative(library: object, x: object) -> np.ndarray:
        y = (x.tanh() * x.exp()).sum()  # type: ignore[attr-defined]
        for _ in range(5):
            (g,) = library.autograd.grad(y, x, create_graph=True)  # type: ignore[attr-defined]
            y = g.sum()
        return g.detach().numpy()

    values = np.array([0.3, -0.7, 1.1])
    ours = derivative(minidl, minidl.from_numpy(values.copy()).requires_grad_(True))
    theirs = derivative(torch, torch.from_numpy(values.copy()).requires_grad_(True))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_gradient_penalty() -> None:
    """Second order through backward(): the norm of a gradient as part of the loss."""
    values = np.array([[0.3, -0.7], [1.1, 0.4]])

    def penalty(library: object) -> np.ndarray:
        x = library.from_numpy(values.copy()).requires_grad_(True)  # type: ignore[attr-defined]
        w = library.from_numpy(values.T.copy()).requires_grad_(True)  # type: ignore[attr-defined]
        loss = ((x @ w).tanh() ** 2).sum()
        (gx,) = library.autograd.grad(loss, x, create_graph=True)  # type: ignore[attr-defined]
        (loss + (gx**2).sum().sqrt()).backward()
        return w.grad.numpy()

    np.testing.assert_allclose(penalty(minidl), penalty(torch), rtol=1e-12)


def test_create_graph_keeps_the_graph_and_fills_grad_with_a_graph() -> None:
    x = leaf(2.0)
    y = x**3
    y.backward(create_graph=True)
    assert x.grad.requires_grad
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 12.0


def test_without_create_graph_gradients_require_none() -> None:
    x = leaf(2.0)
    (x**3).backward()
    assert not x.grad.requires_grad
    (g,) = grad(x**3, x)
    assert not g.requires_grad


def test_float32_gradients_stay_float32_through_mixed_operations() -> None:
    x = minidl.tensor([1.0, 2.0], requires_grad=True)
    y = (x * np.pi + 1) * minidl.tensor([3, 4])
    assert y.dtype == minidl.float32
    (y.double() * 2.0).sum().backward()
    assert x.grad.dtype == minidl.float32
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.pi * np.array([3, 4]), rtol=1e-6)


def test_two_tensors_around_one_array_keep_their_own_places_in_the_graph() -> None:
    """x * x.detach(): the saved factor is a constant, although it is the very array of the other factor."""
    second = []
    for library in (minidl, torch):
        array = np.array([2.0, 3.0])
        x = library.from_numpy(array).requires_grad_(True)
        constant = library.from_numpy(array)
        y = (x * x.detach() + constant**2 * x + x / x.detach() + x.detach() ** x).sum()
        (g,) = library.autograd.grad(y, x, create_graph=True)
        (gg,) = library.autograd.grad((g * g).sum(), x)
        second.append([g.detach().numpy(), gg.numpy()])
    np.testing.assert_allclose(second[0], second[1], rtol=1e-13)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "function", [lambda x: x / 0, lambda x: x / x, lambda x: x.log(), lambda x: x**-0.5, lambda x: x.sqrt()]
)
def test_infinite_gradients_come_without_numpys_warnings(function: Callable[[Any], Any]) -> None:
    """As in torch: infinity and NaN are results, not complaints on the terminal."""
    gradients = []
    for library in (minidl, torch):
        x = library.zeros(3, dtype=library.float64).requires_grad_(True)
        function(x).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_a_gradient_that_does_not_fit_its_tensor_is_refused() -> None:
    x = leaf(1.0, 2.0)
    for wrong, error in (
        (minidl.ones(3, dtype=minidl.float64), ShapeError),
        (minidl.ones(2), DTypeError),
        (np.ones(2), DTypeError),
        (1.0, DTypeError),
    ):
        with pytest.raises(error, match=r"^grad: "):
            x.grad = wrong
    x.grad = minidl.ones(2, dtype=minidl.float64)
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0])
