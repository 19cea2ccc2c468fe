"""Cross entropy, and what all losses over classes ask of their arguments."""

from __future__ import annotations

import math
from typing import Any

from minidl import kernels
from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import is_grad_enabled
from minidl.backend.arrays import check_same_device, device_of, ignore_float_errors, namespace, on_its_device
from minidl.backend.dtypes import int64
from minidl.errors import ArgumentError, DTypeError, ShapeError, warn_of_slip
from minidl.ops.promotion import cast, require_float, require_tensor
from minidl.ops.shape import movedim, reshape, unsqueeze
from minidl.ops.softmax import Softmax, log_softmax

__all__ = [
    "added_up",
    "check_classes",
    "check_reduction",
    "check_scores",
    "cross_entropy",
    "expects_scores",
    "rows",
    "total_weight",
]


def check_reduction(who: str, reduction: str) -> None:
    """ArgumentError for a reduction that no loss knows."""
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(who, expected='reduction "mean", "sum" or "none"', got=repr(reduction))


class CrossEntropy(Function):
    """-sum over c of t[n, c] * log softmax(x[n])[c], where t holds the class weight and the label smoothing.

    With reduction "mean" the sum over n is divided by the weights of the targets that count.
    """

    def forward(
        self, logits: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float, reduction: str
    ) -> Any:
        losses, probabilities = kernels.cross_entropy_forward(logits, target, weight, ignore_index, label_smoothing)
        divisor = total_weight(target, weight, ignore_index, logits.dtype) if reduction == "mean" else None
        self.options: dict[str, Any] = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        self.save_for_backward(logits, target, weight, probabilities, divisor)
        return added_up(losses, reduction, divisor)

    def backward(self, grad: Any) -> Any:
        logits, target, weight, probabilities, divisor = self.saved_tensors
        if isinstance(grad, BaseTensor) and is_grad_enabled():
            return self._composite(grad, logits), None, None
        gradient = CrossEntropyGradient.evaluate(grad, probabilities, target, weight, divisor, **self.options)
        return gradient, None, None

    @on_its_device
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


def added_up(losses: Any, reduction: str, divisor: Any) -> Any:
    """The losses (N,) themselves, or their sum, divided by ``divisor`` where there is one."""
    if reduction == "none":
        return losses
    with ignore_float_errors():  # 0 / 0 where nothing counted: NaN, as in torch
        return losses.sum() if divisor is None else losses.sum() / divisor


def total_weight(target: Any, weight: Any, ignore_index: int, dtype: Any) -> Any:
    """The weights of the targets that count, added up: what a mean is divided by; an array without axes."""
    counted = target != ignore_index
    xp = namespace(target)
    if weight is None:
        return xp.asarray(counted.sum(), dtype)
    return xp.asarray((weight[xp.where(counted, target, 0)] * counted).sum(), dtype)


def _target_matrix(target: Any, weight: Any, logits: Any, ignore_index: int, label_smoothing: float) -> Any:
    """t (N, C): how much each log-probability counts in the loss of each row."""
    classes, dtype = logits.shape[1], logits.dtype
    hits = target[:, None] == namespace(target).arange(classes)
    matrix = hits.astype(dtype) * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        matrix = matrix * weight
    return matrix * (target != ignore_index).astype(dtype)[:, None]


def rows(input: Any) -> Any:
    """(C,) -> (1, C); (N, C, d1, ...) -> (N * d1 * ..., C)."""
    shape = input.data.shape
    if len(shape) == 1:
        return unsqueeze(input, 0)
    if len(shape) == 2:
        return input
    return reshape(movedim(input, 1, -1), math.prod(shape) // shape[1], shape[1])


def check_scores(who: str, input: Any, target: Any, weight: Any, reduction: str, advice: str) -> int:
    """What losses over classes ask of their arguments, but for the targets' values; the number of classes C."""
    require_float(who, input)
    require_tensor(who, target)
    check_same_device(who, input.data, target.data)
    check_reduction(who, reduction)
    expects_scores(who, input, (Softmax,), advice)
    shape, dtype = input.data.shape, input.data.dtype
    classes = shape[min(1, len(shape) - 1)] if shape else 0
    if not classes:
        raise ShapeError(who, expected="input (C,), (N, C) or (N, C, d1, ...) with at least one class", got=str(shape))
    if weight is not None:
        require_float(who, weight)
        if weight.data.shape != (classes,) or weight.data.dtype != dtype:
            got = f"{weight.data.shape} in {weight.data.dtype}"
            raise ShapeError(who, expected=f"weight ({classes},) in {dtype}", got=got)
    return classes


def check_classes(who: str, input: Any, target: Any, classes: int, ignore_index: int) -> None:
    """DTypeError, ShapeError or ArgumentError unless the targets are classes in [0, C), or ``ignore_index``."""
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
    who = "cross_entropy"
    advice = "It wants the scores themselves: leave out the softmax."
    classes = check_scores(who, input, target, weight, reduction, advice)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(who, expected="label_smoothing in [0, 1]", got=str(label_smoothing))
    if target.data.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    check_classes(who, input, target, classes, ignore_index)
    losses: Any = CrossEntropy.apply(
        rows(input),
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
    losses = -(target * log_softmax(input, axis)).sum(axis)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / losses.data.size  # NaN for none, as in torch
