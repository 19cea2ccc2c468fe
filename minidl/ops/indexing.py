"""``x[index]``: integers, slices, None, Ellipsis, boolean masks and integer arrays, and what goes back through them."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import BaseTensor, T
from minidl.autograd.function import Function
from minidl.autograd.modes import state
from minidl.backend.arrays import asarray, device_of, is_array, namespace
from minidl.backend.dtypes import uint8
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minidl.ops.broadcasting import shape_of, unbroadcast
from minidl.ops.values import bounds

__all__ = ["check_places", "getitem", "index_put", "raw_index", "resolve"]


def raw_index(index: Any) -> Any:
    """An index with its tensors as arrays; DTypeError, or ArgumentError, for anything that cannot index."""
    if isinstance(index, tuple):
        return tuple([_raw_part(i) for i in index])
    if isinstance(index, list) and any(isinstance(i, (list, tuple, slice, BaseTensor)) for i in index):
        hint = "Write x[tuple(index)] for one index an axis, x[minidl.tensor(index)] for one index array."
        raise ArgumentError("indexing", expected="a list of integers or bools", got="a list of lists", hint=hint)
    return _raw_part(index)


def _raw_part(index: Any) -> Any:
    if isinstance(index, slice) and index.step is not None and index.step < 1:
        raise ArgumentError("indexing", expected="a step above 0", got=str(index.step), hint="Use flip to reverse.")
    if isinstance(index, BaseTensor):
        index = index.data
    if is_array(index):
        if index.dtype.kind not in "biu" or index.dtype == uint8:
            hint = "Convert it: .bool() makes a mask, .long() places." if index.dtype == uint8 else ""
            expected = "an integer or bool tensor as index"
            raise DTypeError("indexing", expected=expected, got=str(index.dtype), hint=hint)
        return index
    if isinstance(index, (range, tuple)):
        return list(index)
    if index is None or index is Ellipsis or isinstance(index, (slice, list)) or hasattr(index, "__index__"):
        return index
    raise DTypeError(
        "indexing", expected="integers, slices, None, Ellipsis, or integer or bool tensors", got=type(index).__name__
    )


def _is_basic(index: Any) -> bool:
    """Whether an index takes every element at most once and gives a view: no arrays, no lists."""
    return not any(map(_is_array_part, index if isinstance(index, tuple) else (index,)))


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(is_array(i) and i.dtype.kind == "b" for i in parts)


def _is_array_part(part: Any) -> bool:
    return isinstance(part, list) or (is_array(part) and (part.ndim > 0 or part.dtype.kind == "b"))


def _axes_of(part: Any) -> int:
    """How many axes a part of an index stands for."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return int(part.ndim) if is_array(part) and part.dtype.kind == "b" else 1


def check_places(x: Any, index: Any) -> None:
    """IndexError where an index array of a GPU reaches outside x, which the host waits for; CuPy would wrap around."""
    if device_of(x).type == "cpu":
        return
    parts = index if isinstance(index, tuple) else (index,)
    taken = [_axes_of(part) for part in parts]
    axis = 0
    for part, axes in zip(parts, taken):
        if part is Ellipsis:
            axis = x.ndim - sum(taken) + axis  # the parts after it count from the end
        if axis < x.ndim and _is_array_part(part):
            _check_axis(part if is_array(part) else asarray(part, device=device_of(x)), x.shape[axis], axis)
        axis += axes


def _check_axis(places: Any, length: int, axis: int) -> None:
    found = None if places.dtype.kind == "b" else bounds(places)
    if found is not None and not -length <= found[0] <= found[1] < length:
        got = f"{found[0]} to {found[1]}"
        raise IndexError(f"indexing: expected places in [-{length}, {length}) on axis {axis}, got {got}.")


