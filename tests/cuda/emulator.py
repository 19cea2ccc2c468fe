"""An engine for the launcher that runs CUDA kernels on the CPU: g++ and emulation.h instead of NVRTC and a GPU.

Every pointer of the source becomes a ``Pointer`` that knows its array's length: an index outside it is an error.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend.launcher import Launch, Signature

HEADER = Path(__file__).with_name("emulation.h")
OPTIONS = ("-std=c++17", "-O2", "-g", "-shared", "-fPIC", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function")

_POINTER = re.compile(
    r"\b(const\s+)?(real|float|double|int|long long|unsigned(?: char| long long)?|\w+(?=\s*\*\s*__restrict__))"
    r"\s*\*\s*(?:__restrict__\s+)?(?=\w)"
)


class EmulationError(Exception):
    """What the emulation found wrong in a kernel."""


class _Pointer(ctypes.Structure):
    """``Pointer`` of emulation.h."""

    _fields_ = [("start", ctypes.c_void_p), ("bytes", ctypes.c_longlong), ("name", ctypes.c_char_p)]


def address(x: Any) -> int:
    """Where the elements of an array begin: a NumPy array, or one with CuPy's attributes."""
    return int(x.ctypes.data if isinstance(x, np.ndarray) else x.data.ptr)


def _pointer(name: str, x: Any) -> _Pointer:
    return _Pointer(None, 0, name.encode()) if x is None else _Pointer(address(x), x.nbytes, name.encode())


def translate(source: str, signatures: dict[str, Signature]) -> str:
    """The C++ source: pointers checked, and for each kernel a function that a library can export."""
    text = source.replace('extern "C" __global__', "static")
    text = _POINTER.sub(lambda match: f"Pointer<{match[1] or ''}{match[2]}> ", text)
    glue = ["static void **arguments;"]
    for name, signature in signatures.items():
        values = ", ".join(f"Argument{{arguments[{i}]}}" for i in range(len(signature.parameters)))
        glue.append(
            f"static void call_{name}() {{ {name}({values}); }}\n"
            f'extern "C" const char *emulate_{name}(void **values, unsigned blocks, unsigned threads, int reverse) {{\n'
            f'    arguments = values;\n    return emulation::run("{name}", call_{name}, blocks, threads, reverse);\n}}'
        )
    return f'#include "{HEADER}"\n{text}\n' + "\n".join(glue) + "\n"


class Emulator:
    """The engine. ``reverse`` is the order in which threads start; libraries are kept in ``folder`` between runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reverse = False
        self.launches: list[str] = []  # the kernels run, for tests that count

    @contextmanager
    def reversed_threads(self) -> Iterator[None]:
        """Inside, the last thread of the last block starts first."""
        self.reverse = True
        try:
            yield
        finally:
            self.reverse = False

    def is_array(self, value: Any) -> bool:
        return type(value) is np.ndarray or hasattr(getattr(value, "data", None), "ptr")

    def _build(self, name: str, source: str, real: str) -> Path:
        text = source.encode() + HEADER.read_bytes() + real.encode() + " ".join(OPTIONS).encode()
        library = self.folder / f"{Path(name).stem}-{real}-{hashlib.sha256(text).hexdigest()[:16]}.so"
        if not library.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = library.with_suffix(f".{os.getpid()}")
            command = ["g++", *OPTIONS, f"-DREAL={real}", "-x", "c++", "-", "-o", str(partial)]
            done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
            if done.returncode or done.stderr:
                raise EmulationError(done.stderr)
            partial.replace(library)
        return library

    def load(self, name: str, source: str, real: str, signatures: dict[str, Signature]) -> Callable[[str], Launch]:
        library = ctypes.CDLL(str(self._build(name, translate(source, signatures), real)))

        def function(kernel: str) -> Launch:
            emulate = library[f"emulate_{kernel}"]
            emulate.restype = ctypes.c_char_p

            def launch(grid: tuple[int, ...], threads: int, values: list[Any]) -> None:
                assert len(grid) == 1, "the emulation has grids of one axis"
                self.launches.append(kernel)
                kept: list[Any] = []
                for parameter, value in zip(signatures[kernel].parameters, values):
                    if parameter.structure is not None and parameter.structure.pointers:
                        pointers = [_pointer(parameter.name, x) for x in value]
                        kept.append((_Pointer * parameter.structure.length)(*pointers))
                    elif parameter.order:
                        kept.append(_pointer(parameter.name, value))
                    else:
                        buffer = np.ascontiguousarray(value)
                        kept.append((ctypes.c_char * buffer.nbytes).from_buffer_copy(buffer.tobytes()))
                pointers_to = (ctypes.c_void_p * len(kept))(*[ctypes.addressof(value) for value in kept])
                error = emulate(pointers_to, grid[0], threads, int(self.reverse))
                if error:
                    raise EmulationError(error.decode())

            return launch

        return function
