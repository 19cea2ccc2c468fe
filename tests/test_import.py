"""``import minidl`` changes nothing in the user's process and needs only NumPy and Numba."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROBE = """
import json, os, sys, threading, signal, warnings, locale

import numpy, numba

try:
    from threadpoolctl import threadpool_info
except ImportError:
    threadpool_info = list

def blas():
    return {info["filepath"]: info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}

def snapshot():
    numpy_state = numpy.random.get_state()
    return {
        "environment": dict(os.environ),
        "blas": blas(),
        "numba threads": numba.get_num_threads(),
        "numba config": [numba.config.THREADING_LAYER, numba.config.NUMBA_NUM_THREADS, numba.config.CACHE_DIR],
        "recursion limit": sys.getrecursionlimit(),
        "threads": threading.active_count(),
        "signal": str(signal.getsignal(signal.SIGINT)),
        "warning filters": len(warnings.filters),
        "numpy errors": numpy.geterr(),
        "numpy printing": str(numpy.get_printoptions()),
        "random": [str(numpy_state[1][:8]), numpy_state[2]],
        "affinity": sorted(os.sched_getaffinity(0)),
        "excepthook": str(sys.excepthook),
        "path": sys.path,
        "directory": os.getcwd(),
    }

USE = %r
before = snapshot()
modules = set(sys.modules)
import minidl
if USE:
    import minidl.nn as nn
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)
    nn.functional.cross_entropy(net(minidl.randn(2, 3, 8, 8)), minidl.tensor([1, 2])).backward()
    optimizer.step()
after = snapshot()
print(json.dumps({"before": before, "after": after, "modules": sorted(set(sys.modules) - modules)}, default=str))
"""


def probe(use: bool, **environment: str) -> dict[str, Any]:
    """Run the probe in a fresh process."""
    child = subprocess.run(
        [sys.executable, "-c", PROBE % use],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    # What is compiled is announced; nothing else may be said.
    assert [line for line in child.stderr.splitlines() if not line.startswith("minidl: compiling kernels")] == []
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("use", [False, True], ids=["import", "a training step"])
def test_nothing_changes_in_the_process(use: bool) -> None:
    result = probe(use)
    if use:  # threads of a pool start with the first parallel kernel, and so does what Numba loads for it
        for state in (result["before"], result["after"]):
            state.pop("threads")
        result["after"]["blas"] = {file: result["after"]["blas"][file] for file in result["before"]["blas"]}
    assert result["after"] == result["before"]


def test_nothing_changes_where_the_user_chose_threads() -> None:
    result = probe(True, OPENBLAS_NUM_THREADS="2", NUMBA_NUM_THREADS="2", OMP_NUM_THREADS="2")
    for key in ("numba threads", "numba config", "environment"):
        assert result["after"][key] == result["before"][key]
    assert all(result["after"]["blas"][file] == threads for file, threads in result["before"]["blas"].items())


def test_only_numpy_and_numba_are_imported() -> None:
    third_parties = {name.split(".")[0] for name in probe(False)["modules"]} - set(sys.stdlib_module_names)
    # Compiled modules of Cython and NumPy's distutils may register names of their own: they begin with an underscore.
    foreign = {name for name in third_parties if not name.startswith("_")} - {"minidl", "numpy", "numba", "llvmlite"}
    assert foreign <= {"cupy", "cupy_backends", "fastrlock"}, (
        "the core needs NumPy and Numba alone (CuPy where installed)"
    )
    for name in ("torch", "torchvision", "matplotlib", "tqdm", "sklearn", "safetensors", "scipy", "PIL", "onnx"):
        assert name not in foreign


def test_extras_may_be_missing() -> None:
    """The whole public library imports where nothing but NumPy and Numba is installed."""
    code = """
import sys
from pathlib import Path
for name in "torch torchvision matplotlib tqdm sklearn safetensors PIL scipy threadpoolctl onnx".split():
    sys.modules[name] = None
import minidl, minidl.nn, minidl.optim, minidl.data, minidl.models, minidl.train, minidl.plot, minidl.onnx
minidl.show_config()
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert child.returncode == 0, child.stderr
    assert "numpy" in child.stdout.lower()


def test_import_is_quick() -> None:
    """Compilation waits for the first use."""
    code = "import numba, numpy, time; t = time.perf_counter(); import minidl; print(time.perf_counter() - t)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert float(child.stdout) < 5.0


def test_compilation_is_announced_once_and_what_is_cached_is_not(tmp_path: Path) -> None:
    use = "import minidl; x = minidl.ones(3); (x.relu() + minidl.ones(3).double().relu()).sum()"
    lines = []
    for _ in range(2):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        ran = subprocess.run([sys.executable, "-c", use], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout == ""
        lines.append(ran.stderr.splitlines())
    assert len(lines[0]) == 1
    assert "compiling kernels" in lines[0][0]
    assert lines[1] == []
