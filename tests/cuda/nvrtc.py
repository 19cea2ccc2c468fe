"""NVRTC, NVIDIA's run-time compiler, from its wheel through ctypes: compiles for a GPU on machines without one."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from functools import lru_cache
from pathlib import Path


class CompilationError(Exception):
    """What NVRTC wrote."""


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """libnvrtc of the wheel nvidia-cuda-nvrtc, wherever its CUDA version puts it."""
    package = importlib.util.find_spec("nvidia")
    folders = list(package.submodule_search_locations or []) if package is not None else []
    for folder in folders:
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            if re.fullmatch(r"libnvrtc\.so\.\d+", path.name):
                return ctypes.CDLL(str(path))
    raise FileNotFoundError('NVRTC is missing: pip install "minidl[test]" brings the wheel nvidia-cuda-nvrtc')


def compile_source(name: str, source: str, architecture: str, real: str) -> str:
    """Compile to machine code with the launcher's options and CuPy's; returns the report on registers and spills."""
    nvrtc = library()
    program = ctypes.c_void_p()
    created = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    assert created == 0, f"nvrtcCreateProgram: {created}"
    ours = ["--std=c++17", f"-DREAL={real}", f"--gpu-architecture={architecture}", "--ptxas-options=--verbose"]
    options = [*ours, "-ftz=true", "--device-as-default-execution-space"]  # as CuPy adds them
    status = nvrtc.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*map(str.encode, options))
    )
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    report = log.value.decode()
    if status:
        raise CompilationError(report)
    return report
