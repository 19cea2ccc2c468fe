"""``minidl.gpu``: why there is none, in one sentence and with what to do; its memory; which of several computes."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stand_in import CUDARuntimeError, OutOfMemoryError, StandIn

import minidl
from minidl import nn, optim
from minidl.backend import gpu
from minidl.data import DataLoader, TensorDataset
from minidl.errors import DeviceError


def machine(
    monkeypatch: pytest.MonkeyPatch,
    wheels: tuple[str, ...] = ("cupy-cuda13x",),
    driver: tuple[int, int] = (13, 0),
    cuda: int = 13,
    count: int | Exception = 1,
) -> gpu._Found:
    """What is found where these wheels are installed and the driver and the runtime say this."""

    def device_count() -> int:
        if isinstance(count, Exception):
            raise count
        return count

    runtime = types.SimpleNamespace(
        getDeviceCount=device_count, runtimeGetVersion=lambda: 1000 * cuda, CUDARuntimeError=CUDARuntimeError
    )
    module: Any = types.ModuleType("cupy")
    module.cuda = types.SimpleNamespace(runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", module if wheels else None)
    monkeypatch.setattr(gpu, "_installed_wheels", lambda: list(wheels))
    monkeypatch.setattr(gpu, "_driver_version", lambda: driver)
    found = gpu._find.__wrapped__()
    monkeypatch.setattr(gpu, "_find", lambda: found)
    return found


TOO_OLD = CUDARuntimeError(35, "cudaErrorInsufficientDriver: CUDA driver version is insufficient")

MACHINES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "both wheels": (
        {"wheels": ("cupy-cuda12x", "cupy-cuda13x")},
        ("cupy-cuda12x and cupy-cuda13x are both installed", "pip uninstall cupy-cuda12x cupy-cuda13x"),
    ),
    "no CuPy, new driver": ({"wheels": ()}, ("CuPy is not installed", 'pip install "minidl[cuda13]"')),
    "no CuPy, older driver": (
        {"wheels": (), "driver": (12, 4)},
        ("CuPy is not installed", 'pip install "minidl[cuda12]"'),
    ),
    "no CuPy, no driver": ({"wheels": (), "driver": (0, 0)}, ("CuPy is not installed", "Install an NVIDIA driver and")),
    "no driver": ({"driver": (0, 0), "count": TOO_OLD}, ("there is no NVIDIA driver", "Install one")),
    "old driver": (
        {"driver": (12, 4), "count": TOO_OLD},
        ("it supports CUDA 12.4, and this CuPy needs CUDA 13", "Update the driver", "or install CuPy for CUDA 12 (pip"),
    ),
    "very old driver": (
        {"driver": (11, 8), "count": TOO_OLD, "cuda": 12, "wheels": ("cupy-cuda12x",)},
        ("it supports CUDA 11.8, and this CuPy needs CUDA 12", 'Update the driver, or use "cpu"'),
    ),
    "hidden": (
        {"count": CUDARuntimeError(100, "cudaErrorNoDevice: no CUDA-capable device is detected")},
        ("CUDA sees no device", "CUDA_VISIBLE_DEVICES"),
    ),
    "none": ({"count": 0}, ("CUDA sees no device", "nvidia-smi")),
    "broken": (
        {"count": CUDARuntimeError(999, "cudaErrorUnknown:\n  unknown error")},
        ("CUDA reports: cudaErrorUnknown: unknown error", "nvidia-smi"),
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_why_there_is_no_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, words = MACHINES[name]
    machine(monkeypatch, **facts)
    assert not minidl.gpu.is_available()
    assert minidl.gpu.device_count() == 0
    for attempt in (
        lambda: minidl.zeros(2, device="gpu"),
        lambda: minidl.zeros(2).to("gpu"),
        lambda: nn.Linear(2, 2).to("gpu"),
        lambda: minidl.gpu.require(0),
        lambda: minidl.gpu.memory(),
    ):
        with pytest.raises(DeviceError) as caught:
            attempt()
        text = str(caught.value)
        assert all(word in text for word in words), text
        assert "\n" not in text


def test_a_cupy_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("\n====\nFailed to import CuPy.\n\nOriginal error:\n  ImportError: libcudart.so.13\n")

    monkeypatch.setattr(gpu, "_installed_wheels", lambda: ["cupy-cuda13x"])
    monkeypatch.setattr(gpu.importlib, "import_module", broken)
    found = gpu._find.__wrapped__()
    assert found.problem == "CuPy could not be imported (Failed to import CuPy.)"
    assert "Install it anew" in found.hint


def test_a_good_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine(monkeypatch, count=2)[1:] == (2, "", "")
    with pytest.raises(DeviceError, match=r"expected a GPU of this machine \(gpu:0 to gpu:1\), got gpu:2"):
        minidl.gpu.require(2)


def test_this_machines_own_answer_is_one_sentence() -> None:
    """Whatever is installed here, asking raises nothing, and a refusal says why."""
    if minidl.gpu.is_available():
        minidl.gpu.require(0)
    else:
        with pytest.raises(DeviceError, match=r"^device: expected an NVIDIA GPU reached through CuPy, got none: .*\.$"):
            minidl.gpu.require(0)


def test_memory(cupy: StandIn) -> None:
    before = minidl.gpu.memory()
    x = minidl.zeros(1000, 1000, device="gpu")
    after = minidl.gpu.memory()
    assert after.used - before.used == 4_000_000
    assert (after.free, after.total) == (3 * 2**30, 4 * 2**30)
    assert str(after).endswith("GiB held by the pool, 3.00 of 4.00 GiB free")
    del x
    assert minidl.gpu.memory().used == before.used
    minidl.gpu.empty_cache()
    assert minidl.cuda.memory() == minidl.gpu.memory()


def test_out_of_memory_is_one_sentence_and_leaves_the_weights(cupy: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Linear(6, 3).to("gpu")
    before = net.weight.data.get()
    data = TensorDataset(minidl.zeros(4, 6), minidl.zeros(4, dtype=minidl.int64))
    optimizer = optim.SGD(net.parameters(), lr=0.1)

    def full(*arguments: Any) -> None:
        raise OutOfMemoryError("Out of memory allocating 1,000 bytes (allocated so far: 900 bytes).")

    monkeypatch.setattr(cupy, "allocated", full)
    with pytest.raises(DeviceError) as caught:
        minidl.train.train_epoch(net, DataLoader(data, 2), minidl.train.training_step(net, optimizer))
    assert "expected enough memory on the GPU, got none left" in str(caught.value)
    assert "Use a smaller batch size" in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    np.testing.assert_array_equal(net.weight.data._array, before)


def test_the_hosts_own_memory_error_stays_one() -> None:
    with pytest.raises(MemoryError), minidl.gpu.explain_out_of_memory("somebody"):
        raise MemoryError("the host's")


def test_with_two_gpus_each_tensor_is_computed_where_it_lies(install: Callable[..., StandIn]) -> None:
    """The stand-in refuses work on an array that does not lie on the current device."""
    state = install(2)
    results = []
    for device in ("gpu:1", "gpu:0", "cpu"):
        minidl.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)).to(device)
        x, y = minidl.randn(4, 2, 4, 4, device=device), minidl.tensor([0, 1, 2, 0], device=device)
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
        assert str(loss.device) == ("cpu" if device == "cpu" else device)
        assert all(parameter.grad.device == device for parameter in net.parameters())
        results.append([p.detach().cpu().numpy() for p in net.parameters()])
        assert state.device == 0  # what was current before is so again
    for one, other, host in zip(*results):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, host, rtol=1e-3, atol=1e-5)


def test_mixing_devices_names_both(install: Callable[..., StandIn]) -> None:
    install(2)
    a, b, c = (minidl.ones(3, device=device) for device in ("cpu", "gpu", "gpu:1"))
    for first, second, names in ((a, b, "cpu and gpu:0"), (b, a, "gpu:0 and cpu"), (b, c, "gpu:0 and gpu:1")):
        with pytest.raises(DeviceError, match=rf"all tensors on one device, got {names}\. Move one of them"):
            first + second
    net = nn.Linear(3, 2)
    with pytest.raises(DeviceError, match="expected all tensors on one device"):
        net(minidl.ones(4, 3, device="gpu"))
    with pytest.raises(DeviceError, match="expected all tensors on one device"):
        nn.functional.cross_entropy(minidl.ones(4, 3, device="gpu"), minidl.zeros(4, dtype=minidl.int64))


OPTIMIZERS = [
    name for name, kind in vars(optim).items()
    if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
]  # fmt: skip


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_on_the_second_of_two(name: str, captured: bool, install: Callable[..., StandIn]) -> None:
    install(2)  # the first is the current one, and stays it

    def run(device: str) -> list[Any]:
        minidl.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 3)).to(device)
        optimizer = getattr(optim, name)(net.parameters(), lr=0.01)
        average = optim.swa_utils.AveragedModel(net)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            return loss

        train = minidl.capture(step) if captured else step
        x = minidl.from_numpy(np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)).to(device)
        y = minidl.tensor([0, 1, 2, 0, 1, 2], device=device)
        losses = []
        for _ in range(5):
            losses.append(train(x, y).item())
            average.update_parameters(net)
        return [losses, *[p.detach().cpu().numpy() for p in average.parameters()]]

    for got, expected in zip(run("gpu:1"), run("cpu")):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
