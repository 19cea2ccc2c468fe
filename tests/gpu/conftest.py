"""Everything in this folder needs a GPU, and is skipped with the reason where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import minidl
from minidl.backend import gpu


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if not minidl.gpu.is_available():
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {gpu._find().problem}"))


@pytest.fixture(autouse=True)
def _full_precision() -> Iterator[None]:
    """TF32 off on both sides, and nothing of one test left for the next."""
    minidl.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    minidl.set_float32_matmul_precision("highest")
    gc.collect()
    minidl.gpu.empty_cache()


@pytest.fixture
def torch_device() -> torch.device:
    """Where torch computes for comparison: the GPU, if its build can."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
