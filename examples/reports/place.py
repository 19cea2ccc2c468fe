"""Where a row's files lie under ``--out``, and reading and writing its result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.train.files import write_file
from reports.record import Row, describe

__all__ = ["PUBLISHED", "Place", "read_result"]

# The results and pictures that are part of the repository.
PUBLISHED = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Place:
    """The folder of one row. ``trial``: the number of epochs of a shortened run, which has a folder of its own."""

    out: Path
    name: str
    trial: int | None = None

    @property
    def folder(self) -> Path:
        return self.out / self.name if self.trial is None else self.out / "trials" / f"{self.name}-{self.trial}-epochs"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    @property
    def result(self) -> Path:
        return self.folder / f"{self.name}.json"

    def picture(self, name: str = "") -> Path:
        """The picture of the row, or one of several."""
        return self.folder / f"{name or self.name}.png"

    def epoch_weights(self, epoch: int) -> Path:
        """The weights after that many epochs, where the row keeps them."""
        return self.folder / f"weights-{epoch:03d}.safetensors"

    def other(self, name: str) -> Place:
        """The folder of another row's full run."""
        return Place(self.out, name)

    def finished(self, row: Any) -> bool:
        """Whether the row's result is there, and of the row as it is recorded now."""
        result = read_result(self.result)
        if result is None:
            return False
        return not isinstance(row, Row) or result.get("setting") == describe(row)

    def write_result(self, result: dict[str, Any]) -> None:
        """Write the result as JSON: a line for each setting and each epoch."""
        lines = []
        for key, value in result.items():
            if key == "epochs":
                text = "[\n  " + ",\n  ".join(json.dumps(epoch, allow_nan=False) for epoch in value) + "\n ]"
            else:
                text = json.dumps(value, allow_nan=False)
            lines.append(f" {json.dumps(key)}: {text}")
        write_file(self.result, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read_result(path: Path) -> dict[str, Any] | None:
    """The result in that file; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
