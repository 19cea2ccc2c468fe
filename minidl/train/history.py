"""What a run has to show: its settings, and the figures of every epoch, kept as JSON."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from minidl.errors import ArgumentError
from minidl.train.files import shown, write_file

__all__ = ["History"]


class History:
    """The settings of a run (``about``) and one record of figures for each epoch (``epochs``).

    ``history.add(train_loss=1.2, test_accuracy=0.61)`` notes an epoch; ``history["train_loss"]`` is that figure over
    all epochs. The records also number the epochs, from 1, as ``epoch``. Accuracies are fractions in [0, 1].
    """

    def __init__(self, about: dict[str, Any] | None = None, epochs: list[dict[str, Any]] | None = None) -> None:
        self.about = dict(about or {})
        self.epochs = [dict(record) for record in epochs or []]

    def __len__(self) -> int:
        """The number of epochs."""
        return len(self.epochs)

    def add(self, **figures: float) -> None:
        """Note the figures of the epoch that has just ended."""
        self.epochs.append({"epoch": len(self.epochs) + 1, **figures})

    def __getitem__(self, name: str) -> list[float]:
        """One figure over the epochs; NaN where an epoch lacks it or JSON could not hold it."""
        if self.epochs and not any(name in record for record in self.epochs):
            known = ", ".join(self.epochs[-1])
            raise KeyError(f"the history has no figure {name!r}; it has {known}")
        values = (record.get(name) for record in self.epochs)
        return [math.nan if value is None else value for value in values]

    def state_dict(self) -> dict[str, Any]:
        """The whole history as plain numbers and texts; losses that are infinite or NaN become None, as JSON asks."""
        return {"about": self.about, "epochs": [_finite(record) for record in self.epochs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        if (
            not isinstance(state, dict)
            or not isinstance(state.get("about"), dict)
            or not isinstance(state.get("epochs"), list)
            or not all(isinstance(record, dict) for record in state["epochs"])
        ):
            raise ArgumentError("History", expected='"about" and a list of "epochs"', got=shown(repr(state)))
        self.about, self.epochs = dict(state["about"]), [dict(record) for record in state["epochs"]]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, one epoch a line, whole or not at all."""
        state = self.state_dict()
        about = json.dumps(state["about"], indent=1, allow_nan=False)
        epochs = ",\n  ".join(json.dumps(record, allow_nan=False) for record in state["epochs"])
        write_file(path, f'{{"about": {about},\n "epochs": [\n  {epochs}\n ]}}\n'.encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Read what ``save`` wrote. FileNotFoundError, or ArgumentError for another file."""
        history = cls()
        try:
            history.load_state_dict(json.loads(Path(path).read_bytes()))
        except (ValueError, RecursionError) as error:
            if isinstance(error, ArgumentError):
                raise
            raise ArgumentError(
                "History.load", expected=f"a history in {path}", got=f"no JSON ({shown(error)})"
            ) from error
        return history


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }
