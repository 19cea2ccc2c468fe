"""The benchmark for GPUs says in one sentence why it cannot run here, and writes nothing."""

from __future__ import annotations

import importlib
from pathlib import Path

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
