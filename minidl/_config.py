"""``show_config()``: what this installation computes with."""

from __future__ import annotations

import importlib
import platform
import sys

import numpy as np

from minidl import kernels
from minidl.backend import gpu

__all__ = ["show_config"]


def _threading() -> str:
    """Numba's threads and the layer they run on; the layer is fixed by the first parallel kernel."""
    try:
        numba = importlib.import_module("numba")
    except ImportError as error:
        return f"none: Numba could not be imported ({error})"
    try:
        layer = numba.threading_layer()
    except ValueError:
        layer = "not started"
    return f"{numba.get_num_threads()} threads, layer {layer}, Numba {numba.__version__}"


def _instruction_set() -> str:
    try:
        binding = importlib.import_module("llvmlite.binding")
    except ImportError:
        return "unknown"
    features = binding.get_host_cpu_features()
    best = [name for name in ("avx512f", "avx2", "avx", "neon", "sse4.2") if features.get(name)]
    return f"{binding.get_host_cpu_name()} ({best[0] if best else 'baseline'})"


def show_config() -> None:
    """Print devices, BLAS, threading, instruction set, and which dialect every kernel uses."""
    lines = [
        (
            "minidl on",
            f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, NumPy {np.__version__}",
        ),
        ("devices", ", ".join(["cpu", *(f"gpu:{i}" for i in range(gpu.device_count()))])),
        ("BLAS in kernels", kernels.blas_description()),
        ("threading", _threading()),
        ("instruction set", _instruction_set()),
    ]
    by_dialects: dict[str, list[str]] = {}
    for name, dialects in kernels.dialects().items():
        by_dialects.setdefault(" + ".join(dialects), []).append(name)
    lines += [(f"kernels in {found}", ", ".join(sorted(names))) for found, names in sorted(by_dialects.items())]
    for label, value in lines:
        sys.stdout.write(f"{label:22} {value}\n")
