"""The stand-in's arrays: NumPy arrays inside, strict where CuPy's are, and taped while a stream is captured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from stand_in import Device, StandIn
from stand_in_memory import Memory, capture_forbids, owned

__all__ = ["compute", "host_value", "into", "ndarray"]


_ATOMIC = ("int32", "float16", "float32", "float64", "uint32", "uint64")  # what atomic additions are there for


class ndarray:
    """A device array. Everything it can do, CuPy's can."""

    __slots__ = ("__weakref__", "_array", "base", "device")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray, base: ndarray | None = None, device: Device | None = None) -> None:
        self._array, self.base, self.device = array, base, device or Device()

    # What it is.
    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    strides = property(lambda self: self._array.strides)
    itemsize = property(lambda self: self._array.itemsize)
    nbytes = property(lambda self: self._array.nbytes)
    flags = property(lambda self: self._array.flags)
    data = property(lambda self: Memory(self._array.ctypes.data))
    T = property(lambda self: self.transpose())
    __cuda_array_interface__ = property(lambda self: {**self._array.__array_interface__, "version": 3})

    def __len__(self) -> int:
        return len(self._array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id

    def __dlpack__(self, stream: Any = None, **options: Any) -> Any:
        return self._array.__dlpack__(**options)  # the host's memory, named the device's

    def __array__(self, *arguments: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    # To the host: each one waits for the device.
    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        StandIn.now.synchronized("a copy to the host")
        StandIn.now.to_host.append(self.nbytes)
        return np.array(self._array, order=order)  # type: ignore[call-overload]

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __repr__(self) -> str:
        return repr(self.get())

    # To the device.
    def set(self, values: np.ndarray, stream: Any = None) -> None:
        if not isinstance(values, np.ndarray) or values.shape != self.shape or values.dtype != self.dtype:
            raise ValueError("Shape or dtype mismatch")
        StandIn.now.to_device.append(self.nbytes)
        kept = values.copy()
        StandIn.now.work(lambda: np.copyto(self._array, kept), self._array)

    # Views.
    def _view(self, array: np.ndarray) -> ndarray:
        return ndarray(array, self if self.base is None else self.base, self.device)

    def view(self, dtype: Any = None) -> ndarray:
        return self._view(self._array.view() if dtype is None else self._array.view(dtype))

    def transpose(self, *axes: Any) -> ndarray:
        return self._view(self._array.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return self._view(self._array.swapaxes(axis1, axis2))

    def squeeze(self, axis: Any = None) -> ndarray:
        return self._view(self._array.squeeze(axis))

    def reshape(self, *shape: Any) -> ndarray:
        try:
            return self._view(self._array.reshape(*shape, copy=False))
        except ValueError:
            return compute(lambda: self._array.reshape(*shape))

    def ravel(self) -> ndarray:
        return self.reshape(-1)

    def __getitem__(self, index: Any) -> ndarray:
        place = _index(index)
        arrays = [part for part in _parts(place) if isinstance(part, np.ndarray)]
        if not arrays:  # with an Ellipsis at the end NumPy gives an array, never a scalar
            return self._view(self._array[place if ... in _parts(place) else (*_parts(place), ...)])
        if any(part.dtype == bool for part in arrays):
            StandIn.now.synchronized("boolean indexing")
        mine = host_value(self)
        return compute(lambda: mine[_wrapped(mine.shape, place)])

    def __setitem__(self, index: Any, value: Any) -> None:
        place, values, mine = _index(index), host_value(value), host_value(self)

        def write() -> None:
            mine[_wrapped(mine.shape, place)] = values

        StandIn.now.work(write, mine)

    # Copies and casts.
    def copy(self, order: str = "C") -> ndarray:
        mine = host_value(self)
        result = compute(lambda: mine)
        if order == "K" and not self.flags.c_contiguous and self.ndim:
            order_of = sorted(range(self.ndim), key=lambda i: -self.strides[i])
            back = sorted(range(self.ndim), key=order_of.__getitem__)
            result = compute(lambda: mine.transpose(order_of)).transpose(back)
        elif order not in ("C", "K"):
            raise ValueError(order)
        return result

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if not copy and self.dtype == dtype:
            return self
        mine = host_value(self)
        return compute(lambda: mine.astype(dtype))

    def fill(self, value: Any) -> None:
        self[...] = value

    # Calculations.
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method == "at" and ufunc in (np.add, np.subtract, np.maximum, np.minimum):
            target, index, values = inputs
            if target.dtype.name not in _ATOMIC:
                raise TypeError("scatter_add only supports int32, float16, float32, float64, uint32, uint64")
            place, added, mine = _index(index), host_value(values), target._array
            return StandIn.now.work(lambda: ufunc.at(mine, _wrapped(mine.shape, place), added), mine)
        if method != "__call__":
            return NotImplemented
        if unknown := set(options) - {"dtype", "casting"}:
            raise TypeError(f"Wrong arguments {sorted(unknown)}")
        values = [host_value(x) for x in inputs]
        if out is not None:
            (target,) = out
            return into(target, lambda: ufunc(*values, **options))
        return compute(lambda: ufunc(*values, **options))

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        ours = getattr(StandIn.now.module, function.__name__, None)
        return NotImplemented if ours is None else ours(*arguments, **options)


ndarray.__module__ = "cupy"


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _wrapped(shape: tuple[int, ...], index: Any) -> Any:
    """An index for an array of this shape; places outside go round to its other end, as in CuPy."""
    parts = _parts(index)
    taken = [0 if p is None or p is Ellipsis else p.ndim if isinstance(p, np.ndarray) and p.dtype == bool else 1
             for p in parts]  # fmt: skip
    axis, result = 0, []
    for part, axes in zip(parts, taken):
        if part is Ellipsis:
            axis = len(shape) - sum(taken) + axis
        if isinstance(part, np.ndarray) and part.dtype != bool and axis < len(shape) and shape[axis]:
            part = part % shape[axis]
        result.append(part)
        axis += axes
    return tuple(result) if isinstance(index, tuple) else result[0]


def _index(index: Any) -> Any:
    """An index as NumPy takes it. An array of the host as index would be copied to the device unasked."""
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    if isinstance(index, (np.ndarray, list)) and np.ndim(index):
        if StandIn.now.stream.is_capturing():
            raise capture_forbids("a copy from pageable memory of the host")
        StandIn.now.to_device.append(np.asarray(index).nbytes)
        return np.asarray(index)
    return index._array if isinstance(index, ndarray) else index


def host_value(value: Any) -> Any:
    """An operand's NumPy array, or the number; anything else CuPy would refuse too."""
    if isinstance(value, ndarray):
        if value.device.id != StandIn.now.device:
            raise ValueError(f"Array device must be same as the current device: {value.device.id}")
        return value._array
    if isinstance(value, np.ndarray) or not isinstance(value, (bool, int, float, np.generic)):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def compute(function: Callable[[], Any]) -> Any:
    """A calculation whose results get memory of their own, always in C order, as CuPy's elementwise kernels do."""
    with np.errstate(all="ignore"):
        first = function()
    several = isinstance(first, tuple)
    results = [owned(np.asarray(r)) for r in (first if several else (first,))]
    for result in results:
        StandIn.now.allocated(result)

    def again() -> None:
        with np.errstate(all="ignore"):
            values = function()
        for result, value in zip(results, values if several else (values,)):
            result[...] = value

    if StandIn.now.stream.tape is not None:
        StandIn.now.stream.tape.append(again)
    wrapped = tuple(ndarray(result) for result in results)
    return wrapped if several else wrapped[0]


def into(target: ndarray, function: Callable[[], Any]) -> ndarray:
    """A calculation whose result is written into an array that is there."""

    def write() -> None:
        with np.errstate(all="ignore"):
            target._array[...] = function()

    StandIn.now.work(write, target._array)
    return target


def _operator(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def apply(self: ndarray, *others: Any) -> Any:
        if any(isinstance(other, np.ndarray) for other in others):
            raise TypeError(f"Unsupported type {np.ndarray}")
        if any(not isinstance(other, (ndarray, bool, int, float, np.generic)) for other in others):
            return NotImplemented
        if "matmul" in name and StandIn.now.stream.is_capturing():
            raise NotImplementedError("cuBLAS is not supported while a stream is captured")
        mine, values = host_value(self), [host_value(other) for other in others]
        if name.startswith("__i") and name != "__invert__":
            return into(self, lambda: method(mine.copy(), *values))
        return compute(lambda: method(mine, *values))

    return apply


for _symbol in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
                "lshift", "rshift"):  # fmt: skip
    for _name in (f"__{_symbol}__", f"__r{_symbol}__", f"__i{_symbol}__"):
        setattr(ndarray, _name, _operator(_name))
for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "__neg__", "__invert__", "__abs__"):
    setattr(ndarray, _name, _operator(_name))


# What CuPy's methods take besides an axis; NumPy's take more.
_REDUCTIONS = {
    **dict.fromkeys(("all", "any", "max", "min"), ("keepdims",)),
    **dict.fromkeys(("argmax", "argmin", "mean", "prod", "sum"), ("dtype", "keepdims")),
    "argsort": ("kind",),
    "cumsum": ("dtype",),
}


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(self: ndarray, axis: Any = None, **options: Any) -> ndarray:
        if unknown := set(options).difference(_REDUCTIONS[name]):
            raise TypeError(f"{name}() got an unexpected keyword argument '{min(unknown)}'")
        values = host_value(self)
        return compute(lambda: getattr(values, name)(axis=axis, **options))

    return reduce


for _name in _REDUCTIONS:
    setattr(ndarray, _name, _reduction(_name))


def _clip(self: ndarray, min: Any = None, max: Any = None) -> ndarray:
    values = host_value(self)
    return compute(lambda: values.clip(min, max))


ndarray.clip = _clip  # type: ignore[attr-defined]
