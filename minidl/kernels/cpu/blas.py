"""The BLAS library that NumPy brought along, called from inside Numba kernels at one thread.

NumPy's own `@` runs OpenBLAS on OpenBLAS's threads. Inside a `prange` that is wrong twice: Numba's threads already
fill the cores, and two thread pools that take turns cost more than the products themselves. So the kernels call
`cblas_sgemm` and `cblas_dgemm` directly, each thread on its own tile, and `single_thread()` keeps OpenBLAS from adding
threads.

`AVAILABLE` is False where no library with the names looked for was found; then the kernels that need it must not be
offered. Importing this module changes no setting of the process.
"""

# mypy: disallow-untyped-defs=False
# (Numba infers the types of kernels; their docstrings give shapes.)

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
from numba import types
from numba.extending import overload

__all__ = ["AVAILABLE", "SMALL_PRODUCT", "description", "single_thread", "split_gemm"]

# A BLAS library's names may carry a prefix (SciPy's builds) and a suffix (64-bit integers).
_SPELLINGS = (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", ""))
# The names under which the compiled kernels look the functions up: they stand in Numba's cache on disk, whereas the
# functions' addresses differ from process to process.
_SYMBOLS = {"cblas_sgemm": "minidl_cblas_sgemm", "cblas_dgemm": "minidl_cblas_dgemm"}

_CORES_WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids", "Sapphirerapids")


def _extension_modules() -> list[str]:
    """Files of extension modules that are linked to a BLAS library: NumPy's, then SciPy's where it is installed."""
    files = []
    with contextlib.suppress(ImportError):  # a private name of NumPy's: without it, SciPy's library may serve
        files.append(str(importlib.import_module("numpy.linalg._umath_linalg").__file__))
    scipy = importlib.util.find_spec("scipy")  # found, not imported: scipy.linalg takes a tenth of a second
    for place in (scipy.submodule_search_locations or ()) if scipy else ():
        files += [str(path) for path in sorted(Path(place, "linalg").glob("_fblas*"))]
    return files


class _Library:
    """A BLAS library with thread control: addresses of the products, and get and set of OpenBLAS's thread number."""

    def __init__(self, file: str, prefix: str, suffix: str) -> None:
        handle = ctypes.CDLL(file)  # already loaded; looking a name up also searches the libraries it is linked to
        self.addresses = {
            name: ctypes.cast(handle[f"{prefix}{name}{suffix}"], ctypes.c_void_p).value for name in _SYMBOLS
        }
        self.get_threads: Callable[[], int] = handle[f"{prefix}openblas_get_num_threads{suffix}"]
        self.set_threads: Callable[[int], Any] = handle[f"{prefix}openblas_set_num_threads{suffix}"]
        words = []
        for question in ("get_config", "get_corename"):
            function = handle[f"{prefix}openblas_{question}{suffix}"]
            function.restype = ctypes.c_char_p
            words.append(function().decode().strip())
        self.config, self.core = words


def _find() -> _Library | None:
    for file in _extension_modules():
        for prefix, suffix in _SPELLINGS:
            try:
                return _Library(file, prefix, suffix)
            except (AttributeError, OSError):  # no such name in this library; or a module that cannot be loaded
                continue
    return None


_library = _find()
AVAILABLE = _library is not None
if _library is not None:
    for _name, _symbol in _SYMBOLS.items():
        llvmlite.binding.add_symbol(_symbol, _library.addresses[_name])

# On x86 with AVX-512, OpenBLAS multiplies without first repacking both matrices when m*n*k is at most 100**3, and is
# then 15 to 30 % faster, at the peak of the processor. Other cores have no such kernels: 0, products are not split.
SMALL_PRODUCT = 1_000_000 if _library is not None and _library.core in _CORES_WITH_SMALL_KERNELS else 0


def description() -> str:
    """The library in words, for show_config()."""
    return _library.config if _library is not None else "no OpenBLAS found: plain kernels multiply matrices"


class _SingleThread:
    """Sets OpenBLAS to one thread while anyone is inside, and gives the user's number back when the last one leaves."""

    def __init__(self, library: _Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._inside = 0
        self._users = 1

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._users = self._library.get_threads()
                if self._users != 1:
                    self._library.set_threads(1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._users != 1:
                self._library.set_threads(self._users)


_scope = _SingleThread(_library) if _library is not None else None


def single_thread() -> _SingleThread:
    """Context in which OpenBLAS adds no threads of its own; nests, and may be entered by several Python threads."""
    if _scope is None:
        raise RuntimeError("blas.single_thread: no OpenBLAS found; see blas.AVAILABLE")
    return _scope


def _external(symbol: str, real: Any) -> types.ExternalFunction:
    # All integers are declared 64 bits wide, though a library with 32-bit integers exists too and the three
    # enumerations are always `int`: on 64-bit Linux every argument has a register or an 8-byte slot of its own, and the
    # callee reads the lower half. So one declaration, and one compiled kernel in the cache, serves both libraries.
    whole, pointer = types.int64, types.uintp
    order_and_flags, lengths = (whole,) * 3, (whole,) * 3
    return types.ExternalFunction(
        symbol,
        types.void(*order_and_flags, *lengths, real, pointer, whole, pointer, whole, real, pointer, whole),
    )


_sgemm = _external(_SYMBOLS["cblas_sgemm"], types.float32)
_dgemm = _external(_SYMBOLS["cblas_dgemm"], types.float64)
_ROW_MAJOR, _NO_TRANSPOSE = 101, 111  # CBLAS's constants; transpose is 112


def split_gemm(
    small: int, transpose_a: int, transpose_b: int, m: int, n: int, k: int,
    a: int, lda: int, b: int, ldb: int, beta: Any, c: int, ldc: int,
) -> None:  # fmt: skip
    """Inside Numba kernels only: C = op(A) op(B) + beta C, op(A) (m, k), op(B) (k, n), C (m, n), row-major; one thread.

    Each matrix is an address (see memory.py for how long it is good) and the distance between its rows in elements.
    `transpose_a`, `transpose_b`: 1 where the matrix lies transposed, A as (k, m), B as (n, k). The type of `beta`, 0 or
    1 as float32 or float64, is the type of all three matrices.

    The product is made in blocks of C for which m*n*k stays at or below `small` (SMALL_PRODUCT; 0: in one call). The
    split depends on the shapes only, and each element of C is still one inner product over the whole of k.
    """
    raise NotImplementedError("split_gemm can only be called from a Numba kernel")


@overload(split_gemm, jit_options={"error_model": "numpy", "nogil": True})
def _split_gemm(small, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc):
    product, real = (_sgemm, np.float32) if beta == types.float32 else (_dgemm, np.float64)
    size = np.dtype(real).itemsize

    def implementation(small, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc):
        block_m, block_n = m, n
        # OpenBLAS takes the case A B^T by its large kernels unless the result is tiny: splitting that would only cost.
        if small > 0 and m * n * k > small and (transpose_a or not transpose_b):
            # At least eight rows of full vectors; where the inner products are too long even for that, one call.
            if 8 * n * k > small:
                block_n = small // (8 * k) // 16 * 16
            if block_n > 0:
                block_m = max(8, small // (block_n * k) // 8 * 8)
            else:
                block_n = n
        for j in range(0, n, block_n):
            for i in range(0, m, block_m):
                product(
                    _ROW_MAJOR, _NO_TRANSPOSE + transpose_a, _NO_TRANSPOSE + transpose_b,
                    min(block_m, m - i), min(block_n, n - j), k, real(1.0),
                    a + size * (i if transpose_a else i * lda), lda,
                    b + size * (j * ldb if transpose_b else j), ldb,
                    beta, c + size * (i * ldc + j), ldc,
                )  # fmt: skip

    return implementation
