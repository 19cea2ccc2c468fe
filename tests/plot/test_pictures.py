"""Pictures: valid PNGs of sensible size that show what they were given, and nothing global is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from threadpoolctl import threadpool_limits

import minidl
from minidl import plot
from minidl.plot.embedding import CLASS_COLORS


def opened(path: Path) -> np.ndarray:
    """The pixels of a PNG (H, W, 3); at most 100 KB on disk."""
    assert path.stat().st_size < 100_000
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def has_color(pixels: np.ndarray, color: str) -> bool:
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels - rgb).max(axis=2) <= 2).sum() > 20)


BLUE, VERMILION = "#0072B2", "#D55E00"
NAMES = tuple("0123456789")


def test_curves(tmp_path: Path) -> None:
    losses = {"training": [2.0, 1.5, 1.2], "test": [1.8, 1.6, float("nan")]}
    accuracies = {"training": [0.3, 0.4, 0.6], "test": [0.35, 0.45, 0.5]}
    path = plot.curves(tmp_path / "curves.png", losses, accuracies, "CIFAR-10")
    pixels = opened(path)
    assert has_color(pixels, BLUE)
    assert has_color(pixels, VERMILION)
    one = opened(plot.curves(tmp_path / "one.png", {"training": [2.0]}, {"training": [0.1]}))
    assert has_color(one, BLUE)
    assert not has_color(one, VERMILION)
    with pytest.raises(minidl.ArgumentError, match="at least one epoch"):
        plot.curves(tmp_path / "none.png", {"training": []}, {})


def test_comparison(tmp_path: Path) -> None:
    runs = {"batch 1": [2.0, 1.5], "batch 4": [2.0, 1.0, 0.8]}
    path = plot.comparison(tmp_path / "c.png", runs, {name: [0.1] * len(v) for name, v in runs.items()}, "Batch size")
    pixels = opened(path)
    assert has_color(pixels, BLUE)
    assert has_color(pixels, VERMILION)
    green = "#009E73"
    assert not has_color(pixels, green)
    assert has_color(opened(plot.comparison(path, {**runs, "third": [1.0, 2.0]}, {})), green)
    with pytest.raises(minidl.ArgumentError, match="at most 6 runs"):
        plot.comparison(path, {str(i): [1.0] for i in range(7)}, {})
    with pytest.raises(minidl.ArgumentError, match="at least one epoch"):
        plot.comparison(path, {"a": []}, {})


def test_reported_figures_are_dashed_lines(tmp_path: Path) -> None:
    lines = {"test": [0.4, 0.6]}
    without = opened(plot.curves(tmp_path / "a.png", lines, lines, loss="mean squared error"))
    dashed = opened(plot.curves(tmp_path / "b.png", lines, lines, references={"reported": 0.5}))
    grey = [
        (np.ptp(pixels, axis=2) < 6) & (pixels[:, :, 0] > 120) & (pixels[:, :, 0] < 200) for pixels in (without, dashed)
    ]
    fullest = [np.sort(g[:, g.shape[1] // 2 :].sum(axis=1)) for g in grey]
    # the right panel's lower frame is grey as well: the line is what comes second
    assert fullest[0][-2] < 100 < fullest[1][-2]


def test_a_network_that_only_guesses_looks_like_one(tmp_path: Path) -> None:
    """Accuracies that hardly differ make a flat line, and a loss that is NaN throughout is said to be so."""
    nan = float("nan")
    guessing = [0.1, 0.1003, 0.0998, 0.1001]
    pixels = opened(plot.curves(tmp_path / "a.png", {"test": [nan] * 4}, {"test": guessing}))
    left, right = np.split(pixels[: int(0.85 * len(pixels))], [pixels.shape[1] // 2], axis=1)  # without the names below
    blue = np.abs(right - [0x00, 0x72, 0xB2]).max(axis=2) <= 2
    rows = np.flatnonzero(blue.any(axis=1))
    assert 0 < np.ptp(rows) < 0.15 * len(right)
    middle = left[int(0.3 * len(left)) : int(0.7 * len(left)), int(0.2 * left.shape[1]) :]
    assert (middle.max(axis=2) < 120).sum() > 50, "no words in the empty panel"
    number = opened(plot.curves(tmp_path / "b.png", {"test": [2.3] * 4}, {"test": guessing}))
    assert (number != pixels).any()


def test_embedding_shows_every_class(tmp_path: Path) -> None:
    centres = np.random.default_rng(0).normal(size=(10, 2)) * 9
    labels = np.arange(400) % 10
    points = centres[labels] + np.random.default_rng(1).normal(size=(400, 2))
    path = plot.embedding(tmp_path / "e.png", {"start": points, "end": -points}, labels, NAMES, "t-SNE")
    pixels = opened(path)
    for color in CLASS_COLORS:
        assert has_color(pixels, color), color
    with pytest.raises(minidl.ShapeError, match=r"points \(400, 2\)"):
        plot.embedding(path, {"start": points[:-1]}, labels, NAMES)
    with pytest.raises(minidl.ArgumentError, match="at most 10 classes"):
        plot.embedding(path, {"start": points}, labels, [str(i) for i in range(11)])


def test_tsne_keeps_clusters_together() -> None:
    """Four groups far apart in 60 dimensions stay apart in the plane; same seed, same points."""
    random = np.random.default_rng(0)
    labels = np.arange(120) % 4
    features = random.normal(size=(4, 60))[labels] * 8 + random.normal(size=(120, 60))
    with threadpool_limits(1):  # on a busy machine its threads wait for one another more than they work
        points, again = (plot.tsne(features, perplexity=10.0) for _ in range(2))
    distances = ((points[:, None] - points) ** 2).sum(axis=2) + np.eye(120) * 1e9
    assert np.mean(labels[distances.argmin(axis=1)] == labels) > 0.99
    np.testing.assert_array_equal(points, again)
    with pytest.raises(minidl.ShapeError, match="M above 30"):
        plot.tsne(features[:30])


def test_filters(tmp_path: Path) -> None:
    weight = np.zeros((5, 3, 2, 2), np.float32)
    weight[0, 0] = 0.01  # red alone, and scaled up: pure red with the other channels in the middle
    path = plot.filters(tmp_path / "f.png", minidl.tensor(weight), "LeNet")
    pixels = opened(path)
    assert (np.abs(pixels - [255, 128, 128]).max(axis=2) <= 4).sum() > 1000
    assert (np.abs(pixels - [128, 128, 128]).max(axis=2) <= 4).sum() > 4000  # nothing is middle grey
    opened(plot.filters(path, weight[:, :1]))
    for wrong in (weight[:, :2], weight[0], weight[:0]):
        with pytest.raises(minidl.ShapeError, match="C = 1 or 3"):
            plot.filters(path, wrong)


def test_classification_report(tmp_path: Path) -> None:
    labels = np.arange(100) % 10
    predictions = np.where(np.arange(100) < 90, labels, (labels + 1) % 10)
    report = minidl.train.classification_report(predictions, labels, NAMES)
    pixels = opened(plot.classification_report(tmp_path / "r.png", report, NAMES, "MNIST"))
    assert has_color(pixels, BLUE)
    assert has_color(pixels, VERMILION)
    with pytest.raises(minidl.ArgumentError, match="none of ten"):
        plot.classification_report(tmp_path / "r.png", report, ("ten",))


def test_confusion_matrix(tmp_path: Path) -> None:
    path = plot.confusion_matrix(tmp_path / "c.png", np.eye(10, dtype=int) * 7, NAMES, "MNIST")
    diagonal = has_color(opened(path), "#08306B")  # 100 %: the darkest blue
    assert diagonal
    counts = np.zeros((3, 3), int)
    counts[0] = [1, 1, 1]  # the second and third class have no image
    opened(plot.confusion_matrix(tmp_path / "c.png", counts, ("a", "b", "c")))
    with pytest.raises(minidl.ShapeError, match=r"\(3, 3\)"):
        plot.confusion_matrix(tmp_path / "c.png", np.eye(10), ("a", "b", "c"))


def test_predictions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    probabilities = np.full((5, 10), 0.02)
    probabilities[:, 3] = 0.82
    right = opened(plot.predictions(tmp_path / "p.png", images, probabilities, NAMES, "a title", labels=[3] * 5))
    assert has_color(right, BLUE)
    wrong = opened(plot.predictions(tmp_path / "p.png", images[..., :1], probabilities, NAMES, labels=[4] * 5))
    assert has_color(wrong, VERMILION)
    opened(plot.predictions(tmp_path / "p.png", images[:1], probabilities[:1], NAMES, captions=["x.png"]))
    for bad in (
        {"images": images[:4]},
        {"probabilities": probabilities[:, :9]},
        {"labels": [1]},
        {"captions": ["a"]},
        {"images": images[:, :, :, 0]},
        {"images": [], "probabilities": np.zeros((0, 10))},
    ):
        given: dict[str, Any] = {"images": images, "probabilities": probabilities, "classes": NAMES, **bad}
        with pytest.raises((minidl.ShapeError, minidl.ArgumentError), match="plot"):
            plot.predictions(tmp_path / "p.png", **given)


def test_image_grid(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)
    opened(plot.image_grid(tmp_path / "g.png", images, [f"image {i}" for i in range(7)], "worst"))
    with pytest.raises(minidl.ShapeError, match="7 captions"):
        plot.image_grid(tmp_path / "g.png", images, ["a"])
    with pytest.raises(minidl.ArgumentError, match="at least one"):
        plot.image_grid(tmp_path / "g.png", [])


def test_pyplot_and_the_users_backend_stay_alone(tmp_path: Path) -> None:
    code = f"""
