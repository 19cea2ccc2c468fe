"""The GPU through CuPy, imported at first use: is one there, how many, and if not, why; its memory.

This module is public as ``minidl.gpu``, and under torch's name as ``minidl.cuda``.
"""

from __future__ import annotations

import ctypes
import importlib
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from typing import Any, NamedTuple

from minidl.errors import DeviceError

__all__ = [
    "Memory",
    "cupy",
    "device_count",
    "empty_cache",
    "explain_out_of_memory",
    "is_available",
    "memory",
    "require",
    "synchronize",
]

_CPU = 'or use "cpu"'
_WHEELS = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")  # of these, only one may be installed

# Whether this machine has more than one GPU: only then must care be taken which of them is the current one.
several = False

# CUDA's numbers for what getDeviceCount can complain of.
_DRIVER_TOO_OLD, _NO_DEVICE = 35, 100


class _Found(NamedTuple):
    """What there is: the cupy module or None, the number of GPUs, what is missing, and what to do about it."""

    module: Any
    devices: int
    problem: str = ""
    hint: str = ""


def _installed_wheels() -> list[str]:
    """The CuPy packages of this environment, by name."""
    found = []
    for name in _WHEELS:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(name)
    return found


def _driver_version() -> tuple[int, int]:
    """The CUDA version that the NVIDIA driver supports, (13, 0) for example; (0, 0) where there is no driver."""
    try:
        version = ctypes.c_int(0)
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) != 0:
            return 0, 0
    except (OSError, AttributeError):
        return 0, 0
    return version.value // 1000, version.value % 1000 // 10


def _install() -> str:
    """Which of the two extras this machine's driver asks for."""
    major, _ = _driver_version()
    if not major:
        return f'Install an NVIDIA driver and CuPy (pip install "minidl[cuda13]") on a machine with a GPU, {_CPU}.'
    return f'Install it with pip install "minidl[cuda{13 if major >= 13 else 12}]", {_CPU}.'


def _explain(error: Any, module: Any) -> tuple[str, str]:
    """What is missing where CUDA will not count its devices, and what to do."""
    status = getattr(error, "status", None)
    needed = module.cuda.runtime.runtimeGetVersion() // 1000
    major, minor = _driver_version()
    if status == _DRIVER_TOO_OLD and not major:
        return "there is no NVIDIA driver on this machine", f"Install one, {_CPU}."
    if status == _DRIVER_TOO_OLD:
        older = ' or install CuPy for CUDA 12 (pip install "minidl[cuda12]")' if needed > 12 <= major else ""
        return (
            f"the NVIDIA driver is too old: it supports CUDA {major}.{minor}, and this CuPy needs CUDA {needed}",
            f"Update the driver{older}, {_CPU}.",
        )
    if status == _NO_DEVICE:
        return "CUDA sees no device", f"Is CUDA_VISIBLE_DEVICES set? Look with nvidia-smi, {_CPU}."
    return f"CUDA reports: {' '.join(str(error).split())}", f"Look with nvidia-smi, {_CPU}."


@lru_cache(maxsize=1)
def _find() -> _Found:
    wheels = _installed_wheels()
    if len(wheels) > 1:  # they overwrite one another's files
        both = " and ".join(wheels)
        return _Found(
            None, 0, f"{both} are both installed", f"Run pip uninstall {' '.join(wheels)}, then install one of them."
        )
    try:
        module = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        missing = "CuPy is not installed" if error.name == "cupy" else f"CuPy could not be imported ({error})"
        return _Found(None, 0, missing, _install())
    except ImportError as error:
        reason = next((line for line in map(str.strip, str(error).splitlines()) if line.strip("=")), "no reason given")
        return _Found(None, 0, f"CuPy could not be imported ({reason})", f"Install it anew. {_install()}")
    try:
        count = int(module.cuda.runtime.getDeviceCount())
    except module.cuda.runtime.CUDARuntimeError as error:
        return _Found(module, 0, *_explain(error, module))
    if not count:
        return _Found(module, 0, "CUDA sees no device", f"Look with nvidia-smi, {_CPU}.")
    global several
    several = count > 1
    return _Found(module, count)


def cupy() -> Any:
    """The cupy module; DeviceError where it is not installed or sees no GPU."""
    found = _find()
    if found.problem:
        require(0)
    return found.module


def is_available() -> bool:
    """Whether CuPy is installed and sees at least one GPU."""
    return _find().devices > 0


def device_count() -> int:
    """The number of GPUs that CuPy sees."""
    return _find().devices


def require(index: int) -> None:
    """Raise a DeviceError that says what was looked for unless GPU number ``index`` can be used."""
    found = _find()
    if found.problem:
        raise DeviceError(
            "device", expected="an NVIDIA GPU reached through CuPy", got=f"none: {found.problem}", hint=found.hint
        )
    if index >= found.devices:
        last = f"gpu:{found.devices - 1}"
        names = last if found.devices == 1 else f"gpu:0 to {last}"
        raise DeviceError("device", expected=f"a GPU of this machine ({names})", got=f"gpu:{index}")


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all that was asked of it. device: an index (default: the current GPU)."""
    module = cupy()
    (module.cuda.Device() if device is None else module.cuda.Device(_index(device))).synchronize()


# --- Memory ---------------------------------------------------------------------------------------------------------

# The pools of captured steps; CuPy's own is asked directly.
_pools: weakref.WeakSet[Any] = weakref.WeakSet()


class Memory(NamedTuple):
    """Bytes of one GPU: used by arrays, held by the pools (used ones and those kept for reuse), free, and in all."""

    used: int
    held: int
    free: int
    total: int

    def __str__(self) -> str:
        used, held, free, total = (f"{number / 2**30:.2f}" for number in self)
        return f"{used} GiB in arrays, {held} GiB held by the pool, {free} of {total} GiB free"


def memory(device: Any = None) -> Memory:
    """What is allocated on a GPU; ``print(minidl.gpu.memory())`` says it in words.

    CuPy keeps what is freed in a pool, for the next array: ``held`` is what other programs see as taken. device: an
    index or a device (default: the current GPU). Captured steps have pools of their own, which are counted in.
    """
    module = cupy()
    with module.cuda.Device() if device is None else module.cuda.Device(_index(device)):
        pools = [module.get_default_memory_pool(), *_pools]
        free, total = module.cuda.runtime.memGetInfo()
        return Memory(
            sum(int(pool.used_bytes()) for pool in pools), sum(int(pool.total_bytes()) for pool in pools), free, total
        )


def empty_cache() -> None:
    """Give back to the system what the pool holds beyond living arrays. Source: torch.cuda.empty_cache."""
    cupy().get_default_memory_pool().free_all_blocks()


def register_pool(pool: Any) -> None:
    """Count a pool in ``memory()`` for as long as it lives."""
    _pools.add(pool)


@contextmanager
def explain_out_of_memory(who: str) -> Iterator[None]:
    """Inside, a GPU that is out of memory is a DeviceError in one sentence, instead of CuPy's own exception."""
    try:
        yield
    except MemoryError as error:
        if type(error).__module__.partition(".")[0] != "cupy":
            raise
        raise DeviceError(
            who,
            expected="enough memory on the GPU",
            got=f"none left ({memory()})",
            hint="Use a smaller batch size, or end other programs that use this GPU.",
        ) from error


def _index(device: Any) -> int:
    return int(getattr(device, "index", device))
