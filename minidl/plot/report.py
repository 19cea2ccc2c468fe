"""Precision, recall and F1 of every class as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.plot.figure import COLORS, GREY, INK, new_figure, plain_axes, save_figure

__all__ = ["classification_report"]

_MARKS = {"precision": (COLORS[0], "o"), "recall": (COLORS[1], "s"), "f1-score": (INK, "|")}


def classification_report(
    path: str | os.PathLike[str], report: Mapping[str, Any], classes: Sequence[str], title: str = ""
) -> Path:
    """A line for every class with its precision, recall and F1, best class first, and the averages at the bottom.

    report: what ``minidl.train.classification_report`` gives for ``classes``. Writes ``path`` (PNG) and returns it.
    Raises ArgumentError where a class is missing.
    """
    missing = [name for name in classes if name not in report]
    if missing:
        raise ArgumentError(
            "plot.classification_report", expected="figures of every class", got=f"none of {missing[0]}"
        )
    names = sorted(classes, key=lambda name: -report[name]["f1-score"]) + ["macro avg"]
    labels = [f"{name}  ({report[name]['support']:.0f})" for name in names[:-1]] + ["mean of the classes"]
    figure = new_figure("plot.classification_report", 7.2, 0.36 * len(names) + 1.5, title)
    axes = figure.subplots()
    places = np.arange(len(names), dtype=float)
    places[-1] += 0.4  # a little apart from the classes
    low = min(report[name][kind] for name in names for kind in _MARKS)
    for place, name in zip(places, names):
        ends = [100 * report[name][kind] for kind in ("precision", "recall")]
        axes.plot(ends, [place, place], color="#D0D0D0", linewidth=5, solid_capstyle="round", zorder=1)
    for kind, (color, marker) in _MARKS.items():
        values = [100 * report[name][kind] for name in names]
        size = 150 if marker == "|" else 42
        label = "F1" if kind == "f1-score" else kind
        axes.scatter(values, places, color=color, marker=marker, s=size, label=label, zorder=3, linewidths=2)
    for place, name in zip(places, names):
        text = f"{100 * report[name]['f1-score']:.0f}"
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=10.5, color=INK)
    axes.text(1.02, -1.1, "F1", transform=axes.get_yaxis_transform(), va="center", fontsize=10.5, color=GREY)
    axes.set_yticks(places, labels, fontsize=10.5)
    axes.invert_yaxis()
    axes.set_xlim(max(0.0, 10 * np.floor(10 * low - 0.2)), 100.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("%  (in brackets: images of the class)", fontsize=10.5, color=INK)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    plain_axes(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=10.5, labelcolor=INK, markerscale=0.9)
    return save_figure(figure, path)