import sys
import minidl.plot
minidl.plot.curves({str(tmp_path / "c.png")!r}, {{"a": [1.0, 2.0]}}, {{}})
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {**os.environ, "MPLBACKEND": "tkagg"}  # a backend that needs a screen
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    opened(tmp_path / "c.png")


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((5, 3, 4, 6), {}),
        ((5, 3, 4, 6), {"nrow": 2, "padding": 0}),
        ((9, 1, 3, 3), {"nrow": 4, "padding": 3, "pad_value": 0.5}),
        ((4, 3, 5, 5), {"normalize": True}),
        ((4, 3, 5, 5), {"normalize": True, "scale_each": True}),
        ((4, 3, 5, 5), {"normalize": True, "value_range": (-0.5, 1.0)}),
        ((4, 3, 5, 5), {"normalize": True, "value_range": (-0.5, 1.0), "scale_each": True}),
        ((4, 5), {}),
        ((1, 4, 5), {}),
        ((3, 4, 5), {"normalize": True}),
        ((1, 3, 4, 5), {"padding": 4}),
        ((2, 2, 4, 5), {}),
    ],
)
def test_make_grid_equals_torchvisions(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    from torchvision.utils import make_grid as reference

    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = reference(torch.from_numpy(x.copy()), **options).numpy()
    result = plot.make_grid(minidl.from_numpy(x.copy()), **options).numpy()
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)


