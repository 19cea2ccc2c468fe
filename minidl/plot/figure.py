"""What all pictures share: a matplotlib figure without global state, colours that everybody can tell apart, saving."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from minidl.errors import ExtraError

__all__ = ["COLORS", "GREY", "INK", "new_figure", "plain_axes", "save_figure"]

# Okabe and Ito, "Color Universal Design" (2008): blue, vermilion, green, purple, orange, sky blue.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GREY = "#222222", "#8A8A8A"


def new_figure(who: str, width: float, height: float, title: str) -> Any:
    """An empty ``matplotlib.figure.Figure`` of width x height inches; pyplot and its global state stay alone."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExtraError(who, "matplotlib") from error
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, fontsize=13, color=INK, x=0.01, ha="left", fontweight="bold")
    return figure


def plain_axes(axes: Any) -> None:
    """Leave of an axes' frame the left and the lower line, in grey."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=10)


def save_figure(figure: Any, path: str | os.PathLike[str], colors: int = 256) -> Path:
    """Write the figure, drawn by Agg, as PNG (or what the ending of ``path`` says); returns the path.

    A PNG gets a palette of 256 colours, chosen for it: a third of the size, which adds up in reports of many pictures.
    With fewer ``colors``, for drawings of a few plain ones, nothing is dithered, and it becomes smaller still.
    """
    from PIL import Image  # matplotlib brings it

    path = Path(path)
    if path.suffix.lower() != ".png":
        figure.savefig(path)
        return path
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", pil_kwargs={"compress_level": 1})
    with Image.open(pixels) as picture:
        dither = Image.Dither.FLOYDSTEINBERG if colors == 256 else Image.Dither.NONE
        palette = picture.convert("RGB").quantize(colors, Image.Quantize.MEDIANCUT, dither=dither)
    palette.save(path, optimize=True)
    return path
