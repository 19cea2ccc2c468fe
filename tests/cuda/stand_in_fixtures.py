"""The stand-in for CuPy, with the fake cuBLAS for its products and the emulated kernels for its launches."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator import Emulator
from stand_in import StandIn
from stand_in_module import StandInEngine, TapedBlas, cupy_module

from minidl.backend import cublas, gpu
from minidl.backend.launcher import use_engine

__all__ = ["cupy", "fake_cublas", "install"]


@pytest.fixture(scope="session")
def fake_cublas(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The fake library, compiled and with its functions declared as minidl declares the real one's."""
    target = tmp_path_factory.mktemp("cublas") / "libcublas.so.13"
    source = Path(__file__).with_name("fake_cublas.c")
    options = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *options, str(source), "-o", str(target), "-lm"], check=True)
    return cublas.declare(ctypes.CDLL(str(target)))


@pytest.fixture
def install(
    fake_cublas: Any, built_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., StandIn]]:
    """A function that puts a stand-in with so many devices in CuPy's place."""
    built_emulator.launches.clear()

    def put(devices: int = 1) -> StandIn:
        StandIn.now = StandIn(devices)
        StandIn.now.module = cupy_module(StandIn.now)
        monkeypatch.setattr(gpu, "_find", lambda: gpu._Found(StandIn.now.module, devices))
        monkeypatch.setattr(gpu, "several", devices > 1)
        monkeypatch.setattr(cublas, "library", lambda: TapedBlas(fake_cublas))
        monkeypatch.setattr(cublas, "_thread", type(cublas._thread)())
        return StandIn.now

    with use_engine(StandInEngine(built_emulator)):
        yield put
    cublas.set_float32_matmul_precision("highest")


@pytest.fixture
def cupy(install: Callable[..., StandIn]) -> StandIn:
    """The stand-in, with one device."""
    return install()
