"""The parts of the sixth report's method, each against what it is to do; and that it goes on bit for bit."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import minidl
from minidl.data import DataLoader, ImageData, Subset
from minidl.models import WhitenedConvNet

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from reports.catalogue import ROWS
from reports.fast_training import BIAS_FACTOR, RATE, FastTraining, Views, whitening_filters
from reports.place import Place
from reports.record import Network
from reports.runner import Options, run_row

ROW = ROWS["005-fast"]


@pytest.fixture(scope="module")
def data() -> ImageData:
    random = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(random.integers(0, 256, (70, 16, 16, 3)), 2, axis=1), 2, axis=2)
    x = np.clip(smooth + random.integers(-9, 9, smooth.shape), 0, 255).astype(np.uint8)
    y = np.arange(70) % 10
    return ImageData("cifar10", x[:50], y[:50], x[50:], y[50:], tuple("abcdefghij"), (0.5,) * 3, (0.25,) * 3)


def test_the_first_layer_whitens(data: ImageData) -> None:
    filters = whitening_filters(data, epsilon=0.0)
    np.testing.assert_array_equal(filters[:12], -filters[12:])
    images = torch.tensor((data.x_train / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)
    outputs = torch.nn.functional.conv2d(images, torch.tensor(filters[:12], dtype=torch.float64))
    rows = outputs.permute(1, 0, 2, 3).reshape(12, -1)  # (N, 12, 31, 31) -> (12, N * 31 * 31)
    np.testing.assert_allclose((rows @ rows.T / rows.shape[1]).numpy(), np.eye(12), atol=2e-3)


def test_the_network_and_its_beginning(data: ImageData) -> None:
    model = WhitenedConvNet()
    assert sum(p.numel() for p in model.parameters()) == ROW.network.parameters
    x = minidl.randn(2, 24, 5, 5)
    passed = model.block1.conv1(x).detach().numpy()[:, :24]  # the identity is learned already
    np.testing.assert_allclose(passed, x.numpy(), rtol=1e-5, atol=1e-6)
    method = FastTraining(model, ROW.optimizer, data, 16, 2)
    groups = method.parameters()
    learned = {id(p) for group in groups for p in group["params"]}
    assert learned == {id(p) for p in model.parameters() if p.requires_grad}
    assert all(
        name.endswith("bias") for name, p in model.named_parameters() if any(p is q for q in groups[0]["params"])
    )
    assert groups[0]["lr"] == BIAS_FACTOR * groups[1]["lr"]
    assert groups[0]["lr"] * groups[0]["weight_decay"] == pytest.approx(groups[1]["lr"] * groups[1]["weight_decay"])
    assert abs(RATE - 1.5) < 1e-12


def test_every_image_is_mirrored_in_every_other_epoch(data: ImageData) -> None:
    method = FastTraining(WhitenedConvNet(), ROW.optimizer, data, 16, 4)
    loader = DataLoader(Subset(data.train_set(), np.arange(50)), 50)
    seen = []
    for number in (1, 2, 3):
        method.begin_epoch(number, loader)
        seen.append(np.rint((next(iter(loader))[0].numpy() * 0.25 + 0.5) * 255).astype(np.uint8))
    straight = data.x_train.transpose(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
    is_straight = [(images == straight).all(axis=(1, 2, 3)) for images in seen]
    is_mirrored = [(images == straight[:, :, :, ::-1]).all(axis=(1, 2, 3)) for images in seen]
    np.testing.assert_array_equal(is_straight[0], ~is_mirrored[0])
    np.testing.assert_array_equal(is_straight[0], is_mirrored[1])
    np.testing.assert_array_equal(is_straight[0], is_straight[2])
    assert 10 < is_straight[0].sum() < 40


def test_the_rate_rises_and_falls(data: ImageData) -> None:
    method = FastTraining(WhitenedConvNet(), ROW.optimizer, data, 1, 2)
    optimizer = minidl.optim.SGD(method.parameters(), lr=1.0, momentum=0.85, nesterov=True)
    rates = []
    for step in range(101):
        method.step = step
        method.before_step(optimizer)
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert [rate / RATE for _, rate in (rates[0], rates[23], rates[100])] == pytest.approx([0.2, 1.0, 0.07])
    assert all(fast == pytest.approx(64 * rate) for fast, rate in rates)


def test_lookahead(data: ImageData) -> None:
    """The fast weights are set to the moving average every five steps, and to the slow ones at the end."""
    model = WhitenedConvNet()
    method = FastTraining(model, ROW.optimizer, data, 1, 1)  # 50 steps
    weight = model.get_parameter("head.weight").data
    expected = slow = weight.copy()
    for step in range(1, 51):
        weight += 1
        expected = expected + 1
        method.after_step()
        if step % 5 == 0:
            decay = 0.95**5 * (step / 50) ** 3
            slow = expected = decay * slow + (1 - decay) * expected
        np.testing.assert_allclose(weight, expected, rtol=1e-5)
    weight += 1
    method.end_epoch(1)
    np.testing.assert_allclose(weight, slow, rtol=1e-5)


def test_six_views() -> None:
    """Of a network that is the pixel at (0, 1): the mean of six pixels, by hand."""

    class Pixel(minidl.nn.Module):
        def forward(self, x: minidl.Tensor) -> minidl.Tensor:
            return x[:, :, 0, 1]

    x = np.random.default_rng(0).normal(size=(2, 3, 4, 4))
    out = Views(Pixel())(minidl.tensor(x)).numpy()
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    views = {"still": (x, 0.5), "up": (around[:, :, :4, :4], 0.25), "down": (around[:, :, 2:, 2:], 0.25)}
    expected = sum(share * 0.5 * (view[:, :, 0, 1] + view[:, :, 0, 2]) for view, share in views.values())
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_it_learns_and_goes_on_bit_for_bit(data: ImageData, tmp_path: Path) -> None:
    network = Network("narrow", partial(WhitenedConvNet, (24, 24, 24)), 27_024)
    network = replace(network, parameters=sum(p.numel() for p in network.make().parameters()))
    row = replace(ROW, network=network, epochs=5, batch_size=16)
    lines: list[str] = []
    options = Options(minidl.device("cpu"), resume=True, capture=False, say=lines.append, bars=False)
    whole = run_row(row, data, Place(tmp_path / "whole", row.name), options)
    losses = [epoch["train_loss"] for epoch in whole["epochs"]]
    assert losses[-1] < losses[0]

    stops = iter(range(3))

    def stop_at_third(text: str) -> None:
        if "| epoch" in text and next(stops) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_row(row, data, Place(tmp_path / "parts", row.name), replace(options, say=stop_at_third))
    parts = run_row(row, data, Place(tmp_path / "parts", row.name), options)
    assert any("going on after epoch 2" in line for line in lines)
    assert json.dumps(parts["figures"]) == json.dumps(whole["figures"])
    files = [Place(tmp_path / folder, row.name).weights.read_bytes() for folder in ("whole", "parts")]
    assert files[0] == files[1]
