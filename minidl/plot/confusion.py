"""The confusion matrix as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minidl.errors import ShapeError
from minidl.plot.figure import INK, new_figure, save_figure

__all__ = ["confusion_matrix"]


def confusion_matrix(path: str | os.PathLike[str], matrix: np.ndarray, classes: Sequence[str], title: str = "") -> Path:
    """Which class was taken for which: rows are the true classes, columns the predicted ones, in per cent of the row.

    matrix: counts (C, C) as ``minidl.train.confusion_matrix`` gives; classes: C names. A row without images stays
    empty. Writes ``path`` (PNG) and returns it. Raises ShapeError where matrix and names do not fit.
    """
    counts = np.asarray(matrix)
    size = len(classes)
    if counts.shape != (size, size):
        raise ShapeError("plot.confusion_matrix", expected=f"counts ({size}, {size})", got=str(counts.shape))
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    inches = 0.52 * size + 2.0
    figure = new_figure("plot.confusion_matrix", inches + 0.5, inches, title)
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for true in range(size):
        for predicted in range(size):
            value = percent[true, predicted]
            # Small ones are noise to the eye; the diagonal is shown whatever it is.
            if totals[true] and (value > 0.5 or true == predicted):
                axes.text(
                    predicted,
                    true,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=10,
                    color="white" if value > 55 else INK,
                )
    axes.set_xticks(range(size), classes, rotation=40, ha="right", rotation_mode="anchor", fontsize=10.5, color=INK)
    axes.set_yticks(range(size), classes, fontsize=10.5, color=INK)
    axes.set_xlabel("Predicted class", fontsize=11, color=INK)
    axes.set_ylabel("True class", fontsize=11, color=INK)
    axes.set_xticks(np.arange(-0.5, size), minor=True)
    axes.set_yticks(np.arange(-0.5, size), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.set_label("Share of the true class (%)", fontsize=10.5, color=INK)
    bar.outline.set_visible(False)
    return save_figure(figure, path)
