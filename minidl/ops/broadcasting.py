"""Shapes that broadcast: the common shape, the complaint where there is none, and the way back for gradients."""

from __future__ import annotations

from typing import Any

from minidl.autograd.function import Function
from minidl.errors import DTypeError, ShapeError

__all__ = ["apply_broadcast", "broadcast_shape", "check_broadcasts", "shape_of", "unbroadcast"]


def unbroadcast(grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum ``grad`` over the axes that broadcasting added or stretched, back to ``shape``."""
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    axes = (*range(added), *stretched)
    if axes:
        grad = grad.sum(axes)
    return grad.reshape(shape)  # (n, ...) without the summed axes -> shape, where they are missing or 1


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array or tensor; a number has no axes."""
    return getattr(value, "shape", ())


def apply_broadcast(who: str, operation: type[Function], *operands: Any, **options: Any) -> Any:
    """Apply an operation that broadcasts; NumPy's complaint becomes one that names the operation and both shapes."""
    try:
        return operation.apply(*operands, **options)
    except OverflowError as error:  # a number that the tensor's integers cannot hold
        raise DTypeError(who, expected="a number that fits the tensor", got=str(error)) from None
    except ValueError as error:
        shapes = [shape_of(x) for x in operands]
        try:
            broadcast_shape(*shapes)
        except ValueError:
            raise ShapeError(
                who,
                expected="shapes that broadcast (equal or 1, counted from the last axis)",
                got=" and ".join(str(shape) for shape in shapes),
            ) from None
        raise error


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape; ValueError where there is none."""
    result: list[int] = []
    for axis in range(-max(map(len, shapes)), 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(lengths) > 1:
            raise ValueError(shapes)
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


def check_broadcasts(who: str, name: str, values: Any, input: Any) -> None:
    """ShapeError unless ``values``, the argument ``name``, broadcast to the input's own shape."""
    shape = input.data.shape
    try:
        fits = broadcast_shape(values.data.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(who, expected=f"{name} that broadcasts to {shape}", got=str(values.data.shape))