def test_make_grid_of_lists_and_bytes_and_bad_calls() -> None:
    from torchvision.utils import make_grid as reference

    x = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4), dtype=np.uint8)
    result = plot.make_grid([minidl.from_numpy(image) for image in x], pad_value=7)
    np.testing.assert_array_equal(result.numpy(), reference([torch.from_numpy(image) for image in x], pad_value=7))
    assert result.dtype == np.uint8
    for bad in ([], [1], x):
        with pytest.raises(minidl.DTypeError, match="make_grid"):
            plot.make_grid(bad)  # type: ignore[arg-type]
    with pytest.raises(minidl.ShapeError, match="equal shape"):
        plot.make_grid([minidl.ones(3, 4, 4), minidl.ones(3, 4, 5)])
    with pytest.raises(minidl.ShapeError, match="make_grid"):
        plot.make_grid(minidl.ones(2, 2, 2, 2, 2))
    with pytest.raises(minidl.ArgumentError, match="nrow"):
        plot.make_grid(minidl.ones(2, 3, 2, 2), nrow=0)
    with pytest.raises(minidl.ArgumentError, match="value_range"):
        plot.make_grid(minidl.ones(2, 3, 2, 2), normalize=True, value_range=(1, 0))
    with pytest.raises(minidl.DTypeError, match="floats"):
        plot.make_grid(minidl.from_numpy(x), normalize=True)


def test_the_names_of_runs_fit_below_the_panels(tmp_path: Path) -> None:
    names = ["003-adam: Adam", "003-sgd: SGD with momentum 0.9", "003-adagrad: Adagrad", "003-rmsprop: RMSprop"]
    runs = {name: [0.5, 0.25] for name in names}
    picture = np.asarray(Image.open(plot.comparison(tmp_path / "c.png", runs, runs)).convert("L"))
    below = picture[-60:]
    assert below.min() < 128, "the names"
    assert (below[:, :3] == 255).all()
    assert (below[:, -3:] == 255).all()
