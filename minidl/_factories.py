"""Making tensors: from values and arrays, of zeros and ones, ranges, and random numbers drawn on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl._tensor import Tensor, check_fractional, host_generator
from minidl.backend.arrays import asarray as array_on
from minidl.backend.arrays import is_array, made_on, namespace, shared, to_device
from minidl.backend.device import CPU, Device
from minidl.backend.dtypes import as_dtype, bool_, float32, float64, int64, is_real
from minidl.errors import ArgumentError, DTypeError, ShapeError, warn_of_slip
from minidl.ops.keywords import sizes_named

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "eye",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]


def _device(device: Any) -> Device:
    return CPU if device is None else Device(device)


def _array(data: Any, dtype: Any) -> Any:
    """Values as an array with torch's default dtypes: Python floats are float32, integers int64."""
    if isinstance(data, Tensor):
        data = data.data
    data = _from_elsewhere("tensor", data)
    if not is_array(data):
        wide = isinstance(data, (list, tuple)) and _holds_tensor(data, float64)
        if isinstance(data, (list, tuple)) and _holds_tensor(data):
            data = _nested(data)
        try:
            data = np.asarray(data)
        except ValueError as error:
            raise ShapeError("tensor", expected="nested lists of equal lengths", got=str(error)) from None
        if dtype is None and data.dtype == float64 and not wide:
            dtype = float32
        elif dtype is not None and data.dtype.kind in "iu" and data.size:
            _check_range(data, as_dtype(dtype))
    elif isinstance(data, np.generic):  # NumPy's scalars count as arrays, but nothing can be written into them
        data = np.asarray(data)
    _check_dtype("tensor", data)
    return data if dtype is None else data.astype(as_dtype(dtype), copy=False)


def _from_elsewhere(who: str, data: Any) -> Any:
    """Another library's array as ours, its memory shared; anything else as it is."""
    array = None if is_array(data) else shared(who, data)
    return data if array is None else array


def _check_dtype(who: str, array: Any) -> None:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise DTypeError(who, expected="numbers", got=str(array.dtype))
    if not array.dtype.isnative:
        hint = "Use array.astype(array.dtype.newbyteorder())."
        raise DTypeError(who, expected="this machine's byte order", got=str(array.dtype), hint=hint)


def _around(who: str, array: Any) -> Tensor:
    """A tensor that shares the array's memory, with torch's warning where it cannot be written."""
    _check_dtype(who, array)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        warn_of_slip(f"{who}: the array is read-only; in-place writes into the tensor will fail. Copy it to write.")
    return Tensor(array)


def _check_range(values: np.ndarray, dtype: Any) -> None:
    """ArgumentError for integers that the dtype cannot hold; below 0 unsigned ones wrap around, as in torch."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if values.max() > limits.max or values.min() < min(limits.min, -limits.max):
            got = f"{values.min()} to {values.max()}"
            raise ArgumentError("tensor", expected=f"numbers that fit {dtype}", got=got)


def _holds_tensor(values: Any, dtype: Any = None) -> bool:
    """Whether a tensor, of this dtype if one is given, lies somewhere in nested lists."""
    return any(
        (isinstance(v, Tensor) and dtype in (None, v.dtype))
        or (isinstance(v, (list, tuple)) and _holds_tensor(v, dtype))
        for v in values
    )


def _nested(values: Any) -> Any:
    return [_nested(v) if isinstance(v, (list, tuple)) else v.tolist() if isinstance(v, Tensor) else v for v in values]


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new leaf with a copy of ``data`` (numbers, nested lists, an array or a tensor).

    dtype: default float32 for Python floats, int64 for integers, bool for booleans, and an array's own. device: default
    the data's. Raises DTypeError for what is not numeric, ShapeError for ragged lists. Source: torch.tensor.
    """
    array = _array(data, dtype)
    array = array.copy(order="C")
    return Tensor(array if device is None else to_device(array, Device(device)), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing memory where nothing has to change; a tensor comes back as itself.

    data: as for ``tensor``, or another library's array (NumPy, PyTorch, CuPy, whatever speaks DLPack or CUDA's array
    interface), which keeps its dtype and is shared. Source: torch.as_tensor.
    """
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    array = _array(data, dtype)
    return _around("as_tensor", array if device is None else to_device(array, Device(device)))


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """``obj`` as a tensor, as ``as_tensor`` gives it.

    copy: True for memory of its own in any case, False to raise an ArgumentError where sharing is impossible. The array
    API's name for it. Source: torch.asarray.
    """
    source = obj if isinstance(obj, Tensor) else _from_elsewhere("asarray", obj)
    result = as_tensor(source, dtype, device)
    if result is not source and result.data is not source:
        if copy is False:
            raise ArgumentError("asarray", expected="an object to share", got=type(obj).__name__, hint="Allow a copy.")
        return result
    return result.clone() if copy else result


def from_numpy(array: np.ndarray) -> Tensor:
    """A CPU tensor that shares the array's memory; warns of a read-only one. Source: torch.from_numpy."""
    if not isinstance(array, np.ndarray):
        raise DTypeError("from_numpy", expected="a NumPy array", got=type(array).__name__, hint="Use minidl.tensor.")
    return _around("from_numpy", array)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares the memory of another library's array: NumPy's, PyTorch's, CuPy's, JAX's.

    ext_tensor: any object with ``__dlpack__`` and ``__dlpack_device__``, on the CPU or a GPU. Raises DTypeError for
    what has none and for complex numbers, DeviceError for another device, ArgumentError for what its library does not
    give away, such as a PyTorch tensor that requires a gradient. Source: torch.from_dlpack.
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise DTypeError("from_dlpack", expected="an object with __dlpack__", got=type(ext_tensor).__name__)
    return _around("from_dlpack", shared("from_dlpack", ext_tensor))


