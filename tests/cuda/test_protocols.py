"""GPU tensors in CuPy's and DLPack's hands and back, on the stand-in for CuPy: shared memory, nothing copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import StandIn

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DeviceError, GraphError


class Foreign:
    """Another library's array on the GPU, which has one of the two protocols alone."""

    def __init__(self, array: Any, *names: str) -> None:
        for name in names:
            setattr(self, name, getattr(array, name))


class WithDlpack(Foreign):
    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_into_cupy_and_back_without_a_copy(cupy: StandIn) -> None:
    x = minidl.zeros(2, 3, device="gpu")
    with cupy.counting() as counted:
        for share in (cupy.module.asarray, cupy.module.from_dlpack):
            array = share(x)
            array += 1
        for foreign in (array, WithDlpack(array), Foreign(array, "__cuda_array_interface__")):
            for read in (minidl.as_tensor, minidl.asarray):
                read(foreign).add_(1)
        minidl.from_dlpack(array).add_(1)
        minidl.from_dlpack(x).add_(1)
    assert counted.to_host == counted.to_device == []
    assert x.tolist() == [[10.0] * 3] * 2
    assert minidl.tensor(WithDlpack(array)).device.type == "gpu"


def test_what_a_gpu_tensor_refuses(cupy: StandIn) -> None:
    x = minidl.ones(2, device="gpu")
    with pytest.raises(DeviceError, match="numpy: expected a CPU tensor"):
        np.asarray(x)
    x.requires_grad_()
    for share in (cupy.module.from_dlpack, cupy.module.asarray):
        with pytest.raises(GraphError, match=r"Use \.detach\(\)"):
            share(x)
    backwards = minidl.Tensor(x.data[::-1])
    with pytest.raises(ArgumentError, match="strides of at least 0"):
        cupy.module.from_dlpack(backwards)


def test_each_tensor_says_and_keeps_its_device(install: Callable[..., StandIn]) -> None:
    install(2)
    x = minidl.ones(2, device="gpu:1")
    assert x.__dlpack_device__() == (2, 1)
    assert str(minidl.from_dlpack(x).device) == "gpu:1"


def test_no_gpu_for_a_gpu_array() -> None:
    class Far:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

        def __dlpack__(self, **options: Any) -> Any: ...

    if not minidl.gpu.is_available():
        with pytest.raises(DeviceError, match="an NVIDIA GPU reached through CuPy"):
            minidl.from_dlpack(Far())


def test_a_model_on_the_gpu_is_exported_as_the_same_file(cupy: StandIn, tmp_path: Path) -> None:
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2))
    files = []
    for device in ("cpu", "gpu"):
        x = minidl.ones(2, 2, 5, 5, device=device)
        minidl.onnx.export(net.to(device), x, tmp_path / "m.onnx", dynamic_axes={"input": [0]})
        files.append((tmp_path / "m.onnx").read_bytes())
    assert files[0] == files[1]
