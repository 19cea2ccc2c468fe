"""The table of kernels and its third dialect: an array on a GPU goes to the cuda form where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import kernels
from minidl.backend import gpu
from minidl.kernels.cuda import activation as cuda
from minidl.kernels.plain import activation as plain
from minidl.kernels.plain import fused


class ndarray:
    """An array as far as the table looks at it."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)


ndarray.__module__ = "cupy"


@pytest.mark.parametrize(
    ("name", "dtype", "dialect"),
    [
        ("relu_forward", np.float32, "cuda"),
        ("tanh_forward", np.float64, "cuda"),
        ("relu_forward", np.float16, "plain"),
        ("relu_forward", np.int64, "plain"),
        ("to_channels_last", np.float32, "plain"),
    ],
)
def test_an_array_on_a_gpu_goes_to_cuda_where_it_can(name: str, dtype: Any, dialect: str) -> None:
    assert kernels.dialect_of(name, ndarray(dtype)) == dialect


def test_what_the_table_says_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA", "dense"):  # nothing can be launched here, but this far it must come
        monkeypatch.delattr(cuda, name)
    with pytest.raises(NameError, match="dense"):
        kernels.relu_forward(ndarray(np.float32))
    monkeypatch.delattr(plain, "np")
    with pytest.raises(NameError, match="np"):
        kernels.relu_forward(ndarray(np.float16))
    assert kernels.relu_forward(np.float32([-1, 2])).tolist() == [0, 2]


def test_every_kernel_of_a_training_step_has_a_cuda_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "is_available", lambda: True)
    missing = {name for name, found in kernels.dialects().items() if "cuda" not in found}
    # Words for the host; the CPU's memory order, captured steps and groups (a GPU updates many tensors in a launch of
    # its own); rows of products and decompositions, which are CuPy's; optimizers that the experiments do not use.
    rare = {name for name in missing if name.endswith(("_update", "_update_group"))} - {"sgd_update", "adam_update"}
    assert missing <= rare | {"matmul", "random_words", "svd", "to_channels_last", *fused.__all__}


def test_cuda_is_shown_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (True, False):
        monkeypatch.setattr(gpu, "is_available", lambda there=there: there)
        assert kernels.dialects()["relu_forward"] == (("plain", "cpu", "cuda") if there else ("plain", "cpu"))
        assert kernels.dialects()["random_words"] == ("plain",)  # for the host
