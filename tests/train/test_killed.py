"""SIGKILL at any moment of training and of writing: the checkpoint always loads, the resumed run is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

import minidl
from minidl.train import load_checkpoint
from train import killed_run
from train.killed_run import BATCHES, Run

POINTS = 8  # in the writing of one checkpoint: opened, half written, around two fsyncs and the rename


@contextmanager
def started(*arguments: Any) -> Iterator[subprocess.Popen[str]]:
    paths = [str(Path(minidl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, killed_run.__file__, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def live(lives: subprocess.Popen[str], point: int = 0, seconds: float | None = None) -> int:
    """One life of the run, which dies at a point of writing or after some time; how it ended, 0 or -9."""
    assert lives.stdin is not None
    assert lives.stdout is not None
    lives.stdin.write(f"{point}\n")
    child = int(lives.stdout.readline())
    if seconds is not None:
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return int(lives.stdout.readline())


def content(path: Path) -> Any:
    """The whole checkpoint: its tensors' bytes and its document."""
    arrays = safetensors_numpy.load_file(path)
    with safetensors_numpy.safe_open(path, "numpy") as file:
        document = json.loads(file.metadata()["minidl_checkpoint"])
    return {name: array.tobytes() for name, array in arrays.items()}, document


def check(path: Path, reached: int) -> int:
    """What a kill left: no checkpoint before the first one, else one that loads and does not go back."""
    if not path.exists():
        assert reached == 0
        return 0
    batches = load_checkpoint(path, vars(Run()))["batches"]
    assert batches >= reached
    assert all(file.name in ("c", ".c.tmp") for file in path.parent.iterdir())
    return batches


def finish(folder: Path) -> Any:
    """The end of a run, of which the next one is to begin anew."""
    found = content(folder / "c")
    assert found[1]["notes"] == {"batches": BATCHES}
    for file in folder.iterdir():
        file.unlink()
    return found


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_killed_runs_go_on_bit_for_bit(tmp_path: Path, kills: int) -> None:
    random, killed, reached, runs = np.random.default_rng(kills), 0, 0, 0
    with started("lives", tmp_path) as lives:
        begin = time.perf_counter()
        assert live(lives) == 0
        whole_time = time.perf_counter() - begin
        whole = finish(tmp_path)
        while killed < kills:
            if killed % 2:
                end = live(lives, seconds=random.uniform(0, whole_time))
            else:
                end = live(lives, point=int(random.integers(1, 3 * POINTS + 1)))
            assert end in (0, -9)
            reached = check(tmp_path / "c", reached)
            killed += end == -9
            if end == 0:
                assert finish(tmp_path) == whole
                reached, runs = 0, runs + 1
        assert live(lives) == 0
        assert finish(tmp_path) == whole
    print(f"{kills} kills, {runs + 1} runs to the end")


def test_every_point_of_writing(tmp_path: Path) -> None:
    """A kill at each point of the second checkpoint leaves the first one, or from the rename on the second."""
    with started("lives", tmp_path) as lives:
        for point in range(1, POINTS + 1):
            assert live(lives, point=POINTS + point) == -9
            renamed = point > 5  # opened, half written, before fsync, after it, before the rename | after the rename
            assert check(tmp_path / "c", 0) == (4 if renamed else 2)
            for file in tmp_path.iterdir():
                file.unlink()


@pytest.mark.long
def test_killed_runs_of_compiled_kernels_go_on_bit_for_bit(tmp_path: Path) -> None:
    """The same with a process of its own for each life, which loads the kernels of this machine."""
    with started("once", tmp_path) as process:
        begin = time.perf_counter()
        process.wait()
        seconds = time.perf_counter() - begin
    whole, random, killed, reached = finish(tmp_path), np.random.default_rng(0), 0, 0
    while killed < 100:
        with started("once", tmp_path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0, seconds / 4))
            process.kill()
            killed += process.wait() == -9
        reached = check(tmp_path / "c", reached)
        if reached == BATCHES:
            assert finish(tmp_path) == whole
            reached = 0
    with started("once", tmp_path) as process:
        assert process.wait() == 0
    assert finish(tmp_path) == whole
