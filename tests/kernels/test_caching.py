"""Cached kernels are compiled anew when a file that they are made from has changed, and only then."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import minidl

PROGRAM = """
import numpy
from numba.core import event
from minidl.kernels.cpu import dropout

compiled = []


class Listener(event.Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__name__)

    def on_end(self, event):
        pass


with event.install_listener("numba:compile", Listener()):
    y = dropout.dropout_forward(numpy.ones(12, numpy.float32), 0.5, 1, 2, 3)
print(len(compiled), "".join("01"[int(v > 0)] for v in y))
"""


def run(root: Path) -> tuple[bool, str]:
    """Whether anything was compiled in a fresh process, and a mask."""
    environment = {**os.environ, "PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(root / "cache")}
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, env=environment, check=True, capture_output=True, text=True
    )
    count, mask = child.stdout.split()
    return int(count) > 0, mask


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_change_in_another_file_is_noticed(tmp_path: Path) -> None:
    """Dropout's kernel contains functions of cpu/philox.py, which has its constants from plain/philox.py."""
    shutil.copytree(Path(minidl.__file__).parent, tmp_path / "minidl", ignore=shutil.ignore_patterns("__pycache__"))
    kernels = tmp_path / "minidl" / "kernels"
    compiled, first = run(tmp_path)
    assert compiled
    assert run(tmp_path) == (False, first)
    change(kernels / "cpu" / "pooling.py", "LANES = ", "LANES = 0 + ")  # not one that dropout imports
    assert run(tmp_path) == (False, first)
    change(kernels / "cpu" / "philox.py", "first, second = c0 * _M0, c2 * _M1", "first, second = c2 * _M0, c0 * _M1")
    compiled, second = run(tmp_path)
    assert compiled
    assert second != first
    change(kernels / "plain" / "philox.py", "MULTIPLIERS = (", "MULTIPLIERS = (1 + ")
    compiled, third = run(tmp_path)
    assert compiled
    assert third not in (first, second)
    assert run(tmp_path) == (False, third)


def test_every_kernel_is_cached_so() -> None:
    for file in (Path(minidl.__file__).parent / "kernels" / "cpu").glob("*.py"):
        imported = re.findall(r"^from numba import (.*)", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert not any("njit" in names for names in imported), f"{file.name}: take njit from minidl.kernels.cpu.caching"
