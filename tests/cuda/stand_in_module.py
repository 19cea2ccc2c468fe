"""The stand-in for the module ``cupy``, its kernels and its cuBLAS: all that works on the stand-in's arrays."""

from __future__ import annotations

import contextlib
import ctypes
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from stand_in import Device, Event, Graph, StandIn, Stream
from stand_in_array import compute, host_value, into, ndarray
from stand_in_memory import CUDARuntimeError, MemoryPool, OutOfMemoryError, capture_forbids, owned, poison

__all__ = ["StandInEngine", "TapedBlas", "cupy_module"]


class TapedBlas:
    """cuBLAS whose products are taped like all work."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def cublasGemmEx(self, *arguments: Any) -> int:
        (columns, rows), (out, wide, leading) = arguments[3:5], (arguments[14], arguments[15], arguments[16])
        size = ((rows - 1) * leading + columns) * (8 if wide else 4)
        memory = np.frombuffer((ctypes.c_char * size).from_address(out), np.uint8)
        status: list[int] = []
        StandIn.now.work(lambda: status.append(self._library.cublasGemmEx(*arguments)), memory)
        return status[-1]


class StandInEngine:
    """An engine for the launcher: another one's kernels on the stand-in's arrays, taped like all work."""

    def __init__(self, kernels: Any) -> None:
        self.kernels = kernels

    def is_array(self, value: Any) -> bool:
        return isinstance(value, ndarray)

    def load(self, name: str, source: str, real: str, signatures: Any) -> Callable[[str], Any]:
        functions = self.kernels.load(name, source, real, signatures)

        def function(kernel: str) -> Any:
            launch = functions(kernel)

            def run(grid: tuple[int, ...], threads: int, values: list[Any]) -> None:
                arrays = [x for value in values for x in (value if isinstance(value, list) else [value])]
                memory = [host_value(x) for x in arrays if isinstance(x, ndarray)]
                kept = [list(value) if isinstance(value, list) else value for value in values]
                StandIn.now.launches += 1
                StandIn.now.work(lambda: launch(grid, threads, kept), *memory)

            return run

        return function


# --- The module -----------------------------------------------------------------------------------------------------

# Functions of CuPy that minidl may call; all of them are in CuPy 13 and 14.
_FUNCTIONS = """
    abs add all allclose any arange arccos arcsin arctan arctan2 argmax argmin argsort bincount ceil clip concatenate
    cos cosh cumsum divide divmod equal exp expm1 flip floor floor_divide fmod greater isclose isfinite isnan less log
    log10 log1p log2 logical_and logical_not logical_or matmul maximum mean minimum multiply negative outer pad power
    prod remainder repeat rint sign sin sinh sqrt square stack subtract sum take take_along_axis tan tanh trunc where
