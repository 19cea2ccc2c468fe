"""Loss and accuracy over the epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import ArgumentError
from minidl.plot.figure import COLORS, INK, new_figure, plain_axes, save_figure

__all__ = ["curves"]


def curves(
    path: str | os.PathLike[str],
    losses: Mapping[str, Sequence[float]],
    accuracies: Mapping[str, Sequence[float]],
    title: str = "",
) -> Path:
    """Two panels side by side, loss and accuracy, with a line for each name (such as "training" and "test").

    losses, accuracies: the figure after every epoch, accuracies as fractions in [0, 1]; NaN leaves a gap. The same name
    has the same colour in both panels. Writes ``path`` (PNG) and returns it. ArgumentError where there is no epoch.
    """
    if not any(len(values) for values in (*losses.values(), *accuracies.values())):
        raise ArgumentError("plot.curves", expected="the figures of at least one epoch", got="none")
    names = list(dict.fromkeys([*losses, *accuracies]))
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    figure = new_figure("plot.curves", 9.5, 3.9, title)
    left, right = figure.subplots(1, 2)
    _panel(left, losses, colors, "Loss (mean cross entropy)")
    _panel(right, {name: 100 * np.asarray(values) for name, values in accuracies.items()}, colors, "Accuracy (%)")
    return save_figure(figure, path)


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
    axes.legend(frameon=False, fontsize=10.5, labelcolor=INK)
