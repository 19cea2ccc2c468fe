"""Matrix products on the GPU: cuBLAS through ctypes, with a handle, a stream and a workspace of our own.

CuPy's own products cannot be used inside a CUDA graph (it refuses cuBLAS while a stream is captured), and in full
float32 only unless an environment variable says otherwise. Here every product goes through ``cublasGemmEx``; which
precision it has for float32 arrays is ``set_float32_matmul_precision``.

cuBLAS is column-major: what C calls ``out (M, N)`` with rows side by side is to cuBLAS the matrix out^T (N, M). Since
out^T = b^T a^T, a row-major product is a column-major one of the same memory with the operands exchanged, and nothing
is copied. An operand that is itself the transposed view of a row-major array is handed over as "transposed".
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.backend import gpu
from minidl.errors import ArgumentError, DeviceError, DTypeError, ShapeError

__all__ = ["get_float32_matmul_precision", "matmul", "set_float32_matmul_precision"]

WORKSPACE_BYTES = 32 * 2**20  # what NVIDIA recommends for Hopper; enough for every older chip

# From cublas_api.h and library_types.h.
_NO_TRANSPOSE, _TRANSPOSE = 0, 1
_REAL_32, _REAL_64 = 0, 1
_COMPUTE_32, _COMPUTE_64, _COMPUTE_32_FAST_TF32 = 68, 70, 77
_DEFAULT_ALGORITHM = -1
_STATUS = {1: "not initialised", 3: "out of memory", 7: "a wrong argument", 8: "this GPU is too old", 13: "it failed",
           14: "an internal error", 15: "not supported"}  # fmt: skip

_KINDS = {np.dtype(np.float32): (_REAL_32, ctypes.c_float), np.dtype(np.float64): (_REAL_64, ctypes.c_double)}


# --- Precision ------------------------------------------------------------------------------------------------------

_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """How exactly a GPU multiplies float32 matrices, and so convolves and applies linear layers, in this process.

    precision: "highest" (the default) multiplies in float32; "high" lets the tensor cores round each factor to TF32 (10
    bits of mantissa instead of 23) and add up in float32: about six times as fast on an H200, results correct to
    three digits, which training tolerates and gradient checks do not. float64 and the CPU are not touched. Raises
    ArgumentError for anything else, torch's "medium" (bfloat16) included, which is not offered. Source:
    torch.set_float32_matmul_precision; unlike in torch it holds for convolutions too.
    """
    global _precision
    if precision not in ("highest", "high"):
        raise ArgumentError("set_float32_matmul_precision", expected='"highest" or "high"', got=repr(precision))
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` said last: "highest" or "high"."""
    return _precision


# --- The library ----------------------------------------------------------------------------------------------------


def _candidates(major: int) -> Iterator[str]:
    """Where the cuBLAS that fits a CUDA version may be, in the order in which CuPy and the linker look."""
    name = f"libcublas.so.{major}"
    maps = Path("/proc/self/maps")
    if maps.exists():  # the one that CuPy, or torch, has loaded already
        lines = maps.read_text().splitlines()
        yield from sorted({line.split()[-1] for line in lines if line.endswith(name) or f"{name}." in line})
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        yield str(pathfinder.load_nvidia_dynamic_lib("cublas").abs_path)
    except (ImportError, AttributeError, RuntimeError):  # not installed, or it finds none
        pass
    packages = importlib.util.find_spec("nvidia")
    for folder in (packages.submodule_search_locations or []) if packages else []:  # NVIDIA's own wheels
        for place in (f"cu{major}/lib", "cublas/lib"):
            yield str(Path(folder) / place / name)
    yield name  # LD_LIBRARY_PATH and the system's folders
    yield f"/usr/local/cuda/lib64/{name}"


