"""Losses of differences: squared, absolute, and squared near zero."""

from __future__ import annotations

import warnings
from typing import Any

from minidl.autograd.base import T
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.activation_smooth import real
from minidl.ops.choice import where
from minidl.ops.elementwise import abs
from minidl.ops.loss import check_reduction
from minidl.ops.promotion import require_float
from minidl.ops.reduction import mean, sum

__all__ = ["difference", "huber_loss", "l1_loss", "mse_loss", "reduced", "smooth_l1_loss", "weighted"]


def difference(who: str, input: Any, target: Any, reduction: str) -> Any:
    """input - target, both checked; shapes that differ but broadcast draw a warning, as in torch."""
    require_float(who, input, target)
    check_reduction(who, reduction)
    if input.data.shape != target.data.shape:
        warnings.warn(
            f"{who}: input {input.data.shape} and target {target.data.shape} differ and are broadcast; "
            "this is rarely meant. Give them one shape.",
            stacklevel=3,
        )
    try:
        return input - target
    except ShapeError:
        raise ShapeError(
            who, expected=f"a target of the input's shape {input.data.shape}", got=str(target.data.shape)
        ) from None


def weighted(who: str, losses: Any, weight: Any) -> Any:
    """The losses times their weights, which have the same shape; the losses themselves without weights."""
    if weight is None:
        return losses
    require_float(who, losses, weight)
    if weight.data.shape != losses.data.shape:
        raise ShapeError(who, expected=f"a weight for every loss, {losses.data.shape}", got=str(weight.data.shape))
    return losses * weight


def reduced(who: str, losses: Any, reduction: str, weight: Any = None) -> Any:
    """The losses as they are, their sum, or their mean; times the weights, over whose sum the mean then goes."""
    losses = weighted(who, losses, weight)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    return mean(losses) if weight is None else sum(losses) / sum(weight)


def mse_loss(input: T, target: Any, reduction: str = "mean", weight: Any = None) -> T:
    """(input - target)^2, averaged over all elements, summed, or element by element.

    input, target: one shape (other shapes that broadcast draw a warning, as in torch); weight: of the same shape, or
    None; a mean is then divided by the sum of the weights. Source: torch.nn.functional.mse_loss.
    """
    d = difference("mse_loss", input, target, reduction)
    return reduced("mse_loss", d * d, reduction, weight)


def l1_loss(input: T, target: Any, reduction: str = "mean", weight: Any = None) -> T:
    """|input - target|, averaged over all elements, summed, or element by element.

    input, target: one shape; weight: of the same shape, or None. Source: torch.nn.functional.l1_loss.
    """
    return reduced("l1_loss", abs(difference("l1_loss", input, target, reduction)), reduction, weight)


def smooth_l1_loss(input: T, target: Any, reduction: str = "mean", beta: float = 1.0) -> T:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; d = input - target; averaged.

    Raises ArgumentError for a negative beta. Source: torch.nn.functional.smooth_l1_loss; Girshick 2015.
    """
    real("smooth_l1_loss", beta=beta)
    if beta < 0:
        raise ArgumentError("smooth_l1_loss", expected="beta of at least 0", got=repr(beta))
    d = difference("smooth_l1_loss", input, target, reduction)
    size = abs(d)
    losses = size if beta == 0 else where(size < beta, d * d * (0.5 / beta), size - 0.5 * beta)
    return reduced("smooth_l1_loss", losses, reduction)


def huber_loss(input: T, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> T:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2); d = input - target; averaged.

    weight: a factor for every loss, or None; a mean is over their number, not over the sum of the weights. Raises
    ArgumentError unless delta is above 0. Source: torch.nn.functional.huber_loss; Huber 1964.
    """
    real("huber_loss", delta=delta)
    if not delta > 0:
        raise ArgumentError("huber_loss", expected="delta above 0", got=repr(delta))
    d = difference("huber_loss", input, target, reduction)
    size = abs(d)
    losses = where(size < delta, d * d * 0.5, (size - 0.5 * delta) * delta)
    return reduced("huber_loss", weighted("huber_loss", losses, weight), reduction)
