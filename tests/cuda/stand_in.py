"""A stand-in for CuPy on machines without a GPU: strict where CuPy is, counting what crosses between host and device.

``install`` puts a module named cupy in CuPy's place whose arrays are NumPy arrays inside, so that minidl's real path
to the GPU runs: operations, launcher, kernels, products, optimizers, transfers, capture. What CuPy refuses is refused:
an array has no ``__array__``, NumPy arrays do not mix with it, results of reductions stay on the device, a value is not
read while a stream is captured. Every copy between the sides is counted.

Work given to a stream is done at once, but while the stream is captured it is also written on a tape. When the capture
ends, everything that was done is undone and all memory that was allocated meanwhile is poisoned, as on a real GPU
nothing would have happened yet; ``Graph.launch`` poisons that memory again and runs through the tape. What a replay
takes from an earlier run, other than through memory that existed before the capture, is then NaN.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from stand_in_memory import (
    CUDARuntimeError,
    Memory,
    MemoryPool,
    OutOfMemoryError,
    capture_forbids,
    owned,
    poison,
    root_of,
)

__all__ = ["CUDARuntimeError", "OutOfMemoryError", "StandIn", "ndarray"]


class Device:
    """One of the devices; as a context the current one."""

    def __init__(self, id: int | None = None) -> None:
        self.id = StandIn.now.device if id is None else int(id)

    def __enter__(self) -> Device:
        self._before, StandIn.now.device = StandIn.now.device, self.id
        return self

    def __exit__(self, *error: object) -> None:
        StandIn.now.device = self._before

    def use(self) -> None:
        StandIn.now.device = self.id

    def synchronize(self) -> None:
        StandIn.now.synchronized("Device.synchronize")


class Event:
    """A moment of a stream; here of the clock."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        StandIn.now.synchronized("Event.synchronize")


class Graph:
    """A recorded tape, as ``Stream.end_capture`` gives it."""

    def __init__(self, tape: list[Callable[[], None]], allocated: list[np.ndarray]) -> None:
        self.tape, self.allocated = tape, allocated

    def launch(self, stream: Stream | None = None) -> None:
        for memory in self.allocated:
            poison(memory)
        for work in self.tape:
            work()
        StandIn.now.replays += 1

    def upload(self, stream: Stream | None = None) -> None: ...


class Stream:
    """A stream: an address, and a tape while it is captured."""

    count = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        Stream.count += 1
        self.ptr = 0 if null else 4096 * Stream.count
        self.tape: list[Callable[[], None]] | None = None

    def __enter__(self) -> Stream:
        self._before, StandIn.now.stream = StandIn.now.stream, self
        return self

    def __exit__(self, *error: object) -> None:
        StandIn.now.stream = self._before

    def use(self) -> Stream:
        StandIn.now.stream = self
        return self

    def synchronize(self) -> None:
        StandIn.now.synchronized("Stream.synchronize")

    def wait_event(self, event: Any) -> None: ...

    def record(self, event: Any = None) -> Event:
        found = event or Event()
        found.record(self)
        return found

    def is_capturing(self) -> bool:
        return self.tape is not None

    def begin_capture(self, mode: int | None = None) -> None:
        self.tape = []
        self.undo: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # memory from before the capture, as it was
        self.allocated: dict[int, np.ndarray] = {}  # memory of the capture itself

    def end_capture(self) -> Graph:
        assert self.tape is not None
        graph = Graph(self.tape, list(self.allocated.values()))
        self.tape = None
        for memory, before in self.undo.values():
            memory[...] = before
        for memory in graph.allocated:
            poison(memory)
        return graph


