"""Every CUDA source through NVRTC, for three generations of GPU, in both types: no warning, no register spilled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nvrtc import CompilationError, compile_source

from minidl.backend.launcher import read_signatures
from minidl.kernels.cuda import shared

FOLDER = Path(shared.__file__).parent
SOURCES = sorted(path.stem for path in FOLDER.glob("*.cu") if path.stem != "common")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_120"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_compiles_without_spills(name: str, architecture: str) -> None:
    program = shared.program(name)
    for real in ("float", "double"):
        report = compile_source(program.name, program.source, architecture, real)
        spills = SPILLS.findall(report)
        kernels = re.findall(r"Compiling entry function '(\w+)'", report)
        assert sorted(kernels) == sorted(program.signatures), "a kernel that the launcher does not read, or the reverse"
        assert len(spills) >= len(kernels)
        assert all(line == ("0", "0", "0") for line in spills), report
        assert "warning" not in report, report


def test_every_source_has_a_launching_side_and_the_reverse() -> None:
    assert (
        sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "shared", "gemm")) == SOURCES
    )


def test_a_spill_and_an_error_would_be_seen() -> None:
    spilling = """extern "C" __global__ void __launch_bounds__(1024) spill(C_ORDER real *x) {
        real kept[200];
        #pragma unroll
        for (int i = 0; i < 200; ++i) kept[i] = x[i * 1024 + threadIdx.x];
        #pragma unroll
        for (int i = 0; i < 200; ++i) x[i * 1024 + threadIdx.x] = kept[i] * kept[199 - i];
    }"""
    prelude = (FOLDER / "common.cu").read_text(encoding="utf-8")
    report = compile_source("spilling.cu", prelude + spilling, "sm_90", "double")
    assert ("0", "0", "0") not in SPILLS.findall(report)
    assert list(read_signatures("spilling.cu", spilling)) == ["spill"]
    with pytest.raises(CompilationError, match="undefined"):
        compile_source("broken.cu", "__global__ void f() { nonsense(); }", "sm_90", "float")
