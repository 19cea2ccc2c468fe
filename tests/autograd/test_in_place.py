"""In-place writes: counted, shared by views, refused where they would spoil a gradient; torch decides what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.errors import GraphError

VALUES = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])


def leaf(library: Any) -> Any:
    return library.from_numpy(VALUES.copy()).requires_grad_(True)


WRITES: dict[str, Callable[[Any], Any]] = {
    "add_": lambda y: y.add_(1.0),
    "sub_": lambda y: y.sub_(1.0),
    "mul_": lambda y: y.mul_(2.0),
    "div_": lambda y: y.div_(2.0),
    "zero_": lambda y: y.zero_(),
    "fill_": lambda y: y.fill_(3.0),
    "copy_": lambda y: y.copy_(y.detach() * 2),
    "+=": lambda y: y.__iadd__(1.0),
    "-=": lambda y: y.__isub__(1.0),
    "*=": lambda y: y.__imul__(2.0),
    "/=": lambda y: y.__itruediv__(2.0),
    "[...] =": lambda y: y.__setitem__(0, 5.0),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_a_saved_array_is_refused(write: str) -> None:
    x = leaf(minidl)
    y = x * 1.0
    z = (y * y).sum()
    with minidl.no_grad():
        WRITES[write](y)
    with pytest.raises(GraphError, match=r"in-place"):
        z.backward()


@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_a_leaf_that_requires_a_gradient_is_refused(write: str) -> None:
    with pytest.raises(RuntimeError, match="leaf"):
        WRITES[write](leaf(torch))
    x = leaf(minidl)
    with pytest.raises(GraphError, match="leaf"):
        WRITES[write](x)
    np.testing.assert_array_equal(x.detach().numpy(), VALUES)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_under_no_grad_is_allowed(write: str) -> None:
    results = []
    for library in (minidl, torch):
        x = leaf(library)
        with library.no_grad():
            WRITES[write](x)
        results.append(x.detach().numpy())
        assert x.requires_grad
    np.testing.assert_array_equal(*results)


def test_a_write_to_what_nobody_saved_is_allowed() -> None:
    x = leaf(minidl)
    y = x + 1  # addition saves nothing
    z = (y + 2).sum()
    with minidl.no_grad():
        y.zero_()
    z.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones_like(VALUES))


def test_the_optimizers_write_between_forward_and_backward_is_seen() -> None:
    x, w = leaf(minidl), minidl.from_numpy(VALUES.T.copy()).requires_grad_(True)
    loss = (x @ w).sum()
    with minidl.no_grad():
        w.sub_(0.1)
    with pytest.raises(GraphError, match="in-place"):
        loss.backward()


@pytest.mark.parametrize(
    "view",
    [
        lambda y: y[0],
        lambda y: y[:, 1:],
        lambda y: y.reshape(3, 2),
        lambda y: y.view(-1),
        lambda y: y.flatten(),
        lambda y: y.transpose(0, 1),
        lambda y: y.permute(1, 0),
        lambda y: y.unsqueeze(0),
        lambda y: y.T,
        lambda y: y.detach(),
        lambda y: y[0][1:],
        lambda y: y[0, 1],
        lambda y: y[0][1],
        lambda y: y[..., 0, 1],
    ],
)
def test_views_share_the_count(view: Callable[[Any], Any]) -> None:
    for library, error in ((minidl, GraphError), (torch, RuntimeError)):
        x = leaf(library)
        y = x * 1.0
        z = (y * y).sum()
        with library.no_grad():
            view(y).zero_()
        with pytest.raises(error):
            z.backward()


@pytest.mark.parametrize("index", [(0, 1), (-1, -1), (..., 1, 0)])
def test_a_single_element_is_a_view_too(index: Any) -> None:
    for library in (minidl, torch):
        x = leaf(library).detach()
        x[index].fill_(9.0)
        assert (x.numpy() == 9.0).sum() == 1
        assert x[index].item() == 9.0


def test_a_write_to_the_whole_is_seen_through_a_saved_view() -> None:
    x = leaf(minidl)
    y = x * 1.0
    part = y[0]
    z = (part * part).sum()
    with minidl.no_grad():
        y.mul_(2.0)
    with pytest.raises(GraphError, match="in-place"):
        z.backward()


def test_a_write_to_another_part_counts_too_as_in_torch() -> None:
    for library, error in ((minidl, GraphError), (torch, RuntimeError)):
        x = leaf(library)
        y = x * 1.0
        part = y[0]
        z = (part * part).sum()
        with library.no_grad():
            y[1].zero_()
        with pytest.raises(error):
            z.backward()


def test_a_copy_is_not_a_view() -> None:
    x = leaf(minidl)
    y = x * 1.0
    z = (y * y).sum()
    with minidl.no_grad():
        y.clone().zero_()
        y[[0]].zero_()  # integer lists copy
        y[y > 0].zero_()
        (y + 0).zero_()
    z.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * VALUES)


def test_a_saved_result_is_guarded_too() -> None:
    x = leaf(minidl)
    y = x.exp()
    with minidl.no_grad():
        y.add_(1.0)
    with pytest.raises(GraphError, match="in-place"):
        y.sum().backward()


RECORDED: dict[str, Callable[[Any, Any], Any]] = {
    "add_ of a tensor": lambda _, x: (x * 2).add_(x),
    "add_ with alpha": lambda _, x: (x * 2).add_(x, alpha=3.0),
    "sub_": lambda _, x: (x * 2).sub_(x * x),
    "mul_ of a number": lambda _, x: (x * 2).mul_(3.0),
    "mul_ of a tensor": lambda _, x: (x + 1).mul_(x),
    "div_": lambda _, x: (x * 2).div_(x * x + 1),
    "+= and *=": lambda _, x: _augmented(x),
    "relu in place": lambda m, x: m.nn.functional.relu(x * 2, inplace=True),
    "then used again": lambda _, x: (lambda y: y.add_(1.0) * y)(x * 2),
    "fill_ cuts": lambda _, x: (x * 2).fill_(1.0) * x,
    "zero_ cuts": lambda _, x: (x * 2).zero_() + x,
    "copy_ of a tensor": lambda _, x: (x * 2).copy_(x * 3),
}


def _augmented(x: Any) -> Any:
    y = x * 2
    y += x
    y *= 2
    y -= 1
    y /= 3
    return y


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_writes_are_differentiated_as_in_torch(name: str) -> None:
    """An in-place operation on a result inside the graph is either right or an error, never a wrong gradient."""
    gradients = []
    for library in (minidl, torch):
        x = leaf(library)
        y = RECORDED[name](library, x)
        (y * library.from_numpy(VALUES[::-1].copy())).sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-12)


SPOILT: dict[str, Callable[[Any], Any]] = {
    "mul_ of a saved factor": lambda x: (lambda y: ((y * y).sum(), y.mul_(2.0))[0])(x * 1.0),
    "exp then add_": lambda x: (lambda y: y.add_(1.0))(x.exp()),
    "tanh then +=": lambda x: (lambda y: y.__iadd__(1.0))(x.tanh()),
}


@pytest.mark.parametrize("name", SPOILT)
def test_recorded_writes_that_spoil_are_refused_as_in_torch(name: str) -> None:
    with pytest.raises(RuntimeError, match="inplace"):
        SPOILT[name](leaf(torch)).sum().backward()
    with pytest.raises(GraphError, match="in-place"):
        SPOILT[name](leaf(minidl)).sum().backward()


def test_a_recorded_write_through_a_view_is_right_or_refused() -> None:
    """torch rewrites the graph of the base; minidl may refuse, but must not give a wrong gradient."""
    x = leaf(torch)
    y = x * 2
    y[0].mul_(10.0)
    y.sum().backward()
    x_ours = leaf(minidl)
    y_ours = x_ours * 2
    try:
        y_ours[0].mul_(10.0)
        y_ours.sum().backward()
    except GraphError:
        return
    np.testing.assert_array_equal(x_ours.grad.numpy(), x.grad.numpy())


def test_a_recorded_assignment_is_right_or_refused() -> None:
    x = leaf(torch)
    y = x * 2
    y[0] = x[1] * 5
    y.sum().backward()
    x_ours = leaf(minidl)
    y_ours = x_ours * 2
    try:
        y_ours[0] = x_ours[1] * 5
        y_ours.sum().backward()
    except GraphError:
        return
    np.testing.assert_array_equal(x_ours.grad.numpy(), x.grad.numpy())


def test_in_place_type_rules_are_torchs() -> None:
    """The left side keeps its dtype; an integer tensor cannot take a fraction."""
    y = minidl.tensor([1.0, 2.0])
    y += np.float64(1.5)
    assert y.dtype == minidl.float32
    y.add_(minidl.tensor([1.0, 1.0], dtype=minidl.float64))
    assert y.dtype == minidl.float32
    i = minidl.tensor([1, 2])
    for write in (lambda: i.add_(1.5), lambda: i.div_(2), lambda: i.mul_(minidl.tensor([0.5, 0.5]))):
        with pytest.raises((TypeError, RuntimeError)):
            write()
    np.testing.assert_array_equal(i.numpy(), [1, 2])


def test_in_place_results_must_fit() -> None:
    y = minidl.ones(3, 1)
    with pytest.raises((ValueError, RuntimeError)):
        y.add_(minidl.ones(3, 4))
    assert y.shape == (3, 1)
    assert minidl.ones(3, 4).add_(minidl.ones(4)).shape == (3, 4)