@lru_cache(maxsize=1)
def library() -> Any:
    """cuBLAS, its functions declared. DeviceError where none is found, with all the places that were looked at."""
    major = gpu.cupy().cuda.runtime.runtimeGetVersion() // 1000
    tried = []
    for path in _candidates(major):
        if not Path(path).name.startswith(f"libcublas.so.{major}"):
            continue  # pathfinder found that of another CUDA
        try:
            return declare(ctypes.CDLL(path))
        except OSError:
            tried.append(path)
    raise DeviceError(
        "matmul",
        expected=f"cuBLAS for CUDA {major} (libcublas.so.{major})",
        got=f"none in {', '.join(tried)}",
        hint=f"Install it with pip install nvidia-cublas{'' if major >= 13 else f'-cu{major}'}.",
    )


def declare(found: Any) -> Any:
    """The C functions with their argument types; ctypes would pass every pointer as a 32-bit integer otherwise."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    found.cublasCreate_v2.argtypes = [ctypes.POINTER(pointer)]
    found.cublasDestroy_v2.argtypes = [pointer]
    found.cublasSetStream_v2.argtypes = [pointer, pointer]
    found.cublasSetWorkspace_v2.argtypes = [pointer, pointer, ctypes.c_size_t]
    found.cublasGemmEx.argtypes = [
        pointer, integer, integer, integer, integer, integer,  # handle, transposed a, transposed b, m, n, k
        pointer, pointer, integer, integer,  # alpha, A, its type, its leading dimension
        pointer, integer, integer,  # B, its type, its leading dimension
        pointer, pointer, integer, integer,  # beta, C, its type, its leading dimension
        integer, integer,  # the type of the arithmetic, the algorithm
    ]  # fmt: skip
    return found


def _check(status: int, what: str) -> None:
    if status:
        raise DeviceError(
            "matmul", expected=f"cuBLAS to do {what}", got=f"status {status}, {_STATUS.get(status, 'unknown')}"
        )


class Handle:
    """A cuBLAS context of one thread and one GPU. It works on one stream at a time, each with its own workspace."""

    def __init__(self) -> None:
        self._library = library()
        handle = ctypes.c_void_p()
        _check(self._library.cublasCreate_v2(ctypes.byref(handle)), "cublasCreate")
        self._handle = handle
        self._stream: int | None = None
        self._workspaces: dict[int, Any] = {}

    def bind(self, stream: int) -> None:
        """Work on this stream (its address) from now on.

        In this order: setting the stream takes the workspace away. Without one of its own, cuBLAS would allocate while
        a stream is captured, and two streams could share one.
        """
        if stream == self._stream:
            return
        workspace = self._workspaces.get(stream)
        if workspace is None:
            workspace = self._workspaces[stream] = gpu.cupy().empty(WORKSPACE_BYTES, np.uint8)
        self._stream = None
        _check(self._library.cublasSetStream_v2(self._handle, stream), "cublasSetStream")
        _check(
            self._library.cublasSetWorkspace_v2(self._handle, workspace.data.ptr, WORKSPACE_BYTES), "cublasSetWorkspace"
        )
        self._stream = stream

    def release(self, stream: int) -> Any:
        """Forget a stream and hand over its workspace: a captured graph goes on using it, and has to keep it."""
        if self._stream == stream:
            self._stream = None
        return self._workspaces.pop(stream, None)

    def multiply(self, a: _Operand, b: _Operand, out: Any, ldc: int, alpha: float, beta: float) -> None:
        """out = alpha * a @ b + beta * out, all row-major: column-major out^T = b^T a^T."""
        kind, number = _KINDS[out.dtype]
        if kind == _REAL_64:
            compute = _COMPUTE_64
        else:
            compute = _COMPUTE_32_FAST_TF32 if _precision == "high" else _COMPUTE_32
        (rows, columns), inner = out.shape, a.columns
        status = self._library.cublasGemmEx(
            self._handle, b.transposed, a.transposed, columns, rows, inner,
            ctypes.byref(number(alpha)), b.pointer, kind, b.leading,
            a.pointer, kind, a.leading,
            ctypes.byref(number(beta)), out.data.ptr, kind, ldc,
            compute, _DEFAULT_ALGORITHM,
        )  # fmt: skip
        _check(status, f"a product ({rows}, {inner}) @ ({inner}, {columns})")

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.cublasDestroy_v2(self._handle)


_thread = threading.local()


def handle() -> Handle:
    """This thread's handle for the current GPU, working on the current stream."""
    cuda = gpu.cupy().cuda
    device = cuda.runtime.getDevice()
    try:
        found = _thread.handles[device]
    except (AttributeError, KeyError):
        if not hasattr(_thread, "handles"):
            _thread.handles = {}
        found = _thread.handles[device] = Handle()
    found.bind(cuda.get_current_stream().ptr)
    return found