class StandIn:
    """One stand-in device library: the module, its state and its counters. ``now`` is the one that is installed."""

    now: StandIn

    def __init__(self, devices: int = 1) -> None:
        self.devices, self.device = devices, 0
        self.stream = self.null = Stream(null=True)
        self.pool = self.default_pool = MemoryPool()
        self.to_device: list[int] = []  # bytes of every copy from the host
        self.to_host: list[int] = []
        self.synchronizations = self.replays = self.launches = 0
        self.module = _module(self)

    # What arrays and streams tell it.

    def synchronized(self, what: str) -> None:
        """The host waits for the device."""
        if self.stream.is_capturing():
            raise capture_forbids(what)
        self.synchronizations += 1

    def allocated(self, array: np.ndarray) -> None:
        """An array has got memory of its own."""
        self.pool.malloc(array.nbytes)
        weakref.finalize(root_of(array), self.pool.free, array.nbytes).atexit = False
        if self.stream.tape is not None:
            self.stream.allocated[id(root_of(array))] = array

    def work(self, action: Callable[[], None], *written: np.ndarray) -> None:
        """Do what changes ``written`` and nothing else; on a capturing stream note it, to be done again."""
        stream = self.stream
        if stream.tape is not None:
            for memory in written:
                root = root_of(memory)
                own = any(np.may_share_memory(memory, room) for room in stream.allocated.values())
                if not own and id(root) not in stream.undo:
                    stream.undo[id(root)] = root, root.copy()
            stream.tape.append(action)
        action()

    @contextlib.contextmanager
    def counting(self) -> Iterator[types.SimpleNamespace]:
        """Counts copies, waits and replays inside the context."""
        found = types.SimpleNamespace()
        before = len(self.to_device), len(self.to_host), self.synchronizations, self.replays
        yield found
        found.to_device = self.to_device[before[0] :]
        found.to_host = self.to_host[before[1] :]
        found.synchronizations = self.synchronizations - before[2]
        found.replays = self.replays - before[3]


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
            return _compute(lambda: self._array.reshape(*shape))

    def ravel(self) -> ndarray:
        return self.reshape(-1)

    def __getitem__(self, index: Any) -> ndarray:
        place = _index(index)
        arrays = [part for part in _parts(place) if isinstance(part, np.ndarray)]
        if not arrays:  # with an Ellipsis at the end NumPy gives an array, never a scalar
            return self._view(self._array[place if ... in _parts(place) else (*_parts(place), ...)])
        if any(part.dtype == bool for part in arrays):
            StandIn.now.synchronized("boolean indexing")
        mine = _host(self)
        return _compute(lambda: mine[place])

    def __setitem__(self, index: Any, value: Any) -> None:
        place, values, mine = _index(index), _host(value), _host(self)

        def write() -> None:
            mine[place] = values

        StandIn.now.work(write, mine)

    # Copies and casts.
    def copy(self, order: str = "C") -> ndarray:
        mine = _host(self)
        result = _compute(lambda: mine)
        if order == "K" and not self.flags.c_contiguous and self.ndim:
            order_of = sorted(range(self.ndim), key=lambda i: -self.strides[i])
            back = sorted(range(self.ndim), key=order_of.__getitem__)
            result = _compute(lambda: mine.transpose(order_of)).transpose(back)
        elif order not in ("C", "K"):
            raise ValueError(order)
        return result

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if not copy and self.dtype == dtype:
            return self
        mine = _host(self)
        return _compute(lambda: mine.astype(dtype))

    def fill(self, value: Any) -> None:
        self[...] = value

    # Calculations.
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method == "at" and ufunc in (np.add, np.subtract, np.maximum, np.minimum):
            target, index, values = inputs
            place, added = _index(index), _host(values)
            return StandIn.now.work(lambda: ufunc.at(target._array, place, added), target._array)
        if method != "__call__":
            return NotImplemented
        values = [_host(x) for x in inputs]
        if out is not None:
            (target,) = out
            return _into(target, lambda: ufunc(*values, **options))
        return _compute(lambda: ufunc(*values, **options))

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        ours = getattr(StandIn.now.module, function.__name__, None)
        return NotImplemented if ours is None else ours(*arguments, **options)


ndarray.__module__ = "cupy"


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _index(index: Any) -> Any:
    """An index as NumPy takes it. An array of the host as index would be copied to the device unasked."""
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    if isinstance(index, (np.ndarray, list)) and np.ndim(index):
        StandIn.now.to_device.append(np.asarray(index).nbytes)
        return np.asarray(index)
    return index._array if isinstance(index, ndarray) else index


