"""Memory on the GPU: flat over thousands of steps, one sentence when it is full; weights go from there to the CPU."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import models, nn, optim
from minidl.backend import gpu
from minidl.errors import DeviceError
from minidl.nn import functional as F

STEPS = 2000


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
def test_memory_stays_flat_over_2000_steps(captured: bool) -> None:
    minidl.manual_seed(0)
    net = models.LeNet().to("gpu")
    optimizer = optim.Adam(net.parameters(), lr=1e-4)
    x, y = minidl.randn(8, 3, 32, 32, device="gpu"), minidl.zeros(8, dtype=minidl.int64, device="gpu")

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run: Any = minidl.capture(step) if captured else step
    total = minidl.zeros(1, device="gpu")
    for number in range(STEPS):
        total = total + run(x, y).detach()
        if number == 20:
            gc.collect()
            before = minidl.gpu.memory()
    gc.collect()
    after = minidl.gpu.memory()
    assert np.isfinite(total.item())
    assert after.used == before.used
    assert after.held == before.held


def test_memory_falls_with_the_loss_without_the_cycle_collector() -> None:
    net = models.LeNet().to("gpu")
    x = minidl.randn(64, 3, 32, 32, device="gpu")
    gc.collect()
    gc.disable()
    try:
        F.mse_loss(net(x), minidl.zeros(64, 10, device="gpu"))
        before = minidl.gpu.memory().used
        loss = F.mse_loss(net(x), minidl.zeros(64, 10, device="gpu"))
        during = minidl.gpu.memory().used
        del loss
        assert during > before == minidl.gpu.memory().used
    finally:
        gc.enable()


def test_a_full_gpu_is_one_sentence() -> None:
    pool = gpu.cupy().get_default_memory_pool()
    pool.set_limit(size=pool.total_bytes() + 2**20)
    try:
        with pytest.raises(DeviceError, match=r"expected enough memory on the GPU, got none left .*smaller batch size"):
            minidl.from_numpy(np.zeros(2**22, np.float32)).to("gpu")
    finally:
        pool.set_limit(size=0)
    assert minidl.ones(4, device="gpu").sum().item() == 4


def test_weights_saved_on_the_gpu_load_on_the_cpu(tmp_path: Path) -> None:
    minidl.manual_seed(0)
    net = models.AveragePoolConvNet().to("gpu").eval()
    minidl.save(net.state_dict(), tmp_path / "weights.safetensors")
    other = models.AveragePoolConvNet().eval()
    other.load_state_dict(minidl.load(tmp_path / "weights.safetensors"))
    x = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    here, there = other(minidl.from_numpy(x)), net(minidl.from_numpy(x).to("gpu"))
    np.testing.assert_allclose(there.detach().cpu().numpy(), here.detach().numpy(), rtol=1e-4, atol=1e-5)
    state = minidl.load(tmp_path / "weights.safetensors", map_location="gpu")
    assert all(tensor.device == "gpu" for tensor in state.values())


def test_dropout_and_augmentation_draw_the_cpus_bits() -> None:
    masks = []
    for device in ("cpu", "gpu"):
        minidl.manual_seed(5)
        layer = nn.Dropout(0.4)
        masks.append([layer(minidl.ones(3, 5, 7, 9, device=device)).cpu().numpy() for _ in range(3)])
    np.testing.assert_array_equal(*masks)
    batches = []
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (50, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 50)
    for device in ("cpu", "gpu"):
        minidl.manual_seed(5)
        data = minidl.data.ImageDataset(pixels, labels, augmentation=minidl.data.Augmentation(4, 0.5)).to(device)
        loader = minidl.data.DataLoader(data, 16, shuffle=True)
        batches.append([(x.cpu().numpy(), y.cpu().numpy()) for x, y in loader])
    for (a, b), (c, d) in zip(*batches, strict=True):
        np.testing.assert_allclose(c, a, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(d, b)
