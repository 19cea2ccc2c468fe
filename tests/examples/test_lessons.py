"""The lessons run, and what they claim holds (each checks itself and stops where it does not)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_backpropagation_by_hand_agrees_with_the_engine_and_learns(capsys: pytest.CaptureFixture[str]) -> None:
    lesson = runpy.run_path(str(EXAMPLES / "lesson_backpropagation.py"))
    assert lesson["main"]() < 0.02
    assert "Sum <- Tanh <- Mul <- w" in capsys.readouterr().out


def test_im2col_agrees_with_the_definition_and_with_minidl(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "lesson_im2col.py"), run_name="__main__")
    assert capsys.readouterr().out.count("largest difference") == 4