def _host(value: Any) -> Any:
    """An operand's NumPy array, or the number; anything else CuPy would refuse too."""
    if isinstance(value, ndarray):
        if value.device.id != StandIn.now.device:
            raise ValueError(f"Array device must be same as the current device: {value.device.id}")
        return value._array
    if isinstance(value, np.ndarray) or not isinstance(value, (bool, int, float, np.generic)):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _compute(function: Callable[[], Any]) -> Any:
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


def _into(target: ndarray, function: Callable[[], Any]) -> ndarray:
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
        mine, values = _host(self), [_host(other) for other in others]
        if name.startswith("__i") and name != "__invert__":
            return _into(self, lambda: method(mine.copy(), *values))
        return _compute(lambda: method(mine, *values))

    return apply


for _symbol in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
                "lshift", "rshift"):  # fmt: skip
    for _name in (f"__{_symbol}__", f"__r{_symbol}__", f"__i{_symbol}__"):
        setattr(ndarray, _name, _operator(_name))
for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__", "__neg__", "__invert__", "__abs__"):
    setattr(ndarray, _name, _operator(_name))


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(self: ndarray, axis: Any = None, **options: Any) -> ndarray:
        values = _host(self)
        return _compute(lambda: getattr(values, name)(axis=axis, **options))

    return reduce


for _name in ("sum", "mean", "max", "min", "argmax", "argmin", "all", "any", "prod", "cumsum", "argsort"):
    setattr(ndarray, _name, _reduction(_name))


def _clip(self: ndarray, min: Any = None, max: Any = None) -> ndarray:
    values = _host(self)
    return _compute(lambda: values.clip(min, max))


ndarray.clip = _clip  # type: ignore[attr-defined]


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
                memory = [_host(x) for x in arrays if isinstance(x, ndarray)]
                kept = [list(value) if isinstance(value, list) else value for value in values]
                StandIn.now.launches += 1
                StandIn.now.work(lambda: launch(grid, threads, kept), *memory)

            return run

        return function


# --- The module -----------------------------------------------------------------------------------------------------

# Functions of CuPy that minidl may call; all of them are in CuPy 13 and 14.
_FUNCTIONS = """
    abs add allclose arange argmax argmin argsort bincount clip concatenate cos cumsum divide divmod equal exp expm1
    flip floor greater isfinite isnan less log log1p logical_and logical_not logical_or matmul maximum mean minimum
    multiply negative outer pad power prod repeat sign sin sqrt square stack subtract sum take take_along_axis tanh
    where
"""
_VIEWS = "broadcast_to expand_dims moveaxis reshape squeeze swapaxes transpose"
_TYPES = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ dtype inf nan pi newaxis"


def _deep(value: Any) -> Any:
    """Arguments with the NumPy arrays of device arrays in their place; NumPy arrays themselves are refused."""
    if isinstance(value, (tuple, list)):
        return type(value)(_deep(v) for v in value)
    return _host(value) if isinstance(value, (ndarray, np.ndarray)) else value


def _function(name: str) -> Callable[..., Any]:
    def call(*arguments: Any, out: Any = None, **options: Any) -> Any:
        values, named = _deep(arguments), {key: _deep(value) for key, value in options.items()}
        if out is not None:
            return _into(out, lambda: getattr(np, name)(*values, **named))
        return _compute(lambda: getattr(np, name)(*values, **named))

    return call


def _new(name: str) -> Callable[..., Any]:
    def make(shape: Any, *values: Any, **options: Any) -> ndarray:
        options.pop("order", None)
        made = getattr(np, name)(_deep(shape), *values, **options)
        if not name.startswith("empty"):
            return _compute(lambda: made)
        memory = owned(made)  # whatever was there, and no work on the device
        poison(memory)
        StandIn.now.allocated(memory)
        return ndarray(memory)

    return make


def _module(state: StandIn) -> Any:
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
        return _compute(lambda: host)

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
        place, new = _host(indices), _host(values)
        state.work(lambda: np.put_along_axis(array._array, place, new, axis), array._array)

    def svd(array: ndarray, full_matrices: bool = True) -> tuple[ndarray, ...]:
        mine = _host(array)
        return tuple(_compute(lambda i=i: np.linalg.svd(mine, full_matrices)[i]) for i in range(3))

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
