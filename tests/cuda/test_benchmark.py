"""The benchmark for GPUs: why it cannot run here, in one sentence; and how it runs the example."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from minidl.backend import gpu


def test_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.setattr(gpu, "_find", lambda: gpu._Found(None, 0, "CuPy is not installed", "Install it."))
    benchmark = importlib.import_module("benchmarks.gpu")
    assert benchmark.main(["--out", str(tmp_path / "results")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("benchmarks.gpu: device: expected an NVIDIA GPU")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "results").exists()
    with pytest.raises(SystemExit):
        benchmark.main(["--out", str(tmp_path), "speed"])
    assert "no part 'speed'; there are tests, steps, epochs, costs, compile" in capsys.readouterr().err


def test_the_example_is_run_eagerly_and_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    benchmark = importlib.import_module("benchmarks.gpu")
    commands = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command[1:-4])
        out = Path(command[-1])
        out.mkdir()
        if "--capture" in command:
            return subprocess.CompletedProcess(command, 2, "", "out of memory")
        epochs = [{"seconds": 2.5, "test_accuracy": share} for share in (0.7, 0.8, 0.9)]
        (out / "history-shapes.json").write_text(json.dumps({"epochs": epochs}))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    found = benchmark._epochs(tmp_path)
    eager = ["examples/cifar_cnn.py", "--device", "gpu"]
    assert commands == [eager, [*eager, "--capture"]]
    assert [run["failure"] for run in found["runs"]] == [None, "examples/cifar_cnn.py --device gpu --capture failed"]
    assert found["failure"] == found["runs"][1]["failure"]
    assert found["runs"][0]["seconds to 80 %"] == 5.0
    assert "on shapes: 80 % after 5.0 s of training" in found["text"]
    assert "out of memory" in found["text"]
