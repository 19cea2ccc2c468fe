"""Negative log-likelihood of log-probabilities."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.backend.dtypes import int64
from minidl.ops.loss import added_up, check_classes, check_scores, rows, total_weight
from minidl.ops.promotion import cast
from minidl.ops.shape import reshape

__all__ = ["nll_loss"]


class NLL(Function):
    """-w[t[n]] * x[n, t[n]], where w is the class weight, 0 for targets that do not count; linear in x."""

    def forward(self, x: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
        xp = namespace(x)
        self.shape, self.options = x.shape, {"ignore_index": ignore_index, "reduction": reduction}
        counted = target != ignore_index
        classes = xp.where(counted, target, 0)
        factors = counted.astype(x.dtype) if weight is None else weight[classes] * counted
        divisor = total_weight(target, weight, ignore_index, x.dtype) if reduction == "mean" else None
        self.save_for_backward(target, weight, factors, divisor)
        # Rows that do not count may hold -inf: they are cut out, not multiplied by 0.
        losses = xp.where(counted, -x[xp.arange(len(classes)), classes], 0) * factors
        return added_up(losses, reduction, divisor)

    def backward(self, grad: Any) -> Any:
        target, weight, factors, divisor = self.saved_tensors
        options = {"shape": self.shape, **self.options}
        return NLLGradient.evaluate(grad, target, weight, factors, divisor, **options), None, None


class NLLGradient(Function):
    """The adjoint of NLL: each row's gradient at its target; what goes back through it is NLL itself."""

    def forward(
        self, grad: Any, target: Any, weight: Any, factors: Any, divisor: Any, shape: tuple[int, int], **options: Any
    ) -> Any:
        self.options = options
        self.save_for_backward(target, weight)
        xp = namespace(grad)
        scale = grad if divisor is None else grad / (divisor + (divisor == 0))
        result = xp.zeros(shape, factors.dtype)
        classes = xp.where(target != options["ignore_index"], target, 0)
        result[xp.arange(len(classes)), classes] = -scale * factors
        return result

    def backward(self, grad: Any) -> Any:
        target, weight = self.saved_tensors
        return NLL.evaluate(grad, target, weight, **self.options), None, None, None, None


def nll_loss(input: T, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> T:
    """-input[target], averaged, for log-probabilities.

    input: (C,), (N, C) or (N, C, d1, ...); target: (), (N,) or (N, d1, ...) class indices; other arguments as for
    cross_entropy. Source: torch.nn.functional.nll_loss.
    """
    advice = "It wants logarithms: use log_softmax, or cross_entropy of scores."
    classes = check_scores("nll_loss", input, target, weight, reduction, advice)
    check_classes("nll_loss", input, target, classes, ignore_index)
    labels = cast(reshape(target, -1), int64)
    losses: Any = NLL.apply(rows(input), labels, weight, ignore_index=ignore_index, reduction=reduction)
    return losses.reshape(target.data.shape) if reduction == "none" else losses