def release(stream: int) -> Any:
    """Forget a stream of the current GPU; its workspace, if it had one, for whoever goes on using it."""
    found = getattr(_thread, "handles", {}).get(gpu.cupy().cuda.runtime.getDevice())
    return None if found is None else found.release(stream)


# --- The product ----------------------------------------------------------------------------------------------------


class _Operand(NamedTuple):
    """A matrix as cuBLAS sees it: where it begins, the distance of its rows (or columns), and whether it is turned."""

    pointer: int
    leading: int
    transposed: int
    columns: int


def _operand(matrix: Any) -> _Operand | None:
    """How cuBLAS can read a matrix (M, K) as it lies; None where it cannot: no axis without gaps, or rows that overlap.

    The stride of an axis of length 1 means nothing and may be any number.
    """
    rows, columns = matrix.shape
    size = matrix.dtype.itemsize
    down, across = matrix.strides
    if (across == size or columns == 1) and (down >= columns * size or rows == 1):
        leading = down // size if rows > 1 else columns
        return _Operand(matrix.data.ptr, leading, _NO_TRANSPOSE, columns) if not down % size or rows == 1 else None
    if (down == size or rows == 1) and (across >= rows * size or columns == 1):
        leading = across // size if columns > 1 else rows
        return _Operand(matrix.data.ptr, leading, _TRANSPOSE, columns) if not across % size or columns == 1 else None
    return None


def readable(matrix: Any) -> bool:
    """Whether ``matmul`` takes this matrix as it lies; any other has to be copied first."""
    return not matrix.size or _operand(matrix) is not None


def matmul(a: Any, b: Any, out: Any, alpha: float = 1.0, beta: float = 0.0) -> None:
    """out = alpha * a @ b + beta * out, on the current stream; with beta 0 what out held does not matter.

    a (M, K), b (K, N): rows without gaps inside, or the transposed view of such a matrix; out (M, N): rows without gaps
    inside. All in float32 or all in float64, on the current GPU. Raises ShapeError, DTypeError, and ArgumentError for
    other strides and for sides of 2**31 and more.
    """
    if not (a.ndim == b.ndim == out.ndim == 2) or a.shape[1] != b.shape[0] or out.shape != (a.shape[0], b.shape[1]):
        got = f"{a.shape} @ {b.shape} into {out.shape}"
        raise ShapeError("matmul", expected="(M, K) @ (K, N) into (M, N)", got=got)
    if not (a.dtype == b.dtype == out.dtype and a.dtype in _KINDS):
        raise DTypeError(
            "matmul", expected="float32 or float64, one for all", got=f"{a.dtype} @ {b.dtype} into {out.dtype}"
        )
    if not out.size:
        return
    if not a.shape[1]:  # a sum of nothing
        out[...] = out * beta if beta else 0
        return
    left, right, target = _operand(a), _operand(b), _operand(out)
    if left is None or right is None or target is None or target.transposed:
        strides = " and ".join(str(matrix.strides) for matrix in (a, b, out))
        raise ArgumentError("matmul", expected="rows (or for a and b columns) without gaps inside", got=strides)
    if max(left.leading, right.leading, target.leading, *a.shape, *b.shape) >= 2**31:
        raise ArgumentError("matmul", expected="sides below 2**31", got=f"{a.shape} @ {b.shape}")
    handle().multiply(left, right, out, target.leading, alpha, beta)