def resolve(x: Any, index: Any) -> tuple[Any, Any]:
    """The array and the index to use on it: integers beside index arrays are taken first, as in torch.

    NumPy counts them among the index arrays instead, which moves axes: for x (A, B, C) the result of x[0, :, [1, 2]]
    has the shape (B, 2) in torch and (2, B) in NumPy.
    """
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [_is_array_part(part) for part in parts]
    integers = [hasattr(part, "__index__") and not isinstance(part, bool) and not a for part, a in zip(parts, arrays)]
    if not (any(arrays) and any(integers)):
        return x, index
    first: list[Any] = []
    rest: list[Any] = []
    for part, is_list, is_integer in zip(parts, arrays, integers):
        if is_list:
            mask_axes = part.ndim if is_array(part) and part.dtype.kind == "b" else 1
            first.extend([slice(None)] * mask_axes)
            rest.append(part)
        else:
            # An array without axes as well must be a plain integer: NumPy would make a copy, not a view.
            first.append(part.__index__() if is_integer else part)
            if not is_integer:
                rest.append(Ellipsis if part is Ellipsis else slice(None))
    return x[tuple(first)], tuple(rest)


class Index(Function):
    """x[index]; elements taken several times collect their gradients."""

    def forward(self, x: Any, index: Any) -> Any:
        self.index, self.shape = index, x.shape
        part, rest = resolve(x, index)
        result = part[rest]
        if type(result) is not type(part):  # NumPy gives one element as a number: a copy, where torch gives a view
            places = rest if isinstance(rest, tuple) else (rest,)
            result = part[places + (Ellipsis,)]
        return result

    def backward(self, grad: Any) -> Any:
        return ScatterAdd.evaluate(grad, index=self.index, shape=self.shape)


class ScatterAdd(Function):
    """Zeros of a shape with x added at ``index``; the adjoint of Index."""

    def forward(self, x: Any, index: Any, shape: tuple[int, ...]) -> Any:
        self.index = index
        xp = namespace(x)
        result = xp.zeros(shape, x.dtype)
        part, rest = resolve(result, index)
        if _is_basic(rest):
            part[rest] = x
        elif x.dtype.kind == "f" or device_of(x).type == "cpu":
            xp.add.at(part, rest, x)
        else:  # CuPy adds neither int64 nor bytes at places; as unsigned 64-bit numbers they come to the same
            wide = part.astype("uint64")
            xp.add.at(wide, rest, x.astype("uint64"))
            part[...] = wide.astype(x.dtype)
        return result

    def backward(self, grad: Any) -> Any:
        return Index.evaluate(grad, index=self.index)


class IndexPut(Function):
    """A copy of x with x[index] = value."""

    def forward(self, x: Any, value: Any, index: Any) -> Any:
        self.index, self.value_shape = index, shape_of(value)
        result = x.copy()
        part, rest = resolve(result, index)
        part[rest] = value
        return result

    def backward(self, grad: Any) -> Any:
        from_x = from_value = None
        if self.needs_input_grad[0]:
            from_x = IndexPut.evaluate(grad, 0, index=self.index)
        if self.needs_input_grad[1]:
            from_value = unbroadcast(Index.evaluate(grad, index=self.index), self.value_shape)
        return from_x, from_value


def _complaint(x: Any, index: Any, error: Exception) -> Exception:
    text = str(error)
    if "too many indices" in text or "out of bounds" in text or "boolean index" in text:
        return IndexError(f"indexing: a tensor of shape {x.data.shape} cannot take this index: {text}.")
    if isinstance(error, ValueError):
        return ShapeError("indexing", expected=f"a value and an index that fit shape {x.data.shape}", got=text)
    return error


def getitem(input: T, index: Any) -> T:
    """input[index]: a view for integers and slices, a copy for masks and integer arrays, as in NumPy and torch.

    Raises IndexError for an index out of range, DTypeError for a float index, ArgumentError for a negative step.
    Source: torch.Tensor.__getitem__.
    """
    raw = raw_index(index)
    if state.recorder is not None and _has_mask(raw):
        raise GraphError(
            "indexing",
            expected="no reading through a boolean mask inside a captured step",
            got="one: the size of the result depends on values",
            hint="Use where, or do not capture this step.",
        )
    check_places(input.data, raw)
    try:
        return Index.apply(input, index=raw)
    except (IndexError, ValueError) as error:
        raise _complaint(input, raw, error) from None


def index_put(input: Any, index: Any, value: Any) -> Any:
    """A copy of input in which input[index] is value (a tensor that broadcasts, or a number)."""
    raw = raw_index(index)
    check_places(input.data, raw)
    try:
        return IndexPut.apply(input, value, index=raw)
    except (IndexError, ValueError) as error:
        raise _complaint(input, raw, error) from None