def _size(who: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    sizes = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in sizes):
        raise DTypeError(who, expected="integers as shape", got=str(sizes))
    if any(n < 0 for n in sizes):
        raise ShapeError(who, expected="lengths of at least 0", got=str(sizes))
    return tuple([n.__index__() for n in sizes])


def _number(who: str, name: str, value: Any) -> Any:
    """A number; taken out of a tensor or an array that has no axes. DTypeError for anything else."""
    if (isinstance(value, Tensor) or is_array(value)) and not value.ndim:
        value = value.item()
    if not isinstance(value, bool) and not is_real(value):
        got = f"{type(value).__name__} of shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
        raise DTypeError(who, expected=f"{name} as a number", got=got)
    return value


def _filled(who: str, size: tuple[Any, ...], value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    shape, dtype = _size(who, size), as_dtype(dtype or float32)
    return Tensor(made_on(_device(device), lambda library: library.full(shape, value, dtype)), requires_grad)


@sizes_named("size", after=0)
def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, float32 unless dtype says otherwise. Source: torch.zeros."""
    return _filled("zeros", size, 0, dtype, device, requires_grad)


@sizes_named("size", after=0)
def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, float32 unless dtype says otherwise. Source: torch.ones."""
    return _filled("ones", size, 1, dtype, device, requires_grad)


@sizes_named("size", after=0)
def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be written before it is read; its elements are zeros here, arbitrary in torch.empty."""
    return _filled("empty", size, 0, dtype, device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value, a number; the dtype follows it: float32, int64 or bool. Source: torch.full."""
    fill_value = _number("full", "fill_value", fill_value)
    inferred = bool_ if isinstance(fill_value, bool) else int64 if isinstance(fill_value, int) else float32
    return _filled("full", (size,), fill_value, dtype or inferred, device, requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of another tensor's shape, dtype and device. Source: torch.zeros_like."""
    return full_like(input, 0, dtype=dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of another tensor's shape, dtype and device. Source: torch.ones_like."""
    return full_like(input, 1, dtype=dtype, requires_grad=requires_grad)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value, a number, in another tensor's shape, dtype and device. Source: torch.full_like."""
    fill_value = _number("full_like", "fill_value", fill_value)
    dtype = as_dtype(dtype) if dtype is not None else input.dtype
    return Tensor(namespace(input.data).full(input.shape, fill_value, dtype), requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """start, start + step, ... below end; int64 for integers, else float32. Source: torch.arange."""
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if not step or (end - start) * step < 0:
        raise ArgumentError("arange", expected="a step that leads from start to end", got=f"{start}, {end}, {step}")
    if dtype is None:
        dtype = int64 if all(isinstance(v, int) for v in (start, end, step)) else float32
    dtype = as_dtype(dtype)
    return Tensor(made_on(_device(device), lambda library: library.arange(start, end, step).astype(dtype)))


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``steps`` numbers evenly spaced from start to end, both included. Source: torch.linspace."""
    if steps < 0:
        raise ArgumentError("linspace", expected="steps of at least 0", got=str(steps))
    start, end = _number("linspace", "start", start), _number("linspace", "end", end)
    return Tensor(array_on(np.linspace(start, end, steps).astype(as_dtype(dtype or float32)), device=_device(device)))


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The identity matrix (n, n), or (n, m) with ones on its diagonal. Source: torch.eye."""
    _size("eye", (n, n if m is None else m))
    return Tensor(array_on(np.eye(n, m, dtype=as_dtype(dtype or float32)), device=_device(device)))


def _random(values: np.ndarray, dtype: Any, device: Any, requires_grad: bool = False) -> Tensor:
    return Tensor(array_on(values.astype(as_dtype(dtype), copy=False), device=_device(device)), requires_grad)


@sizes_named("size", after=0)
def rand(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform in [0, 1). generator: where numbers come from (default: this thread's). Source: torch.rand."""
    dtype = as_dtype(dtype or float32)
    check_fractional("rand", dtype)
    values = host_generator(generator).random(_size("rand", size), float64 if dtype == float64 else np.float32)
    return _random(values, dtype, device, requires_grad)


@sizes_named("size", after=0)
def randn(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal with mean 0 and standard deviation 1. Source: torch.randn."""
    dtype = as_dtype(dtype or float32)
    check_fractional("randn", dtype)
    return _random(host_generator(generator).standard_normal(_size("randn", size)), dtype, device, requires_grad)


def rand_like(input: Tensor, *, generator: Any = None) -> Tensor:
    """Uniform in [0, 1), in another tensor's shape, dtype and device."""
    return rand(input.shape, generator=generator, dtype=input.dtype, device=input.device)


def randn_like(input: Tensor, *, generator: Any = None) -> Tensor:
    """Standard normal, in another tensor's shape, dtype and device."""
    return randn(input.shape, generator=generator, dtype=input.dtype, device=input.device)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None
) -> Tensor:
    """Integers uniform in [low, high), or in [0, low) where only one limit is given. Source: torch.randint."""
    if size is None:
        low, high, size = 0, low, high
    if not isinstance(size, (tuple, list)) or low >= high:
        raise ArgumentError("randint", expected="low below high, and a shape as a tuple", got=f"{low}, {high}, {size}")
    values = host_generator(generator).integers(low, high, _size("randint", (size,)))
    return _random(values, dtype or int64, device)


def randperm(n: int, *, generator: Any = None, device: Any = None) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64. Source: torch.randperm."""
    (n,) = _size("randperm", (n,))
    return _random(host_generator(generator).permutation(n), int64, device)
