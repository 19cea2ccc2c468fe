"""What the figures depend on: the machine, the versions, the environment."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

# Variables that change the speed of OpenBLAS for one side: removed before any worker starts.
REMOVED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_RELEVANT = ("OPENBLAS", "OMP_", "GOMP_", "KMP_", "MKL_", "NUMBA_", "BLAS", "TORCH", "DNNL_", "ONEDNN_", "MALLOC_")
_VECTORS = ("avx512f", "avx2", "avx", "sse4_2", "asimd")


def clean_environment() -> dict[str, str]:
    """Remove what would favour a side from this process's environment, which workers inherit; what was removed."""
    return {name: os.environ.pop(name) for name in REMOVED if name in os.environ}


def _cpu_field(name: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in (name, {"flags": "Features"}.get(name)):
            return value.strip()
    return "unknown"


def _caches() -> str:
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            sizes["L" + (index / "level").read_text().strip()] = (index / "size").read_text().strip()
    return ", ".join(f"{level} {size}" for level, size in sizes.items()) or "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    """The commit of the source tree, with a plus sign where it was changed since."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def describe(threads: int, removed: dict[str, str]) -> dict[str, Any]:
    """Machine, versions and environment, for the header of the table and for the JSON file."""
    flags = _cpu_field("flags").split()
    packages = ("numpy", "numba", "llvmlite", "torch", "torchvision")
    variables = {name: value for name, value in sorted(os.environ.items()) if any(part in name for part in _RELEVANT)}
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": _cpu_field("model name"),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "instruction set": next((name for name in _VECTORS if name in flags), "baseline"),
        "caches": _caches(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "minidl revision": _revision(),
        "environment": variables,
        "environment removed": removed,
        "load at start": round(os.getloadavg()[0], 2),
    }


def describe_gpu() -> dict[str, Any]:
    """The same for a benchmark on a GPU, with the GPU, its driver and its libraries."""
    from minidl.backend import gpu

    cupy = gpu.cupy()
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    about = describe(len(os.sched_getaffinity(0)), {})
    name = properties["name"]
    about["gpu"] = name.decode() if isinstance(name, bytes) else str(name)
    about["compute capability"] = f"{properties['major']}.{properties['minor']}"
    about["multiprocessors"] = properties["multiProcessorCount"]
    about["CUDA runtime, driver"] = f"{runtime.runtimeGetVersion()}, {runtime.driverGetVersion()}"
    about["versions"]["cupy"] = str(cupy.__version__)
    return about
