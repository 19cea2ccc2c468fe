"""The emulated GPU: in these tests the launcher's kernels run on the CPU, and arrays are NumPy's."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from emulator import Emulator
from stand_in_fixtures import cupy, fake_cublas, install  # noqa: F401

from minidl.backend.launcher import use_engine
from minidl.kernels.cuda import shared


def poisoned(shape: Any, dtype: Any = np.float64) -> Any:
    """What ``empty`` gives in these tests: NaN, or the largest integer, wherever nothing is written."""
    dtype = np.dtype(dtype)
    return np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).max, dtype)


@pytest.fixture(scope="session")
def built_emulator(request: pytest.FixtureRequest) -> Emulator:
    """One emulator for all tests; what g++ built lies in pytest's cache."""
    assert request.config.cache is not None
    return Emulator(request.config.cache.mkdir("emulated_kernels"))


@pytest.fixture
def emulator(built_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulator as the launcher's engine; memory that kernels do not write stays poisoned."""
    monkeypatch.setattr(shared, "namespace", lambda array: SimpleNamespace(empty=poisoned))
    built_emulator.launches.clear()
    with use_engine(built_emulator):
        yield built_emulator
