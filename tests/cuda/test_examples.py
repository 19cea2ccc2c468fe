"""The examples on the stand-in for a GPU: trained, stopped, resumed and judged there as on the CPU."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import StandIn

import minidl
from minidl.data import ImageData
from minidl.models import WhitenedConvNet

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from examples.test_command_line import Runner
from reports.catalogue import ROWS
from reports.place import Place
from reports.record import Network, Row
from reports.runner import Options, run_row

NARROW = Network("narrow", partial(WhitenedConvNet, (24, 24, 24)), 31_944)


def images(name: str) -> ImageData:
    """24 images to train on and 6 to test."""
    shape = (32, 32, 3) if name == "cifar10" else (28, 28, 1)
    x = np.random.default_rng(0).integers(0, 256, (30, *shape), np.uint8)
    y = np.arange(30) % 10
    scale = (0.5,) * shape[-1], (0.25,) * shape[-1]
    return ImageData(name, x[:24], y[:24], x[24:], y[24:], tuple("abcdefghij"), *scale)


def shortened(row: Row) -> Row:
    """The row with two epochs of three batches, of a narrow network where its own is wide."""
    few = replace(row.images, validation=8 if row.images.validation else 0)
    network = NARROW if row.name == "005-fast" else row.network
    return replace(row, images=few, network=network, epochs=2, batch_size=8, starts_from="", begins_like="")


class Stopped(Exception):
    """The run is stopped here."""


def stop(_: float) -> None:
    raise Stopped


# Squared errors; and all that the sixth report does beside plain training.
@pytest.mark.parametrize("name", ["001-mse", "005-fast"])
def test_a_row(name: str, tmp_path: Path, cupy: StandIn) -> None:
    row = shortened(ROWS[name])

    def run(device: str, folder: str, left: Any = None) -> list[dict[str, Any]]:
        options = Options(minidl.device(device), True, True, lambda _: None, bars=False, left=left)
        result = run_row(row, images(row.images.name), Place(tmp_path / folder, name), options)
        return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in result["epochs"]]

    on_cpu, on_gpu = run("cpu", "cpu"), run("gpu", "gpu")
    for epoch, expected in zip(on_gpu, on_cpu):
        for figure, value in expected.items():
            if figure.endswith("loss"):
                assert epoch[figure] == pytest.approx(value, rel=5e-3), figure
    with pytest.raises(Stopped):
        run("gpu", "stopped", stop)
    assert run("gpu", "stopped") == on_gpu


def test_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, cupy: StandIn) -> None:
    data = images("mnist")
    np.savez(
        tmp_path / "mnist.npz", x_train=data.x_train[..., 0], y_train=data.y_train.astype(np.uint8),
        x_test=data.x_test[..., 0], y_test=data.y_test.astype(np.uint8),
    )  # fmt: skip
    run = Runner(monkeypatch, capsys, tmp_path)
    for epochs, more in ((1, ()), (2, ("--resume", "--capture"))):
        result = run("mnist_cnn", "--device", "gpu", "--data-dir", tmp_path, "--epochs", epochs, *more)
        assert result.status == 0, result.err
        assert "on gpu:0, matrix products in TF32" in result.out
    assert "going on after epoch 1" in result.out
    assert "epoch 2/2" in result.out
