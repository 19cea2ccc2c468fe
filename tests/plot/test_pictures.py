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

import minidl
from minidl import plot


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
