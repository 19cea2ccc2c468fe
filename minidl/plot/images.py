"""Images on a page: with bars of class probabilities beside them, or with a caption below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, ShapeError
from minidl.plot.figure import COLORS, GREY, INK, new_figure, plain_axes, save_figure

__all__ = ["image_grid", "predictions"]


def predictions(
    path: str | os.PathLike[str],
    images: Sequence[np.ndarray],
    probabilities: np.ndarray,
    classes: Sequence[str],
    title: str = "",
    *,
    labels: Sequence[int] | None = None,
    captions: Sequence[str] | None = None,
    columns: int = 3,
) -> Path:
    """Each image beside bars of the probabilities that a network gives its classes.

    images: M arrays (H, W, C) uint8, C = 1 or 3; probabilities: (M, K) in [0, 1]; classes: K names. labels: the true
    class of each, if known: its bar is blue; a wrong answer's is vermilion. captions: texts above the images (default:
    the prediction). Writes ``path`` (PNG) and returns it. Raises ShapeError where the lengths do not fit.
    """
    probabilities = np.asarray(probabilities)
    count, kinds = len(images), len(classes)
    if count == 0:
        raise ArgumentError("plot.predictions", expected="at least one image", got="none")
    for name, given in (("labels", labels), ("captions", captions)):
        if given is not None and len(given) != count:
            raise ShapeError("plot.predictions", expected=f"{count} {name}, one for each image", got=str(len(given)))
    if probabilities.shape != (count, kinds):
        raise ShapeError("plot.predictions", expected=f"probabilities ({count}, {kinds})", got=str(probabilities.shape))
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new_figure("plot.predictions", 4.3 * columns, 2.35 * rows + (0.45 if title else 0), title)
    grid = figure.add_gridspec(rows, 2 * columns, width_ratios=[1, 1.05] * columns)
    if labels is not None:
        figure.supxlabel("Blue: the true class. Vermilion: a wrong prediction.", fontsize=10, color=INK)
    for i in range(count):
        row, column = divmod(i, columns)
        picture = figure.add_subplot(grid[row, 2 * column])
        bars = figure.add_subplot(grid[row, 2 * column + 1])
        answer = int(probabilities[i].argmax())
        caption = captions[i] if captions is not None else f"{classes[answer]}, {100 * probabilities[i, answer]:.0f} %"
        _show(picture, images[i], caption)
        _bars(bars, probabilities[i], classes, None if labels is None else int(labels[i]))
    return save_figure(figure, path)


def image_grid(
    path: str | os.PathLike[str],
    images: Sequence[np.ndarray],
    captions: Sequence[str] | None = None,
    title: str = "",
    *,
    columns: int = 5,
) -> Path:
    """Images in rows, each below its caption: the ten worst ones, for example.

    images: M arrays (H, W, C) uint8, C = 1 or 3; captions: M short texts. Writes ``path`` (PNG) and returns it.
    """
    count = len(images)
    if count == 0:
        raise ArgumentError("plot.image_grid", expected="at least one image", got="none")
    if captions is not None and len(captions) != count:
        raise ShapeError("plot.image_grid", expected=f"{count} captions, one for each image", got=str(len(captions)))
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new_figure("plot.image_grid", 1.9 * columns, 2.2 * rows + (0.45 if title else 0), title)
    for i in range(count):
        _show(figure.add_subplot(rows, columns, i + 1), images[i], "" if captions is None else captions[i])
    return save_figure(figure, path)


def _show(axes: Any, image: np.ndarray, caption: str) -> None:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ShapeError("plot", expected="an image (H, W, C) with 1 or 3 channels", got=str(image.shape))
    if image.shape[2] == 1:
        axes.imshow(image[:, :, 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(caption, fontsize=10.5, color=INK)


def _bars(axes: Any, probabilities: np.ndarray, classes: Sequence[str], label: int | None) -> None:
    """A bar for every class: the prediction in colour, the true class in blue, all others grey."""
    answer = int(probabilities.argmax())
    colors = ["#C9C9C9"] * len(classes)
    colors[answer] = COLORS[0] if label is None or label == answer else COLORS[1]
    if label is not None:
        colors[label] = COLORS[0]
    axes.barh(range(len(classes)), 100 * probabilities, color=colors, height=0.72)
    axes.set_yticks(range(len(classes)), classes)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100], ["0", "50", "100 %"])
    plain_axes(axes)
    axes.tick_params(labelsize=8.5, length=0)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(50, color="#E4E4E4", linewidth=0.8, zorder=0)
    for tick, color in zip(axes.get_yticklabels(), colors, strict=True):
        chosen = color in COLORS
        tick.set_color(INK if chosen else GREY)
        tick.set_fontweight("bold" if chosen else "normal")
