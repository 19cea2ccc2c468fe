"""Which library holds an array, where it lies, and how it gets there. Nothing above this floor names NumPy or CuPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np

from minidl.backend import gpu
from minidl.backend.device import CPU, Device
from minidl.backend.graph import recording
from minidl.errors import ArgumentError, DeviceError, GraphError

__all__ = [
    "as_result",
    "asarray",
    "check_copy_from_host",
    "check_same_device",
    "device_of",
    "ignore_float_errors",
    "is_array",
    "is_gpu_array",
    "made_on",
    "namespace",
    "on_device_of",
    "on_its_device",
    "python_number",
    "shared",
    "to_device",
    "to_numpy",
]


def namespace(array: Any) -> Any:
    """The library of an array: ``numpy`` or ``cupy``."""
    return np if isinstance(array, (np.ndarray, np.generic)) else gpu.cupy()


def is_array(value: Any) -> bool:
    """Whether ``value`` is a NumPy or CuPy array (NumPy's scalars count as arrays without axes)."""
    return isinstance(value, (np.ndarray, np.generic)) or is_gpu_array(value)


def is_gpu_array(value: Any) -> bool:
    """Whether ``value`` is a CuPy array."""
    return type(value).__module__.partition(".")[0] == "cupy"


def python_number(value: Any) -> Any:
    """One of NumPy's numbers as Python's; any other value as it is."""
    return value.item() if isinstance(value, np.generic) else value


def asarray(value: Any, dtype: Any = None, device: Device = CPU) -> Any:
    """``value`` as an array on ``device``; nothing is copied that need not be."""
    if device.type == "gpu" and not is_gpu_array(value):
        check_copy_from_host()
    return made_on(device, lambda library: library.asarray(value, dtype))


def check_copy_from_host() -> None:
    """GraphError while this thread records a CUDA graph, into which no memory of the host's may go."""
    if recording() is not None:
        raise GraphError(
            "capture",
            expected="no copy from the host inside a captured step",
            got="one",
            hint="Make the tensor before the step, on its device; index with a tensor in place of a list.",
        )


def made_on(device: Device, make: Callable[[Any], Any]) -> Any:
    """``make(library)`` with the library of a device, computed on that device."""
    if device.type == "cpu":
        return make(np)
    gpu.require(device.index)
    with gpu.cupy().cuda.Device(device.index), gpu.explain_out_of_memory("to"):
        return make(gpu.cupy())


def shared(who: str, value: Any) -> Any:
    """An array over the memory of another library's array, through DLPack or CUDA's array interface; None for what has
    neither. DeviceError for a device that is neither CPU nor GPU, ArgumentError for what its library does not give."""
    try:
        if not hasattr(value, "__dlpack__"):
            return gpu.cupy().asarray(value) if hasattr(value, "__cuda_array_interface__") else None
        kind, index = value.__dlpack_device__()
        if kind in (1, 3):  # DLPack's numbers: the host's memory, the same pinned for a GPU
            return np.from_dlpack(value)
        if kind in (2, 13):  # a GPU's memory, the same managed
            gpu.require(index)
            with gpu.cupy().cuda.Device(index):
                return gpu.cupy().from_dlpack(value)
    except (BufferError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, DeviceError):
            raise
        got = f"{type(value).__module__}.{type(value).__name__}: {error}"
        raise ArgumentError(who, expected="an array whose memory can be shared", got=got) from error
    raise DeviceError(who, expected="an array on the CPU or an NVIDIA GPU", got=f"one on DLPack's device {kind}")


def as_result(value: Any, like: Any) -> Any:
    """What an operation gave as array: NumPy's scalars become arrays without axes, numbers arrays beside ``like``."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    return value if is_array(value) else namespace(like).asarray(value)


def on_device_of(array: Any) -> AbstractContextManager[Any]:
    """A context in which the GPU of ``array`` is the one that computes; nothing on the CPU or where there is one GPU.

    CuPy computes on the current device wherever its operands lie. Source: torch's device guard.
    """
    if not gpu.several or isinstance(array, (np.ndarray, np.generic)) or not is_array(array):
        return _NOTHING
    return gpu.cupy().cuda.Device(array.device.id)


_NOTHING = nullcontext()

F = TypeVar("F", bound=Callable[..., Any])


def on_its_device(function: F) -> F:
    """Decorator for what handles arrays itself: the GPU of the first tensor among the arguments computes."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        if gpu.several:
            for value in (*args, *named.values()):
                if is_gpu_array(array := getattr(value, "data", None)):
                    with on_device_of(array):
                        return function(*args, **named)
        return function(*args, **named)

    return call  # type: ignore[return-value]


def device_of(array: Any) -> Device:
    """The device on which an array lies."""
    if isinstance(array, (np.ndarray, np.generic)):
        return CPU
    return Device("gpu", array.device.id)


def to_device(array: Any, device: Device) -> Any:
    """The array on ``device``: itself if it lies there, else a copy in the same memory order."""
    here = device_of(array)
    if here == device:
        return array
    if device.type == "cpu":
        return to_numpy(array)
    gpu.require(device.index)
    if here.type == "cpu":
        check_copy_from_host()
    with gpu.cupy().cuda.Device(device.index), gpu.explain_out_of_memory("to"):
        if here.type == "gpu":
            return array.copy(order="K")  # from the other GPU to the current one
        if array.flags.c_contiguous:
            return gpu.cupy().asarray(array)
        axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        inverse = sorted(range(array.ndim), key=axes.__getitem__)
        # As it lies, so that nothing is rearranged on the host: (N, C, H, W) over (N, H, W, C) memory stays that.
        return gpu.cupy().asarray(np.ascontiguousarray(array.transpose(axes))).transpose(inverse)


def to_numpy(array: Any) -> np.ndarray:
    """The array as a NumPy array: itself on the CPU, a copy from the GPU."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np.asarray(array)
    return gpu.cupy().asnumpy(array)


def ignore_float_errors() -> Any:
    """A context in which 1/0, log(0) and overflow give inf or NaN without NumPy's warning, as in torch and CuPy."""
    return np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore")


def check_same_device(who: str, *arrays: Any) -> None:
    """DeviceError naming the operation unless all arrays lie on one device."""
    devices = [device_of(array) for array in arrays if is_array(array)]
    if any(device is not devices[0] and device != devices[0] for device in devices):
        raise DeviceError(
            who,
            expected="all tensors on one device",
            got=" and ".join(map(str, devices)),
            hint='Move one of them with .to("cpu") or .to("gpu").',
        )