"""
_VIEWS = "broadcast_to expand_dims moveaxis reshape squeeze swapaxes transpose"
_TYPES = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ dtype inf nan pi newaxis"


# What those of them that are no ufuncs take by name.
_NAMED = {
    "all": "axis keepdims",
    "any": "axis keepdims",
    "allclose": "rtol atol equal_nan",
    "arange": "dtype",
    "argmax": "axis dtype keepdims",
    "argmin": "axis dtype keepdims",
    "argsort": "axis kind",
    "bincount": "weights minlength",
    "clip": "a_min a_max",
    "concatenate": "axis dtype casting",
    "cumsum": "axis dtype",
    "flip": "axis",
    "isclose": "rtol atol equal_nan",
    "matmul": "axes axis keepdims casting dtype",
    "mean": "axis dtype keepdims",
    "outer": "",
    "pad": "mode constant_values",
    "prod": "axis dtype keepdims",
    "repeat": "axis",
    "stack": "axis dtype casting",
    "sum": "axis dtype keepdims",
    "take": "axis",
    "take_along_axis": "axis",
    "where": "",
}


def _deep(value: Any) -> Any:
    """Arguments with the NumPy arrays of device arrays in their place; NumPy arrays themselves are refused."""
    if isinstance(value, (tuple, list)):
        return type(value)(_deep(v) for v in value)
    return host_value(value) if isinstance(value, (ndarray, np.ndarray)) else value


def _function(name: str) -> Callable[..., Any]:
    known = set(_NAMED.get(name, "dtype casting").split())

    def call(*arguments: Any, out: Any = None, **options: Any) -> Any:
        if unknown := set(options) - known:
            raise TypeError(f"{name}() got an unexpected keyword argument '{min(unknown)}'")
        values, named = _deep(arguments), {key: _deep(value) for key, value in options.items()}
        if out is not None:
            return into(out, lambda: getattr(np, name)(*values, **named))
        return compute(lambda: getattr(np, name)(*values, **named))

    return call


def _new(name: str) -> Callable[..., Any]:
    def make(shape: Any, *values: Any, **options: Any) -> ndarray:
        options.pop("order", None)
        made = getattr(np, name)(_deep(shape), *values, **options)
        if not name.startswith("empty"):
            return compute(lambda: made)
        memory = owned(made)  # whatever was there, and no work on the device
        poison(memory)
        StandIn.now.allocated(memory)
        return ndarray(memory)

    return make


def cupy_module(state: StandIn) -> Any:
    module = types.ModuleType("cupy")
    module.__version__ = "14.2.0"  # type: ignore[attr-defined]

    def asarray(value: Any, dtype: Any = None, order: str | None = None, **_: Any) -> ndarray:
        if isinstance(value, ndarray):
            return value if dtype is None or value.dtype == dtype else value.astype(dtype)
        if hasattr(value, "__cuda_array_interface__"):
            host = types.SimpleNamespace(owner=value, __array_interface__=value.__cuda_array_interface__)
            return ndarray(np.asarray(host), value)
        host = np.array(value, dtype)
        if state.stream.is_capturing():
            raise capture_forbids("a copy from pageable memory of the host")
        state.to_device.append(host.nbytes)
        return compute(lambda: host)

    def from_dlpack(value: Any) -> ndarray:
        kind, index = value.__dlpack_device__()
        assert kind == 2, "only memory of a device"
        host = types.SimpleNamespace(__dlpack__=value.__dlpack__, __dlpack_device__=lambda: (1, 0))
        return ndarray(np.from_dlpack(host), value, Device(index))

    def asnumpy(value: Any) -> np.ndarray:
        return value.get() if isinstance(value, ndarray) else np.asarray(value)

    def ascontiguousarray(value: Any, dtype: Any = None) -> ndarray:
        value = asarray(value, dtype)
        return value if value.flags.c_contiguous else value.copy()

    def put_along_axis(array: ndarray, indices: ndarray, values: Any, axis: int) -> None:
        place, new = host_value(indices), host_value(values)
        state.work(lambda: np.put_along_axis(array._array, place, new, axis), array._array)

    def svd(array: ndarray, full_matrices: bool = True) -> tuple[ndarray, ...]:
        mine = host_value(array)
        return tuple(compute(lambda i=i: np.linalg.svd(mine, full_matrices)[i]) for i in range(3))

    def nonzero(array: ndarray) -> tuple[ndarray, ...]:
        mine = host_value(array)
        return tuple(compute(lambda i=i: np.nonzero(mine)[i]) for i in range(mine.ndim))

    for name in _FUNCTIONS.split():
        setattr(module, name, _function(name))
    for name in _VIEWS.split():
        setattr(module, name, _view_function(name))
    for name in ("empty", "zeros", "ones", "full", "empty_like", "zeros_like", "ones_like", "full_like"):
        setattr(module, name, _new(name))
    for name in _TYPES.split():
        setattr(module, name, getattr(np, name))
    add = types.SimpleNamespace(at=lambda target, index, values: np.add.at(target, index, values))
    vars(module).update(
        ndarray=ndarray,
        asarray=asarray,
        array=lambda value, dtype=None: asarray(value, dtype).copy(),
        asnumpy=asnumpy,
        from_dlpack=from_dlpack,
        ascontiguousarray=ascontiguousarray,
        nonzero=nonzero,
        put_along_axis=put_along_axis,
        get_default_memory_pool=lambda: state.default_pool,
        add=add,
        linalg=types.SimpleNamespace(svd=svd),
        cuda=_cuda(state),
    )
    return module


def _view_function(name: str) -> Callable[..., Any]:
    def view(array: ndarray, *arguments: Any, **options: Any) -> ndarray:
        return array._view(getattr(np, name)(array._array, *arguments, **options))

    return view


def _cuda(state: StandIn) -> Any:
    @contextlib.contextmanager
    def using_allocator(allocator: Any = None) -> Iterator[None]:
        before, state.pool = state.pool, getattr(allocator, "__self__", state.default_pool)
        try:
            yield
        finally:
            state.pool = before

    def memcpy_async(to: int, source: int, size: int, kind: int, stream: int) -> None:
        if state.stream.is_capturing():
            raise capture_forbids("a copy from pageable memory of the host")
        assert kind == 1, "only copies to the device"
        state.to_device.append(size)
        ctypes.memmove(to, source, size)

    runtime = types.SimpleNamespace(
        memcpyAsync=memcpy_async,
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: state.devices,
        getDevice=lambda: state.device,
        setDevice=lambda index: setattr(state, "device", index),
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13000,
        deviceSynchronize=lambda: state.synchronized("deviceSynchronize"),
        memGetInfo=lambda: (3 * 2**30, 4 * 2**30),
        getDeviceProperties=lambda index: {"name": b"stand-in", "major": 9, "minor": 0, "multiProcessorCount": 4},
        streamCaptureModeGlobal=0, streamCaptureModeThreadLocal=1, streamCaptureModeRelaxed=2,
    )  # fmt: skip
    return types.SimpleNamespace(
        runtime=runtime,
        Device=Device,
        Stream=Stream,
        MemoryPool=MemoryPool,
        Event=Event,
        get_elapsed_time=lambda start, stop: 1000 * (stop.time - start.time),
        Graph=Graph,
        using_allocator=using_allocator,
        get_current_stream=lambda: state.stream,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        is_available=lambda: state.devices > 0,
    )
