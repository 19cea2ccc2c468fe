"""Clipping gradients, under the names of ``torch.nn.utils``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minidl._factories import tensor
from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad
from minidl.backend.arrays import ignore_float_errors
from minidl.errors import ArgumentError, DTypeError
from minidl.ops.joining import stack
from minidl.ops.norms import vector_norm

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


@no_grad()
def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor, in place, so that their norm as one long vector is at most ``max_norm``.

    The factor is min(1, max_norm / (norm + 1e-6)). parameters: a tensor or tensors; those without a gradient are left
    out. norm_type: the order of the norm; ``inf`` for the largest absolute value. Returns the norm before, a tensor
    without axes. Raises RuntimeError for a norm that is infinite or NaN if ``error_if_nonfinite``; without it such
    gradients become 0 or NaN. Source: torch.nn.utils.clip_grad_norm_ (Pascanu et al. 2013).
    """
    parameters = _tensors("clip_grad_norm_", parameters)
    _check_number("clip_grad_norm_", "max_norm", max_norm)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = get_total_norm(gradients, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


@no_grad()
def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors as one long vector, on the first one's device; 0 for none. See ``clip_grad_norm_``."""
    who = "get_total_norm"
    tensors = _tensors(who, tensors)
    _check_number(who, "norm_type", norm_type)
    _refuse_foreach(who, foreach)
    if not tensors:
        return tensor(0.0)
    order = float(norm_type)
    norms = [vector_norm(each, order) for each in tensors]
    total = vector_norm(stack([norm.to(tensors[0].device) for norm in norms]), order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"{who}: expected finite gradients, got a norm of order {order} that is {total.item()}. The total norm is"
            " non-finite, so it cannot be clipped; error_if_nonfinite=False scales by it all the same."
        )
    return total


@no_grad()
def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scale all gradients, in place, by min(1, max_norm / (total_norm + 1e-6)). See ``clip_grad_norm_``."""
    who = "clip_grads_with_norm_"
    _check_number(who, "max_norm", max_norm)
    _refuse_foreach(who, foreach)
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)  # stays on the device: nothing waits for its value
    with ignore_float_errors():  # infinity times 0
        for parameter in _tensors(who, parameters):
            if parameter.grad is not None:
                parameter.grad.mul_(factor.to(parameter.grad.device))


@no_grad()
def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Put every element of every gradient into [-clip_value, clip_value], in place.

    parameters: a tensor or tensors; those without a gradient are left out. Source: torch.nn.utils.clip_grad_value_.
    """
    _check_number("clip_grad_value_", "clip_value", clip_value)
    _refuse_foreach("clip_grad_value_", foreach)
    for parameter in _tensors("clip_grad_value_", parameters):
        if parameter.grad is not None:
            parameter.grad.clamp_(-float(clip_value), float(clip_value))


def _tensors(who: str, tensors: Any) -> list[Tensor]:
    """The tensors as a list; one alone counts as a list of one."""
    if isinstance(tensors, Tensor):
        return [tensors]
    found = list(tensors) if isinstance(tensors, Iterable) else [tensors]
    for each in found:
        if not isinstance(each, Tensor):
            raise DTypeError(
                who, expected="a tensor or tensors", got=type(each).__name__, hint="Pass model.parameters()."
            )
    return found


def _check_number(who: str, name: str, value: Any) -> None:
    try:
        float(value)
    except (TypeError, ValueError) as error:
        raise DTypeError(who, expected=f"{name} as a number", got=repr(value)) from error


def _refuse_foreach(who: str, foreach: bool | None) -> None:
    if foreach:
        raise ArgumentError(who, expected="foreach to be False or None", got=repr(foreach))
