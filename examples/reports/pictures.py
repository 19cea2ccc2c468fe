"""The curves of a row, and of several rows side by side, drawn from their results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from minidl import plot
from reports.record import Alias, Report, Row

__all__ = ["draw_comparison", "draw_curves"]

LOSSES = {"cross_entropy": "mean cross entropy", "mse": "mean squared error"}
NAMES = {
    "train": "training, as it learns",
    "validation": "validation",
    "test": "test",
    "all_test": "all test images",
    "all_test_plain": "all test images, not cropped",
}


def draw_curves(path: Path, row: Row, result: dict[str, Any]) -> Path:
    """Loss and accuracy of a row over the epochs, the reported accuracy as a dashed line."""
    epochs = result["epochs"]
    parts = [name.removesuffix("_accuracy") for name in epochs[0] if name.endswith("_accuracy")]
    if "all_test" in parts:  # the whole says as much as its parts
        parts.remove("test")
    losses = {NAMES[part]: _values(epochs, f"{part}_loss") for part in parts}
    accuracies = {NAMES[part]: _values(epochs, f"{part}_accuracy") for part in parts}
    options = "".join(
        f", {name}" if value is True else f", {name} {value:g}" for name, value in row.optimizer.options.items()
    )
    title = (
        f"{row.name}: {row.network.name}, {row.optimizer.kind} {row.optimizer.lr:g}{options}, batch {row.batch_size}"
    )
    reported = row.reported
    references = {}
    if reported.value is not None:
        part = reported.measure.removeprefix("best_").removesuffix("_accuracy").replace("_", " ")
        references[f"reported ({part})"] = reported.value
    return plot.curves(path, losses, accuracies, title, loss=LOSSES[row.loss], references=references)


def draw_comparison(path: Path, report: Report, name: str, results: dict[str, dict[str, Any]]) -> Path | None:
    """The rows of a comparison side by side; None where fewer than two of them are there."""
    title, names = report.comparisons[name]
    rows = {row.name: row for row in report.rows}
    epochs = {}
    for row in (rows[name] for name in names):
        result = results.get(row.same_as if isinstance(row, Alias) else row.name)
        if result is not None:
            epochs[f"{row.name}: {row.title}"] = result["epochs"]
    if len(epochs) < 2:
        return None
    losses = {label: _values(of_run, "train_loss") for label, of_run in epochs.items()}
    accuracies = {label: _values(of_run, "test_accuracy") for label, of_run in epochs.items()}
    return plot.comparison(path, losses, accuracies, title)


def _values(epochs: list[dict[str, Any]], name: str) -> list[float]:
    return [math.nan if epoch[name] is None else epoch[name] for epoch in epochs]
