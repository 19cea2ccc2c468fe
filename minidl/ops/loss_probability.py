"""Losses between probabilities: Kullback-Leibler divergence, binary cross entropy."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.activation_smooth import LogSigmoid, Sigmoid
from minidl.ops.arithmetic import Log
from minidl.ops.broadcasting import check_broadcasts
from minidl.ops.choice import where
from minidl.ops.elementwise import Clamp, Log1p, exp, log
from minidl.ops.loss import check_reduction, expects_scores
from minidl.ops.loss_regression import difference, reduced
from minidl.ops.promotion import require_float
from minidl.ops.reduction import sum
from minidl.ops.values import everywhere

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"]


def kl_div(input: T, target: Any, reduction: str = "mean", log_target: bool = False) -> T:
    """target (log target - input), averaged, where input holds log-probabilities; 0 where target is 0.

    target: probabilities, or with ``log_target`` their logarithms. reduction: "batchmean" (the sum over the length of
    axis 0, the divergence itself), "mean", "sum" or "none". Source: torch.nn.functional.kl_div.
    """
    divided = reduction == "batchmean"
    difference("kl_div", input, target, "sum" if divided else reduction)
    x: Any = input
    if log_target:
        losses = exp(target) * (target - x)
    else:
        zero = target == 0
        losses = target * log(where(zero, 1.0, target)) - target * x
    if not divided:
        return reduced("kl_div", losses, reduction)
    if not input.data.ndim:
        raise ShapeError("kl_div", expected='an input with axes for reduction "batchmean"', got="one without")
    return sum(losses) / input.data.shape[0]


# What torch's kernels divide by at least: 1e-12, written there as a float32.
_LEAST_SPREAD = 9.999999960041972e-13


class BinaryCrossEntropy(Function):
    """-(t max(log x, -100) + (1 - t) max(log(1 - x), -100)); dx = grad (x - t) / max(x (1 - x), 1e-12)."""

    def forward(self, x: Any, target: Any) -> Any:
        xp = namespace(x)
        self.save_for_backward(x, target)
        with ignore_float_errors():
            return -(target * xp.maximum(xp.log(x), -100) + (1 - target) * xp.maximum(xp.log1p(-x), -100))

    def backward(self, grad: Any) -> Any:
        x, target = self.saved_tensors
        need_x, need_target = self.needs_input_grad
        grad_x = grad_target = None
        if need_x:
            grad_x = grad * (x - target) / Clamp.evaluate(x * (1 - x), minimum=_LEAST_SPREAD, maximum=None)
        if need_target:
            logs = (Clamp.evaluate(f.evaluate(v), minimum=-100, maximum=None) for f, v in ((Log1p, -x), (Log, x)))
            lost, won = logs
            grad_target = grad * (lost - won)
        return grad_x, grad_target


def _check_pair(who: str, input: Any, target: Any, weight: Any, reduction: str) -> None:
    require_float(who, input, target, weight)
    check_reduction(who, reduction)
    if input.data.shape != target.data.shape:
        raise ShapeError(who, expected=f"a target of the input's shape {input.data.shape}", got=str(target.data.shape))
    if weight is not None:
        check_broadcasts(who, "weight", weight, input)


@on_its_device
def binary_cross_entropy(input: T, target: Any, weight: Any = None, reduction: str = "mean") -> T:
    """-(t log x + (1 - t) log(1 - x)), averaged; the logarithms are limited to -100.

    input: probabilities in [0, 1], any shape; target: of the same shape, usually 0 or 1; weight: factors that broadcast
    to it. Raises ArgumentError for an input outside [0, 1], ShapeError, DTypeError. Source:
    torch.nn.functional.binary_cross_entropy.
    """
    _check_pair("binary_cross_entropy", input, target, weight, reduction)
    if not everywhere((input.data >= 0) & (input.data <= 1)):
        raise ArgumentError(
            "binary_cross_entropy",
            expected="an input between 0 and 1",
            got=f"{float(input.data.min())} to {float(input.data.max())}",
            hint="Use binary_cross_entropy_with_logits for scores.",
        )
    if input.data.dtype != target.data.dtype:
        raise DTypeError("binary_cross_entropy", expected=f"a target in {input.data.dtype}", got=str(target.data.dtype))
    losses: Any = BinaryCrossEntropy.apply(input, target)
    return reduced("binary_cross_entropy", losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    input: T, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> T:
    """Binary cross entropy of sigmoid(input), without overflow: (1 - t) x - (1 + (pos_weight - 1) t) log sigmoid(x).

    input: scores, any shape; target: of the same shape, in [0, 1]; weight, pos_weight: factors that broadcast to it, of
    every loss and of the positive ones. Raises ShapeError, DTypeError. Source:
    torch.nn.functional.binary_cross_entropy_with_logits.
    """
    who = "binary_cross_entropy_with_logits"
    _check_pair(who, input, target, weight, reduction)
    expects_scores(who, input, (Sigmoid,), "It wants the scores themselves: leave out the sigmoid.")
    scale: Any = 1.0
    if pos_weight is not None:
        require_float(who, input, pos_weight)
        check_broadcasts(who, "pos_weight", pos_weight, input)
        scale = (pos_weight - 1) * target + 1
    losses = (1 - target) * input - scale * LogSigmoid.apply(input)
    return reduced(who, losses if weight is None else losses * weight, reduction)
