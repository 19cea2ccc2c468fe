"""Features of images as points of the plane, coloured by class: t-SNE."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from minidl.errors import ArgumentError, ExtraError, ShapeError
from minidl.plot.figure import INK, new_figure, save_figure

__all__ = ["embedding", "tsne"]

# Ten classes: Okabe and Ito's colours without black, and three more of other lightness.
CLASS_COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F3C8D",
    "#8C564B",
    "#B8B800",
    "#4D4D4D",
)


def tsne(features: np.ndarray, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Points (M, 2) of the plane in which images with like features (M, K) lie near one another.

    t-SNE (van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008), scikit-learn's, started from the two
    principal components. More than 50 features are first reduced to their 50 principal components, as the paper does.
    Same seed, same points. Raises ShapeError unless M is above ``perplexity``.
    """
    features = np.asarray(features)
    if features.ndim != 2 or len(features) <= perplexity:
        raise ShapeError("plot.tsne", expected=f"features (M, K), M above {perplexity:g}", got=str(features.shape))
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ExtraError("plot.tsne", "scikit-learn") from error
    if features.shape[1] > 50:
        features = PCA(min(50, len(features)), svd_solver="randomized", random_state=seed).fit_transform(features)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def embedding(
    path: str | os.PathLike[str],
    panels: Mapping[str, np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    title: str = "",
    *,
    columns: int = 3,
) -> Path:
    """Points of the plane in panels side by side, coloured by class.

    panels: by their headings, points (M, 2), the same M images in each; labels: their classes (M,); classes: the names,
    at most ten. Writes ``path`` (PNG) and returns it. Raises ShapeError where points and labels do not fit.
    """
    labels = np.asarray(labels)
    if not panels:
        raise ArgumentError("plot.embedding", expected="at least one panel", got="none")
    if len(classes) > len(CLASS_COLORS):
        raise ArgumentError("plot.embedding", expected=f"at most {len(CLASS_COLORS)} classes", got=str(len(classes)))
    for name, points in panels.items():
        if np.shape(points) != (len(labels), 2):
            raise ShapeError(
                "plot.embedding", expected=f"points ({len(labels)}, 2)", got=f"{np.shape(points)} in {name}"
            )
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure("plot.embedding", 3.1 * columns, 3.15 * rows + 0.9, title)
    # Drawn in a random order: else the last class would lie over all others.
    order = np.random.default_rng(0).permutation(len(labels))
    colors = np.asarray(CLASS_COLORS)[labels[order]]
    for number, (name, points) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.scatter(*np.asarray(points)[order].T, c=colors, s=2.0, linewidths=0, antialiased=False)
        axes.set_title(name, fontsize=9, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.02)
        for spine in axes.spines.values():
            spine.set_color("#D8D8D8")
    handles = [
        figure.axes[0].scatter([], [], color=color, s=45, label=name) for name, color in zip(classes, CLASS_COLORS)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(10 if columns > 2 else 5, len(classes)),
        frameon=False,
        fontsize=10.5,
        labelcolor=INK,
        handletextpad=0.1,
        columnspacing=1.1,
    )
    return save_figure(figure, path, colors=32)  # thousands of dots: with more shades it would be twice as large
