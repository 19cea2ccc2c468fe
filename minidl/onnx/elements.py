"""How arithmetic, activations, reductions and changes of shape are written in ONNX."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.backend.arrays import is_array
from minidl.onnx.tracing import Call, Forms
from minidl.ops import (
    accumulation,
    activation,
    activation_piecewise,
    activation_smooth,
    arithmetic,
    choice,
    comparison,
    elementwise,
    embedding,
    extrema,
    indexing,
    joining,
    padding,
    promotion,
    reduction,
    rounding,
    shape,
    softmax,
    trigonometry,
)

__all__ = ["ELEMENTS"]

_FARTHEST = 2**63 - 1  # "to the end", and in the other direction "to the beginning"


def _plain(kind: str) -> Callable[..., str]:
    """The form of an operation that ONNX has as it is."""
    return lambda call, *inputs: call.add(kind, *inputs)


# -- activations -------------------------------------------------------------------------------------------------------


def _gelu(call: Call, x: Any) -> str:
    phi = call.add("Add", call.add("Erf", call.add("Mul", x, math.sqrt(0.5))), 1)
    return call.add("Mul", x, call.add("Mul", phi, 0.5))


def _softplus(call: Call, x: Any, beta: float, threshold: float) -> str:
    scaled = x if beta == 1 else call.add("Mul", x, beta)
    y = call.add("Softplus", scaled)
    y = y if beta == 1 else call.add("Div", y, beta)
    return call.add("Where", call.add("Greater", scaled, threshold), x, y)


def _elu(call: Call, x: Any, alpha: float, scale: float) -> str:
    y = call.add("Elu", x, alpha=alpha)
    return y if scale == 1 else call.add("Mul", y, scale)


# -- comparisons -------------------------------------------------------------------------------------------------------

_COMPARISONS = {
    operator.lt: "Less",
    operator.le: "LessOrEqual",
    operator.gt: "Greater",
    operator.ge: "GreaterOrEqual",
    operator.eq: "Equal",
    operator.ne: "Equal",
    operator.and_: "And",
    operator.or_: "Or",
    operator.xor: "Xor",
}


def _compare(call: Call, a: Any, b: Any, compare: Any) -> str:
    dtype = next(x.dtype for x in (a, b) if hasattr(x, "dtype"))
    kind = _COMPARISONS.get(compare)
    if kind is None or (kind in ("And", "Or", "Xor") and dtype.kind != "b"):
        raise call.refuse(f"{getattr(compare, '__name__', compare)} of {dtype}")
    y = call.add(kind, call.name(a, dtype), call.name(b, dtype))
    return call.add("Not", y) if compare is operator.ne else y


def _not(call: Call, x: Any) -> str:
    if x.dtype.kind != "b":
        raise call.refuse(f"not of {x.dtype}")
    return call.add("Not", x)


# -- reductions --------------------------------------------------------------------------------------------------------


def _reduce(call: Call, kind: str, x: Any, axes: tuple[int, ...], keepdim: bool) -> str:
    return call.add(kind, x, call.integers(*axes), keepdims=int(keepdim)) if axes else call.name(x)


def _sum(call: Call, x: Any, axes: tuple[int, ...], keepdim: bool, dtype: Any) -> str:
    return _reduce(call, "ReduceSum", x if x.dtype == call.dtype else _cast(call, x, call.dtype), axes, keepdim)


def _select(call: Call, x: Any, axis: int, larger: bool) -> tuple[str, str]:
    values = _reduce(call, "ReduceMax" if larger else "ReduceMin", x, (axis,), True)
    return values, call.add("ArgMax" if larger else "ArgMin", x, axis=axis, keepdims=1)


def _position(call: Call, x: Any, axis: int | None, keepdim: bool, larger: bool) -> str:
    if axis is None:
        raise call.refuse("the position among all elements")
    return call.add("ArgMax" if larger else "ArgMin", x, axis=axis, keepdims=int(keepdim))


# -- shapes ------------------------------------------------------------------------------------------------------------


def _cast(call: Call, x: Any, dtype: Any) -> str:
    return call.add("Cast", x, to=np.dtype(dtype))


def _expand(call: Call, x: Any, shape: tuple[int, ...]) -> str:
    """Axes that keep their length are given as 1, so that it may vary."""
    before = (1,) * (len(shape) - len(x.shape)) + tuple(x.shape)
    return call.add("Expand", x, call.integers(*[1 if n == m else m for n, m in zip(before, shape)]))


def _pad(call: Call, x: Any, widths: tuple[tuple[int, int], ...], value: float) -> str:
    ends = [before for before, _ in widths] + [after for _, after in widths]
    return call.add("Pad", x, call.integers(*ends), value)


def _index(call: Call, x: Any, index: Any) -> str:
    """Slices first, then integers and at most one array of them, from the last axis on, then new axes."""
    parts = list(index) if isinstance(index, tuple) else [index]
    dots = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    named = sum(part is not None and part is not Ellipsis for part in parts)
    parts[dots : dots + 1] = [slice(None)] * (len(x.shape) - named)
    parts = [np.asarray(part) if isinstance(part, list) else part for part in parts]
    arrays = [part for part in parts if is_array(part) and part.ndim]
    if len(arrays) > 1 or any(array.dtype.kind == "b" for array in arrays):
        raise call.refuse("an index by several arrays, or by a mask")
    cuts, taken, new = [], [], []
    axis = place = 0  # of the input, and of the result
    for part in parts:
        if part is None:
            new.append(place)
            place += 1
            continue
        if isinstance(part, slice):
            # An end at the very end means "to the end", however long the axis; other ends stay where they are.
            end = None if part.stop == x.shape[axis] else part.stop
            if part.start or end is not None or part.step not in (None, 1):
                cuts.append((axis, (part.start or 0, _FARTHEST if end is None else end, part.step or 1)))
            place += 1
        else:
            taken.append((axis, part))
            place += getattr(part, "ndim", 0)
        axis += 1
    y = call.name(x)
    if cuts:
        starts, ends, steps = zip(*[numbers for _, numbers in cuts])
        axes = [axis for axis, _ in cuts]
        y = call.add("Slice", y, *[call.integers(*numbers) for numbers in (starts, ends, axes, steps)])
    for axis, part in reversed(taken):
        y = call.add("Gather", y, call.name(part, np.int64), axis=axis)
    return call.add("Unsqueeze", y, call.integers(*new)) if new else y


ELEMENTS: Forms = {
    arithmetic.Add: _plain("Add"),
    arithmetic.Sub: _plain("Sub"),
    arithmetic.Mul: _plain("Mul"),
    arithmetic.Div: _plain("Div"),
    arithmetic.Neg: _plain("Neg"),
    arithmetic.Pow: _plain("Pow"),
    arithmetic.Log: _plain("Log"),
    choice.Where: _plain("Where"),
    choice.Extremum: lambda call, a, b, larger: call.add("Max" if larger else "Min", a, b),
    comparison.Compare: _compare,
    comparison.Not: _not,
    elementwise.Abs: _plain("Abs"),
    elementwise.Erf: _plain("Erf"),
    elementwise.Exp: _plain("Exp"),
    elementwise.Reciprocal: _plain("Reciprocal"),
    elementwise.Sign: _plain("Sign"),
    elementwise.Sqrt: _plain("Sqrt"),
    elementwise.Rsqrt: lambda call, x: call.add("Reciprocal", call.add("Sqrt", x)),
    elementwise.Square: lambda call, x: call.add("Mul", x, x),
    elementwise.Clamp: lambda call, x, minimum, maximum: call.add("Clip", x, minimum, maximum),
    rounding.Floor: _plain("Floor"),
    rounding.Ceil: _plain("Ceil"),
    rounding.Round: _plain("Round"),
    trigonometry.Sin: _plain("Sin"),
    trigonometry.Cos: _plain("Cos"),
    trigonometry.Tan: _plain("Tan"),
    trigonometry.Asin: _plain("Asin"),
    trigonometry.Acos: _plain("Acos"),
    trigonometry.Atan: _plain("Atan"),
    trigonometry.Sinh: _plain("Sinh"),
    trigonometry.Cosh: _plain("Cosh"),
    activation.ReLU: _plain("Relu"),
    activation_smooth.Sigmoid: _plain("Sigmoid"),
    activation.Tanh: _plain("Tanh"),
    activation.LeakyReLU: lambda call, x, slope: call.add("LeakyRelu", x, alpha=slope),
    softmax.Softmax: lambda call, x, axis: call.add("Softmax", x, axis=axis),
    softmax.LogSoftmax: lambda call, x, axis: call.add("LogSoftmax", x, axis=axis),
    activation_piecewise.HardSwish: _plain("HardSwish"),
    activation_piecewise.HardTanh: lambda call, x, low, high: call.add("Clip", x, low, high),
    activation_smooth.ELU: _elu,
    activation_smooth.GELU: _gelu,
    activation_smooth.Softplus: _softplus,
    activation_smooth.LogSigmoid: lambda call, x: call.add("Neg", call.add("Softplus", call.add("Neg", x))),
    accumulation.CumSum: lambda call, x, axis: call.add("CumSum", x, call.graph.constant(axis, np.int64)),
    accumulation.LogSumExp: lambda call, x, axes, keepdim: _reduce(call, "ReduceLogSumExp", x, axes, keepdim),
    reduction.Sum: _sum,
    extrema.Amax: lambda call, x, axes, keepdim, larger: _reduce(
        call, "ReduceMax" if larger else "ReduceMin", x, axes, keepdim
    ),
    extrema.Select: _select,
    extrema.Position: _position,
    reduction.Expand: _expand,
    embedding.Embedding: lambda call, weight, indices, **_: call.add("Gather", weight, indices, axis=0),
    indexing.Index: _index,
    padding.Pad: _pad,
    promotion.Cast: _cast,
    shape.Reshape: lambda call, x, shape: call.reshape(x, x.shape, call.shape),
    shape.Permute: lambda call, x, dims: call.add("Transpose", x, perm=dims),
    shape.Copy: lambda call, x, contiguous: call.name(x),
    joining.Cat: lambda call, *parts, axis: call.add("Concat", *parts, axis=axis),
}
