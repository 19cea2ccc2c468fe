"""Clipping of gradients beside torch's: every order of norm, several types, gradients that are missing or infinite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError

SHAPES: list[tuple[int, ...]] = [(4, 3), (5,), (), (2, 3, 2)]


def twins(dtype: Any = np.float64, scale: float = 1.0) -> tuple[list[Any], list[Any]]:
    """Parameters with gradients in both libraries; the second has none, the last one's memory is transposed."""
    random = np.random.default_rng(0)
    ours, theirs = [], []
    for number, shape in enumerate(SHAPES):
        gradient = np.asarray(scale * random.standard_normal(shape), dtype)
        p = nn.Parameter(minidl.tensor(np.zeros(shape, dtype)))
        q = torch.nn.Parameter(torch.tensor(np.zeros(shape, dtype)))
        if number != 1:
            q.grad = torch.tensor(gradient)
            p.grad = minidl.from_numpy(np.asarray(gradient.T, order="C").T)
        ours.append(p)
        theirs.append(q)
    return ours, theirs


def check(ours: list[Any], theirs: list[Any], tolerance: float) -> None:
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if q.grad is not None:
            assert p.grad.numpy().dtype == q.grad.numpy().dtype
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("norm_type", [2, 2.0, 1, 3.5, 0.5, 0, math.inf, -math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.5, 1e4])
def test_norm(norm_type: Any, max_norm: float, dtype: Any, tolerance: float) -> None:
    ours, theirs = twins(dtype)
    got = nn.utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(iter(theirs), max_norm, norm_type)
    assert got.shape == ()
    assert got.item() == pytest.approx(expected.item(), rel=tolerance)
    check(ours, theirs, tolerance)


def test_one_tensor_and_none() -> None:
    ours, theirs = twins()
    got = nn.utils.clip_grad_norm_(ours[0], 0.1)
    assert got.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs[0], 0.1).item(), rel=1e-12)
    check(ours, theirs, 1e-12)
    assert nn.utils.clip_grad_norm_(ours[1], 0.1).item() == 0
    assert nn.utils.clip_grad_norm_([], 0.1).item() == 0
    assert ours[1].grad is None


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_gradients_that_are_not_finite(value: float) -> None:
    ours, theirs = twins()
    ours[0].grad[0, 0] = value
    theirs[0].grad[0, 0] = value
    before = ours[0].grad.numpy().copy()
    with pytest.raises(RuntimeError, match="total norm is non-finite"):
        nn.utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(ours[0].grad.numpy(), before)
    got, expected = nn.utils.clip_grad_norm_(ours, 1.0), torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    np.testing.assert_equal(got.item(), expected.item())
    check(ours, theirs, 1e-12)


@pytest.mark.parametrize("value", [0.3, 2, math.inf])
def test_value(value: float) -> None:
    ours, theirs = twins()
    assert nn.utils.clip_grad_value_(ours, value) is None
    torch.nn.utils.clip_grad_value_(theirs, value)
    check(ours, theirs, 1e-15)


def test_the_two_halves_of_clipping_a_norm() -> None:
    ours, theirs = twins(scale=5.0)
    got = nn.utils.get_total_norm([p.grad for p in ours if p.grad is not None])
    expected = torch.nn.utils.get_total_norm([q.grad for q in theirs if q.grad is not None])
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    nn.utils.clip_grads_with_norm_(ours, 1.0, got)
    torch.nn.utils.clip_grads_with_norm_(theirs, 1.0, expected)
    check(ours, theirs, 1e-12)


def test_it_is_a_write_in_place_that_is_not_recorded() -> None:
    ours, _ = twins()
    gradient, array = ours[0].grad, ours[0].grad.data
    nn.utils.clip_grad_norm_(ours, 0.1)
    nn.utils.clip_grad_value_(ours, 0.01)
    assert ours[0].grad is gradient
    assert gradient.data is array
    assert not gradient.requires_grad


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.utils.clip_grad_norm_(nn.Linear(1, 1), 1.0), DTypeError, "clip_grad_norm_: expected a tensor or tens"),
    (lambda: nn.utils.clip_grad_norm_([3], 1.0), DTypeError, "clip_grad_norm_: expected a tensor or tensors, got int"),
    (lambda: nn.utils.clip_grad_norm_([], "much"), DTypeError, "expected max_norm as a number, got 'much'"),
    (lambda: nn.utils.clip_grad_norm_([], 1.0, "fro"), DTypeError, "expected norm_type as a number, got 'fro'"),
    (lambda: nn.utils.clip_grad_norm_([], 1.0, foreach=True), ArgumentError, "expected foreach to be False or None"),
    (lambda: nn.utils.clip_grad_value_([], None), DTypeError, "clip_grad_value_: expected clip_value as a number"),
    (
        lambda: nn.utils.clip_grad_value_("p", 1.0),
        DTypeError,
        "clip_grad_value_: expected a tensor or tensors, got str",
    ),
    (lambda: nn.utils.clip_grad_value_([], 1.0, foreach=True), ArgumentError, "expected foreach to be False or None"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_calls(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
