"""Loss and accuracy over the epochs, of one run or of several side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.plot.figure import COLORS, GREY, INK, new_figure, plain_axes, save_figure

__all__ = ["comparison", "curves"]


def curves(
    path: str | os.PathLike[str],
    losses: Mapping[str, Sequence[float]],
    accuracies: Mapping[str, Sequence[float]],
    title: str = "",
    *,
    loss: str = "mean cross entropy",
    references: Mapping[str, float] | None = None,
) -> Path:
    """Two panels side by side, loss and accuracy, with a line for each name (such as "training" and "test").

    losses, accuracies: the figure after every epoch, accuracies as fractions in [0, 1]; NaN leaves a gap. The same name
    has the same colour in both panels. loss: what the loss is, for the heading. references: accuracies in [0, 1] that
    are drawn as dashed lines across, by name. Writes ``path`` (PNG) and returns it. ArgumentError where there is no
    epoch.
    """
    _check("plot.curves", losses, accuracies)
    names = list(dict.fromkeys([*losses, *accuracies]))
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    figure = new_figure("plot.curves", 9.5, 3.9, title)
    left, right = figure.subplots(1, 2)
    _panel(left, losses, colors, f"Loss ({loss})")
    _panel(right, _percent(accuracies), colors, "Accuracy (%)")
    for name, value in (references or {}).items():
        right.axhline(100 * value, color=GREY, linewidth=1.2, linestyle=(0, (5, 3)), label=name, zorder=1)
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=10.5, labelcolor=INK)
    return save_figure(figure, path)


def comparison(
    path: str | os.PathLike[str],
    losses: Mapping[str, Sequence[float]],
    accuracies: Mapping[str, Sequence[float]],
    title: str = "",
    *,
    loss: str = "Training loss",
    accuracy: str = "Test accuracy (%)",
) -> Path:
    """Several runs on one plot: a line for each run in two panels, the runs' names below both.

    losses, accuracies: for each run the figure after every epoch, accuracies as fractions in [0, 1]; NaN leaves a gap;
    runs may be of different length. loss, accuracy: the panels' headings. Writes ``path`` (PNG) and returns it.
    ArgumentError where there is no epoch, or more than six runs, which could not be told apart.
    """
    _check("plot.comparison", losses, accuracies)
    names = list(dict.fromkeys([*losses, *accuracies]))
    if len(names) > len(COLORS):
        raise ArgumentError("plot.comparison", expected=f"at most {len(COLORS)} runs", got=str(len(names)))
    colors = dict(zip(names, COLORS, strict=False))
    figure = new_figure("plot.comparison", 9.5, 4.3, title)
    panels = figure.subplots(1, 2)
    _panel(panels[0], losses, colors, loss)
    _panel(panels[1], _percent(accuracies), colors, accuracy)
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    columns = max(1, min(3, 110 // (max(len(name) for name in names) + 6)))  # some 110 letters fit side by side
    figure.legend(
        lines.values(),
        lines.keys(),
        loc="outside lower center",
        ncols=min(columns, len(names)),
        frameon=False,
        fontsize=10.5,
        labelcolor=INK,
    )
    return save_figure(figure, path)


def _check(who: str, losses: Mapping[str, Sequence[float]], accuracies: Mapping[str, Sequence[float]]) -> None:
    if not any(len(values) for values in (*losses.values(), *accuracies.values())):
        raise ArgumentError(who, expected="the figures of at least one epoch", got="none")


def _percent(accuracies: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    return {name: 100 * np.asarray(values) for name, values in accuracies.items()}


def _panel(axes: Any, lines: Mapping[str, Any], colors: Mapping[str, str], label: str) -> None:
    plain_axes(axes)
    longest = max((len(values) for values in lines.values()), default=1)
    for name, values in lines.items():
        epochs = np.arange(1, len(values) + 1)
        marker = "o" if longest <= 30 else ""
        axes.plot(epochs, values, color=colors[name], linewidth=2, marker=marker, markersize=4.5, label=name)
    axes.set_title(label, fontsize=11, loc="left", color=INK)
    axes.set_xlabel("Epoch", fontsize=10.5, color=INK)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_xlim(0.5 if longest == 1 else 1 - 0.03 * longest, longest + (0.5 if longest == 1 else 0.03 * longest))
