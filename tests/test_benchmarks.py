"""The benchmarks run, check what they time, and print what their documentation says; never how fast anything is."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
import torch

import minidl
from minidl import models, nn

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks are no part of the installed package


def module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def same_process(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Workers that live in this process, where a test can break one side; the module ``cpu``."""
    cpu, worker = module("cpu"), module("worker")

    class Here:
        def __init__(self, column: Any, threads: int) -> None:
            self.column = column
            self.tasks = worker._Tasks(column, module(f"{column.library}_side"))

        def ask(self, what: str, *arguments: Any) -> Any:
            return getattr(self.tasks, what)(*arguments)

        def close(self) -> None: ...

    monkeypatch.setattr(cpu, "Worker", Here)
    threads = numba.get_num_threads()
    yield cpu
    numba.set_num_threads(threads)


SHORT = ("--only", "W2-4", "--rounds", "1", "--bursts", "2", "--seconds", "0.01", "--threads", "1")


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.cpu", *SHORT, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "| W2-4 MLP 3072-120-84-10 |" in done.stdout
    assert "losses of the first steps agree" in done.stdout
    figures = json.loads(out.read_text())
    assert figures["machine"]["threads"] == figures["machine"]["minidl"]["threads"] == 1
    (result,) = figures["steps"]
    assert set(result["seconds"]) >= {"minidl", "torch tuned", "torch default"}
    assert all(len(bursts) == 2 and min(bursts) > 0 for bursts in result["seconds"].values())
    assert result["loss difference"] < 1e-5
    assert result["ratios"]["minidl"]["median"] > 0


@pytest.mark.parametrize("fault", ["learning rate", "weights"])
def test_a_wrong_loss_is_caught(
    fault: str, same_process: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = module("minidl_side")
    if fault == "learning rate":
        right = ours._step
        monkeypatch.setattr(ours, "_step", lambda c, w, network, rate: right(c, w, network, 1.01 * rate))
    else:
        right = ours._network

        def changed(*arguments: Any) -> Any:
            network = right(*arguments)
            network[1].weight.data[0, 0] += 0.1
            return network

        monkeypatch.setattr(ours, "_network", changed)
    assert same_process.main(SHORT) == 1
    printed = capsys.readouterr().out
    assert "LOSSES DIFFER (minidl 2." in printed
    assert "ms a step" in printed


def test_the_same_network_passes_in_the_same_process(same_process: Any) -> None:
    assert same_process.main(SHORT) == 0


def test_the_steps_of_the_captured_column_are_captured(
    same_process: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = []

    def capture(step: Any) -> Any:
        recorded.append(step)
        return step

    monkeypatch.setattr(minidl, "capture", capture)
    assert same_process.main(SHORT) == 0
    assert "ratio captured" in capsys.readouterr().out
    assert len(recorded) == 2  # for the check of the losses, and for the time


def test_nan_is_no_agreement() -> None:
    assert module("cpu").difference({"minidl": [1.0, float("nan")], "torch tuned": [1.0, 1.0]}) == float("inf")


def test_networks_are_those_of_the_experiments() -> None:
    networks = module("networks")
    twins = {
        networks.lenet: models.LeNet(),
        networks.mlp: models.MLP(3072, 120, 84, 10),
        networks.four_conv: models.FourConvNet(),
        networks.average_pool: models.AveragePoolConvNet(),
        networks.wide_conv: models.WideConvNet(),
        networks.batch_norm: models.BatchNormConvNet(),
    }
    assert {workload.network for workload in module("workloads").selected(None)} == set(twins)
    for build, model in twins.items():
        shapes = [tuple(parameter.shape) for parameter in model.parameters()]
        for library in (nn, torch.nn):
            assert sorted(tuple(p.shape) for p in build(library, True).parameters()) == sorted(shapes), build.__name__


def test_operations_compute_the_same_on_both_sides() -> None:
    cases = {case.kind: case for case in reversed(module("operations").CASES) if not case.kind.startswith("peak")}
    ours, theirs, cpu = module("operations_minidl"), module("operations_torch"), module("cpu")
    with torch.no_grad():
        for kind, case in cases.items():
            assert cpu._same(ours.prepare(case)[1], theirs.prepare(case)[1]), kind
    assert not cpu._same([1.0, 2.0], [1.0, 2.01])


def test_an_epoch_trains_on_every_image() -> None:
    """W7 on both sides, images in memory: the mean loss of untrained networks on random labels is that of a guess."""
    workloads = module("workloads")
    threads = numba.get_num_threads()
    for column in (workloads.MINIDL, workloads.TORCH):
        loss = module(f"{column.library}_side").epoch(column, 200)()
        assert 2.0 < loss < 3.2, column.name
    assert numba.get_num_threads() == threads


def test_torch_in_memory_crops_and_mirrors_as_torchvision_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels say where they come from: channel 0 is the row, 1 the column, 2 a mark; all from 1, and 0 is border."""
    workloads, side = module("workloads"), module("torch_side")
    count, places = 400, np.arange(1, 33, dtype=np.uint8)
    pixels = np.ones((count, 32, 32, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = places[:, None], places
    monkeypatch.setattr(workloads, "training_images", lambda _: (pixels, np.arange(count)))
    (batch, labels), *rest = side._from_memory(count, count)()
    assert not rest
    assert sorted(labels.tolist()) == list(range(count))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    mean, std = (np.array(values)[:, None, None] for values in (workloads.MEAN, workloads.STD))
    crops = np.rint((batch.numpy() * std + mean) * 255).astype(int)  # (N, C, H, W)
    bordered = np.pad(np.indices((32, 32)) + 1, ((0, 0), (4, 4), (4, 4)))
    seen = set()
    for row, column, mark in crops:
        top, left = row.max(1)[16] - 17, column.max(0)[16] - 17
        mirrored = column.max(0)[16] > column.max(0)[17]
        left = 16 - column.max(0)[16] if mirrored else left
        expected = bordered[:, :, ::-1] if mirrored else bordered
        expected = expected[:, 4 + top : 36 + top, 4 + left : 36 + left]
        np.testing.assert_array_equal([row, column], expected)
        np.testing.assert_array_equal(mark, expected[0] > 0)
        seen |= {("top", top), ("left", left), ("mirrored", mirrored)}
    assert len(seen) == 9 + 9 + 2


def test_the_profile_names_every_operation(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.profile", "W2-4", "--steps", "2", "--threads", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for part in ("Linear.forward", "Linear.backward", "CrossEntropy.backward", "optimizer.step", "rest"):
        assert f"| {part}" in done.stdout


def test_unknown_workloads_are_refused() -> None:
    workloads = module("workloads")
    assert [w.key for w in workloads.selected(["W2", "w7"])] == ["W2-4", "W2-128", "W7-64"]
    with pytest.raises(ValueError, match="no workload 'W9'; there are W1-1"):
        workloads.selected(["W9"])
