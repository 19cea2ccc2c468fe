"""Losses: cross entropy, negative log-likelihood, mean squared error."""

from __future__ import annotations

import math
import warnings
from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import is_grad_enabled
from minidl.backend.arrays import check_same_device, device_of, ignore_float_errors, namespace
from minidl.backend.dtypes import int64
from minidl.errors import ArgumentError, DTypeError, ShapeError, warn_of_slip
from minidl.ops.promotion import cast, require_float, require_tensor
from minidl.ops.reduction import mean, sum
from minidl.ops.shape import movedim, reshape, unsqueeze
from minidl.ops.softmax import Softmax, log_softmax

__all__ = ["check_reduction", "cross_entropy", "expects_scores", "mse_loss", "nll_loss"]

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(who: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ArgumentError(who, expected='reduction "mean", "sum" or "none"', got=repr(reduction))


class CrossEntropy(Function):
    """-sum over c of t[n, c] * log softmax(x[n])[c], where t holds the class weight and the label smoothing.

    With reduction "mean" the sum over n is divided by the weights of the targets that count.
    """

    def forward(
        self, logits: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float, reduction: str
    ) -> Any:
        losses, probabilities = kernels.cross_entropy_forward(logits, target, weight, ignore_index, label_smoothing)
        divisor = _total_weight(target, weight, ignore_index, logits.dtype) if reduction == "mean" else None
        self.options: dict[str, Any] = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        self.save_for_backward(logits, target, weight, probabilities, divisor)
        if reduction == "none":
            return losses
        with ignore_float_errors():  # 0 / 0 where nothing counted: NaN, as in torch
            return losses.sum() if divisor is None else losses.sum() / divisor

    def backward(self, grad: Any) -> Any:
        logits, target, weight, probabilities, divisor = self.saved_tensors
        if isinstance(grad, BaseTensor) and is_grad_enabled():
            return self._composite(grad, logits), None, None
        gradient = CrossEntropyGradient.evaluate(grad, probabilities, target, weight, divisor, **self.options)
        return gradient, None, None

    def _composite(self, grad: Any, logits: Any) -> Any:
        """The same gradient from differentiable operations, for create_graph alone; tested equal to the kernel's."""
        raw_logits, target, weight, _, divisor = self.saved_arrays
        wanted = _target_matrix(target, weight, raw_logits, **self.options)
        totals = wanted.sum(1, keepdims=True)
        scale = grad if divisor is None else grad / (divisor + (divisor == 0))
        column = scale.reshape((-1, 1))  # (N,) or () -> (N, 1) or (1, 1)
        return column * (Softmax.evaluate(logits, axis=1) * totals - wanted)


class CrossEntropyGradient(Function):
    """The gradient of every logit; for a differentiable form see ``CrossEntropy._composite``."""

    def forward(self, grad: Any, probabilities: Any, target: Any, weight: Any, divisor: Any, **options: Any) -> Any:
        scale = grad if divisor is None else grad / (divisor + (divisor == 0))  # rows that do not count get 0 anyway
        scale = namespace(probabilities).asarray(scale)  # NumPy makes a scalar of an array without axes
        return kernels.cross_entropy_backward(scale, probabilities, target, weight, **options)


def _total_weight(target: Any, weight: Any, ignore_index: int, dtype: Any) -> Any:
    """The weights of the targets that count, added up: what a mean is divided by; an array without axes."""
    counted = target != ignore_index
    xp = namespace(target)
    if weight is None:
        return xp.asarray(counted.sum(), dtype)
    return xp.asarray((weight[xp.where(counted, target, 0)] * counted).sum(), dtype)


class NLL(Function):
    """-w[t[n]] * x[n, t[n]], where w is the class weight, 0 for targets that do not count; linear in x."""

    def forward(self, x: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
        xp = namespace(x)
        self.shape, self.options = x.shape, {"ignore_index": ignore_index, "reduction": reduction}
        counted = target != ignore_index
        classes = xp.where(counted, target, 0)
        factors = counted.astype(x.dtype) if weight is None else weight[classes] * counted
        divisor = _total_weight(target, weight, ignore_index, x.dtype) if reduction == "mean" else None
        self.save_for_backward(target, weight, factors, divisor)
        # Rows that do not count may hold -inf: they are cut out, not multiplied by 0.
        losses = xp.where(counted, -x[xp.arange(len(classes)), classes], 0) * factors
        if reduction == "none":
            return losses
        with ignore_float_errors():  # 0 / 0 where nothing counted: NaN, as in torch
            return losses.sum() if divisor is None else losses.sum() / divisor

    def backward(self, grad: Any) -> Any:
        target, weight, factors, divisor = self.saved_tensors
        return (
            NLLGradient.evaluate(grad, target, weight, factors, divisor, shape=self.shape, **self.options),
            None,
            None,
        )


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


def _target_matrix(target: Any, weight: Any, logits: Any, ignore_index: int, label_smoothing: float) -> Any:
    """t (N, C): how much each log-probability counts in the loss of each row."""
    classes, dtype = logits.shape[1], logits.dtype
    hits = target[:, None] == namespace(target).arange(classes)
    matrix = hits.astype(dtype) * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        matrix = matrix * weight
    return matrix * (target != ignore_index).astype(dtype)[:, None]


def _rows(input: Any) -> Any:
    """(C,) -> (1, C); (N, C, d1, ...) -> (N * d1 * ..., C)."""
    shape = input.data.shape
    if len(shape) == 1:
        return unsqueeze(input, 0)
    if len(shape) == 2:
        return input
    return reshape(movedim(input, 1, -1), math.prod(shape) // shape[1], shape[1])


def _check_weight(who: str, weight: Any, input: Any, classes: int) -> None:
    if weight is None:
        return
    require_float(who, weight)
    if weight.data.shape != (classes,) or weight.data.dtype != input.data.dtype:
        raise ShapeError(
            who,
            expected=f"weight ({classes},) in {input.data.dtype}",
            got=f"{weight.data.shape} in {weight.data.dtype}",
        )


def _check_classes(who: str, input: Any, target: Any, classes: int, ignore_index: int) -> None:
    shape = input.data.shape
    expected = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if target.data.dtype.kind not in "iu":
        raise DTypeError(
            who, expected="class indices as integers", got=str(target.data.dtype), hint="Use target.long()."
        )
    if target.data.shape != expected:
        raise ShapeError(who, expected=f"target of shape {expected} for input {shape}", got=str(target.data.shape))
    array = target.data
    if device_of(array).type == "gpu":
        return  # to look at the values would make the host wait for the GPU at every step
    if array.size and (array.min() < 0 or array.max() >= classes):
        wrong = array[((array < 0) | (array >= classes)) & (array != ignore_index)]
        if wrong.size:
            raise ArgumentError(
                who,
                expected=f"targets in [0, {classes}) or ignore_index {ignore_index}",
                got=str(int(wrong.reshape(-1)[0])),
                hint="Do the labels start at 0, and has the last layer one output a class?",
            )


def expects_scores(who: str, input: Any, operations: tuple[type[Function], ...], advice: str) -> None:
    """A warning where the input is fresh from a softmax (or sigmoid) that the loss itself contains."""
    edge = input._edge
    if edge is not None and type(edge[0]) in operations:
        warn_of_slip(f"{who}: the input is the result of a {edge[0].name.lower()}. {advice}")


def _class_axis(who: str, input: Any) -> int:
    """The number of classes."""
    shape = input.data.shape
    classes = shape[min(1, len(shape) - 1)] if shape else 0
    if not classes:
        raise ShapeError(who, expected="input (C,), (N, C) or (N, C, d1, ...) with at least one class", got=str(shape))
    return classes


def cross_entropy(
    input: T,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> T:
    """-log softmax(input)[target], averaged.

    input: unnormalised scores (C,), (N, C) or (N, C, d1, ...). target: class indices () or (N,) or (N, d1, ...) in
    [0, C), or class probabilities of the input's shape (floating-point). weight: (C,), how much each class counts.
    ignore_index: a target that counts neither in the loss nor in the mean (class indices only). reduction: "mean"
    (over the weights of the targets that count; with probabilities over N * d1 * ...), "sum" or "none" (the target's
    shape). label_smoothing in [0, 1]: how much of the target is spread over all classes. Raises ShapeError,
    ArgumentError (a target out of range; on a GPU targets are not checked), DTypeError. Source:
    torch.nn.functional.cross_entropy.
    """
    require_float("cross_entropy", input)
    require_tensor("cross_entropy", target)
    check_same_device("cross_entropy", input.data, target.data)
    check_reduction("cross_entropy", reduction)
    expects_scores("cross_entropy", input, (Softmax,), "It wants the scores themselves: leave out the softmax.")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError("cross_entropy", expected="label_smoothing in [0, 1]", got=str(label_smoothing))
    classes = _class_axis("cross_entropy", input)
    _check_weight("cross_entropy", weight, input, classes)
    if target.data.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    _check_classes("cross_entropy", input, target, classes, ignore_index)
    losses: Any = CrossEntropy.apply(
        _rows(input),
        cast(reshape(target, -1), int64),
        weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    return losses.reshape(target.data.shape) if reduction == "none" else losses


def _soft_cross_entropy(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """Cross entropy against class probabilities: a composition of differentiable operations."""
    shape = input.data.shape
    if target.data.shape != shape:
        raise ShapeError(
            "cross_entropy", expected=f"class probabilities of the input's shape {shape}", got=str(target.data.shape)
        )
    axis = 0 if len(shape) == 1 else 1
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / shape[axis]
    if weight is not None:
        target = target * weight.reshape((-1,) + (1,) * (len(shape) - axis - 1))  # (C,) beside (N, C, d1, ...)
    losses = -sum(target * log_softmax(input, axis), axis)
    if reduction == "none":
        return losses
    return (
        losses.sum() if reduction == "sum" else losses.sum() / losses.data.size
    )  # NaN where nothing is counted, as in torch


def nll_loss(input: T, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> T:
    """-input[target], averaged, for log-probabilities.

    input: (C,), (N, C) or (N, C, d1, ...); target: (), (N,) or (N, d1, ...) class indices; other arguments as for
    cross_entropy. Source: torch.nn.functional.nll_loss.
    """
    require_float("nll_loss", input)
    require_tensor("nll_loss", target)
    check_same_device("nll_loss", input.data, target.data)
    check_reduction("nll_loss", reduction)
    expects_scores("nll_loss", input, (Softmax,), "It wants logarithms: use log_softmax, or cross_entropy of scores.")
    classes = _class_axis("nll_loss", input)
    _check_weight("nll_loss", weight, input, classes)
    _check_classes("nll_loss", input, target, classes, ignore_index)
    labels = cast(reshape(target, -1), int64)
    losses: Any = NLL.apply(_rows(input), labels, weight, ignore_index=ignore_index, reduction=reduction)
    return losses.reshape(target.data.shape) if reduction == "none" else losses


def mse_loss(input: T, target: Any, reduction: str = "mean", weight: Any = None) -> T:
    """(input - target)^2, averaged over all elements, summed, or element by element.

    input, target: one shape (other shapes that broadcast draw a warning, as in torch); weight: of the same shape, or
    None; a mean is then divided by the sum of the weights. Source: torch.nn.functional.mse_loss.
    """
    require_float("mse_loss", input, target)
    check_reduction("mse_loss", reduction)
    if input.data.shape != target.data.shape:
        warnings.warn(
            f"mse_loss: input {input.data.shape} and target {target.data.shape} differ and are broadcast; "
            "this is rarely meant. Give them one shape.",
            stacklevel=2,
        )
    values: Any = input
    try:
        difference = values - target
    except ShapeError:
        raise ShapeError(
            "mse_loss", expected=f"a target of the input's shape {input.data.shape}", got=str(target.data.shape)
        ) from None
    squares = difference * difference
    if weight is not None:
        require_float("mse_loss", input, weight)
        if weight.data.shape != squares.data.shape:
            raise ShapeError(
                "mse_loss", expected=f"a weight for every element {squares.data.shape}", got=str(weight.data.shape)
            )
        squares = squares * weight
        if reduction == "mean":
            return sum(squares) / sum(weight)
    return squares if reduction == "none" else sum(squares) if reduction == "sum" else mean(squares)
