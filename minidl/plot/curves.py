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

POINTS = 4.0  # the least height of an accuracy panel: a network that only guesses shall not look lively
LETTERS = 110  # that fit side by side below the panels


def curves(
    path: str | os.PathLike[str],
    losses: Mapping[str, Sequence[float]],
    accuracies: Mapping[str, Sequence[float]],
    title: str = "",
    *,
    loss: str = "mean cross entropy",
    references: Mapping[str, float] | None = None,
) -> Path:
    """Two panels, loss and accuracy, with a line for each name (such as "training" and "test"), the names below both.

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
    for name, value in (references or {}).items():
        right.axhline(100 * value, color=GREY, linewidth=1.2, linestyle=(0, (5, 3)), label=name, zorder=1)
    _panel(right, _percent(accuracies), colors, "Accuracy (%)", POINTS)
    _legend(figure, (left, right), 3)
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
    _panel(panels[1], _percent(accuracies), colors, accuracy, POINTS)
    _legend(figure, panels, 3)
    return save_figure(figure, path)


def _legend(figure: Any, panels: Any, most: int) -> None:
    """The names of all lines, once, below the panels, where they hide none: in one row, or in rows of ``most``."""
    lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    wide = [len(name) + 9 for name in lines]
    columns = len(wide) if sum(wide) <= LETTERS else max(1, min(most, LETTERS // max(wide)))
    figure.legend(
        lines.values(),
        lines.keys(),
        loc="outside lower center",
        ncols=min(columns, len(lines)),
        frameon=False,
        fontsize=10.5,
        labelcolor=INK,
    )


def _check(who: str, losses: Mapping[str, Sequence[float]], accuracies: Mapping[str, Sequence[float]]) -> None:
    if not any(len(values) for values in (*losses.values(), *accuracies.values())):
        raise ArgumentError(who, expected="the figures of at least one epoch", got="none")


def _percent(accuracies: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    return {name: 100 * np.asarray(values) for name, values in accuracies.items()}


def _panel(
    axes: Any, lines: Mapping[str, Any], colors: Mapping[str, str], label: str, least_height: float = 0.0
) -> None:
    plain_axes(axes)
    longest = max((len(values) for values in lines.values()), default=1)
    for name, values in lines.items():
        epochs = np.arange(1, len(values) + 1)
        marker = "o" if longest <= 30 else ""
        axes.plot(epochs, values, color=colors[name], linewidth=2, marker=marker, markersize=4.5, label=name)
    if lines and not any(np.isfinite(values).any() for values in lines.values()):
        axes.text(0.5, 0.5, "NaN in every epoch", transform=axes.transAxes, ha="center", fontsize=11, color=INK)
        axes.set_yticks([])
    bottom, top = axes.get_ylim()
    if top - bottom < least_height:
        middle = (bottom + top) / 2
        axes.set_ylim(middle - least_height / 2, middle + least_height / 2)
    axes.set_title(label, fontsize=11, loc="left", color=INK)
    axes.set_xlabel("Epoch", fontsize=10.5, color=INK)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_xlim(0.5 if longest == 1 else 1 - 0.03 * longest, longest + (0.5 if longest == 1 else 0.03 * longest))
