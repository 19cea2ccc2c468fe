"""Hooks see a tensor's whole gradient, may replace it, and can be removed; retain_grad keeps one inside the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minidl


def leaf(library: Any = minidl) -> Any:
    return library.tensor([2.0, 3.0], dtype=library.float64, requires_grad=True)


def test_a_hook_sees_the_sum_of_all_uses() -> None:
    seen: list[np.ndarray] = []
    x = leaf()
    y = x * 2
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    (y * 3 + y * y).sum().backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], [3 + 8.0, 3 + 12.0])


@pytest.mark.parametrize("where", ["leaf", "result"])
def test_a_hook_may_replace_the_gradient(where: str) -> None:
    gradients = []
    for library in (minidl, torch):
        x = leaf(library)
        y = x * 2
        (x if where == "leaf" else y).register_hook(lambda g: g * 10 + 1)
        (y * y).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_hooks_run_in_the_order_of_registration_each_on_the_last_ones_result() -> None:
    gradients = []
    for library in (minidl, torch):
        x = leaf(library)
        x.register_hook(lambda g: g + 1)
        x.register_hook(lambda g: g * 2)
        x.register_hook(lambda g: None)
        (x * 5).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


def test_a_removed_hook_is_silent() -> None:
    calls: list[int] = []
    x = leaf()
    handle = x.register_hook(lambda g: calls.append(1))
    other = x.register_hook(lambda g: calls.append(2))
    handle.remove()
    handle.remove()
    (x * 1.0).sum().backward()
    assert calls == [2]
    other.remove()
    (x * 1.0).sum().backward()
    assert calls == [2]


def test_a_hook_on_a_leaf_sees_each_backwards_own_gradient() -> None:
    seen: list[float] = []
    x = leaf()
    x.register_hook(lambda g: seen.append(float(g.sum().item())))
    (x * 1.0).sum().backward()
    (x * 2.0).sum().backward()
    assert seen == [2.0, 4.0]


def test_a_hook_that_keeps_what_it_saw_is_not_overwritten() -> None:
    kept: list[Any] = []
    x = leaf()
    x.register_hook(kept.append)
    (x * 1.0).sum().backward()
    (x * 1.0).sum().backward()
    np.testing.assert_array_equal(kept[0].numpy(), [1.0, 1.0])


def test_a_hook_works_with_grad() -> None:
    x = leaf()
    y = x * 2
    y.register_hook(lambda g: g * 10)
    (dx,) = minidl.autograd.grad((y * 3).sum(), x)
    np.testing.assert_array_equal(dx.numpy(), [60.0, 60.0])


def test_a_hook_under_create_graph_is_differentiable() -> None:
    second = []
    for library in (minidl, torch):
        x = leaf(library)
        y = x * x
        y.register_hook(lambda g: g * g)
        (g,) = library.autograd.grad((y * y).sum(), x, create_graph=True)
        g.sum().backward()
        second.append(x.grad.numpy())
    np.testing.assert_allclose(*second, rtol=1e-13)


def test_a_hook_on_one_of_several_results() -> None:
    seen: list[np.ndarray] = []
    x = minidl.tensor([[2.0, 5.0], [3.0, 1.0]], dtype=minidl.float64, requires_grad=True)
    values = x.max(dim=1).values
    values.register_hook(lambda g: seen.append(g.numpy().copy()))
    (values * 3).sum().backward()
    np.testing.assert_array_equal(seen, [[3.0, 3.0]])


def test_hooks_of_the_wrong_shape_are_refused() -> None:
    x = leaf()
    x.register_hook(lambda g: g.sum())
    with pytest.raises((ValueError, RuntimeError), match=r"hook.*\(2,\)"):
        (x * 1.0).sum().backward()


def test_a_hook_needs_a_tensor_with_a_gradient() -> None:
    with pytest.raises(RuntimeError):
        torch.ones(2).register_hook(print)
    with pytest.raises(RuntimeError):
        minidl.ones(2).register_hook(print)


def test_results_keep_no_gradient_unless_asked() -> None:
    x = leaf()
    y = x * 2
    z = y * y
    y.retain_grad()
    y.retain_grad()
    z.sum().backward()
    np.testing.assert_array_equal(y.grad.numpy(), [8.0, 12.0])
    assert z.grad is None


def test_retained_gradients_accumulate_as_in_torch() -> None:
    results = []
    for library in (minidl, torch):
        x = leaf(library)
        y = x * 2
        y.retain_grad()
        z = (y * y).sum()
        z.backward(retain_graph=True)
        z.backward()
        results.append(y.grad.numpy())
    np.testing.assert_array_equal(*results)


def test_retain_grad_sees_what_hooks_made_of_it() -> None:
    results = []
    for library in (minidl, torch):
        x = leaf(library)
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: g * 10)
        (y * 1.0).sum().backward()
        results += [y.grad.numpy(), x.grad.numpy()]
    np.testing.assert_array_equal(results[:2], results[2:])


def test_retain_grad_of_a_leaf_is_nothing_new() -> None:
    x = leaf()
    x.retain_grad()
    (x * 1.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [1.0, 1.0])
