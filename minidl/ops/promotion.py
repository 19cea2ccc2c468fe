"""Type promotion by torch's rules: category first (bool < integer < float), then tensors with axes before others."""

from __future__ import annotations

from typing import Any

from minidl.autograd.base import BaseTensor
from minidl.autograd.function import Function
from minidl.backend.arrays import asarray, device_of, is_array, python_number
from minidl.backend.dtypes import as_dtype, bool_, float32, int64
from minidl.errors import DTypeError

__all__ = [
    "Cast",
    "as_float",
    "as_integer",
    "as_tensor_like",
    "cast",
    "promote",
    "require_float",
    "require_tensor",
    "result_type",
    "same_dtype",
]

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


class Cast(Function):
    """The same values in another dtype; the gradient is cast back."""

    def forward(self, x: Any, dtype: Any) -> Any:
        self.dtype = x.dtype
        return x.astype(dtype)

    def backward(self, grad: Any) -> Any:
        return Cast.evaluate(grad, dtype=self.dtype)


def cast(input: Any, dtype: Any) -> Any:
    """``input`` in ``dtype``: itself if it has that dtype, else a copy through which gradients flow."""
    dtype = as_dtype(dtype)
    return input if input.data.dtype == dtype else Cast.apply(input, dtype=dtype)


def require_tensor(who: str, *values: Any) -> None:
    """DTypeError naming the operation unless every value is a Tensor."""
    for i, value in enumerate(values):
        if not isinstance(value, BaseTensor):
            raise DTypeError(
                who,
                expected="a Tensor" if len(values) == 1 else f"a Tensor as argument {i + 1}",
                got=type(value).__name__,
                hint="Make one with minidl.tensor(...) or minidl.from_numpy(...).",
            )


def require_float(who: str, *values: Any) -> None:
    """DTypeError naming the operation unless the first value, and every other that is not None, is a float Tensor."""
    for i, value in enumerate(values):
        if value is None and i:
            continue
        if not isinstance(value, BaseTensor):
            require_tensor(who, *values[: i + 1])
        if value.data.dtype.kind != "f":
            raise DTypeError(
                who, expected="a floating-point tensor", got=str(value.data.dtype), hint="Convert it with .float()."
            )


def as_float(who: str, input: Any) -> Any:
    """The tensor itself if it is floating-point, else as float32, as torch's unary functions do."""
    require_tensor(who, input)
    return input if input.data.dtype.kind == "f" else cast(input, float32)


def as_integer(who: str, name: str, value: Any) -> int:
    """An integer, or the one in an integer tensor without axes; DTypeError for anything else."""
    if isinstance(value, BaseTensor) and not value.data.ndim and value.data.dtype.kind in "iu":
        return int(value.data)
    if isinstance(value, (bool, BaseTensor)) or not hasattr(value, "__index__"):
        raise DTypeError(who, expected=f"{name} as an integer", got=repr(value))
    return int(value.__index__())


def same_dtype(who: str, first: Any, *others: Any) -> None:
    """DTypeError naming the operation unless all tensors (None aside) have one dtype."""
    dtype = first.data.dtype
    for other in others:
        if other is not None and other.data.dtype != dtype:
            raise DTypeError(
                who,
                expected="one dtype",
                got=f"{dtype} and {other.data.dtype}",
                hint="Convert with .float() or .double().",
            )


def promote_types(a: Any, b: Any) -> Any:
    """The smallest dtype that holds both; an integer beside a float takes the float's dtype, as in torch."""
    if a == b:
        return a
    category_a, category_b = _CATEGORY[a.kind], _CATEGORY[b.kind]
    if category_a != category_b and 2 in (category_a, category_b):
        return a if category_a == 2 else b
    if category_a != category_b:  # bool beside an integer
        return a if category_a > category_b else b
    return (a.type(0) + b.type(0)).dtype


def _scalar_dtype(value: Any) -> Any:
    return bool_ if isinstance(value, bool) else int64 if isinstance(value, int) else float32


def result_type(*operands: Any) -> Any:
    """The dtype of an arithmetic result.

    Operands fall into three ranks: tensors with axes, tensors without, Python numbers. A lower rank changes the result
    only where its category (bool < integer < float) is higher. Source: torch.result_type.
    """
    ranks: list[Any] = [None, None, None]
    for x in operands:
        if isinstance(x, BaseTensor) or is_array(x):
            array = x.data if isinstance(x, BaseTensor) else x
            rank, dtype = (0 if array.ndim else 1), array.dtype
        else:
            rank, dtype = 2, _scalar_dtype(x)
        ranks[rank] = dtype if ranks[rank] is None else promote_types(ranks[rank], dtype)
    result = None
    for dtype in reversed(ranks):  # numbers, then tensors without axes, then tensors with axes
        if dtype is None:
            continue
        if result is None or _CATEGORY[dtype.kind] >= _CATEGORY[result.kind]:
            # the higher rank decides, but bool never narrows an equal category
            result = dtype
        # else: the lower rank has the higher category and stays
    return result


def as_tensor_like(like: Any, value: Any) -> Any:
    """A NumPy or CuPy array as a constant Tensor, one of NumPy's numbers as Python's; other values as they are."""
    value = python_number(value)  # as in torch: np.float64(2) times int32 gives float32, on any device
    return like._make(asarray(value, device=device_of(value))) if is_array(value) else value


def promote(who: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Both operands of an arithmetic operation in their common dtype; Python numbers stay numbers."""
    if isinstance(a, BaseTensor):
        if isinstance(b, BaseTensor):
            if a.data.dtype == b.data.dtype:
                return a, b
        elif type(b) is float or type(b) is int or type(b) is bool:
            if a.data.dtype.kind == "f" or (a.data.dtype.kind in "iu" and isinstance(b, int)):
                return a, b
            return cast(a, result_type(a, b)), b
        elif is_array(b):
            return promote(who, a, as_tensor_like(a, b))
        else:
            raise DTypeError(who, expected="a Tensor, an array or a number", got=type(b).__name__)
        dtype = result_type(a, b)
        return cast(a, dtype), cast(b, dtype)
    if not isinstance(b, BaseTensor):
        raise DTypeError(who, expected="at least one Tensor", got=f"{type(a).__name__} and {type(b).__name__}")
    b, a = promote(who, b, a)
    return a, b
