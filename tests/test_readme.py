"""The README's example runs as it stands, and learns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_twenty_lines_learn() -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["loss"].item() < 1.5, "ten classes: guessing costs 2.3"


def test_the_files_it_names_are_there() -> None:
    root = Path(__file__).parents[1]
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / name).exists(), name
