"""The filters of a first layer as small images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minidl._tensor import Tensor
from minidl.errors import ShapeError
from minidl.plot.figure import new_figure, save_figure

__all__ = ["filters"]


def filters(path: str | os.PathLike[str], weight: Tensor | np.ndarray, title: str = "", *, columns: int = 8) -> Path:
    """Every filter of a first convolution, or every row of a first linear layer's weights, as an image.

    weight: (O, C, kh, kw) with C = 1 (grey) or 3 (RGB). Each filter is scaled by its largest absolute value, so that
    middle grey is 0. Writes ``path`` (PNG) and returns it. Raises ShapeError for other shapes.
    """
    array = weight.detach().cpu().numpy() if isinstance(weight, Tensor) else np.asarray(weight)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
        raise ShapeError("plot.filters", expected="weights (O, C, kh, kw) with C = 1 or 3", got=str(array.shape))
    largest = np.abs(array).max(axis=(1, 2, 3), keepdims=True)
    pictures = 0.5 + 0.5 * array / np.where(largest == 0, 1, largest)  # in [0, 1], 0 becomes 0.5
    pictures = pictures.transpose(0, 2, 3, 1)  # (O, C, kh, kw) -> (O, kh, kw, C)
    columns = min(columns, len(array))
    rows = -(-len(array) // columns)
    height = 0.85 * rows * array.shape[2] / array.shape[3]
    figure = new_figure("plot.filters", max(0.85 * columns, 4.0), height + (0.45 if title else 0), title)
    for i, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, i + 1)
        shown = picture[:, :, 0] if picture.shape[2] == 1 else picture
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
    return save_figure(figure, path)
