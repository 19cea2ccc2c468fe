"""The rows that train nothing, on small data: figures against scikit-learn and NumPy, pictures on the disk."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

import minidl
from minidl.data import ImageData

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from reports import studies
from reports.catalogue import ROWS
from reports.place import Place

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ROW = ROWS["003-k333"]


@pytest.fixture(scope="module")
def data() -> dict[str, ImageData]:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (90, 32, 32, 3), np.uint8), np.arange(90) % 10
    return {"cifar10": ImageData("cifar10", x[:60], y[:60], x[60:], y[60:], CLASSES, (0.5,) * 3, (0.25,) * 3)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Of the study "study", beside a row of untrained weights."""
    minidl.manual_seed(0)
    model = ROW.network.make()
    row = Place(tmp_path, ROW.name)
    row.folder.mkdir()
    for path in (row.weights, row.epoch_weights(0), row.epoch_weights(4), row.epoch_weights(8)):
        minidl.save(model.state_dict(), path)
    here = Place(tmp_path, "study")
    here.folder.mkdir()
    return here


def predictions(data: dict[str, ImageData], place: Place) -> tuple[np.ndarray, np.ndarray]:
    model = ROW.network.make()
    model.load_state_dict(minidl.load(place.other(ROW.name).weights))
    return minidl.train.predict(model, minidl.data.DataLoader(data["cifar10"].test_set(), 7))


def test_statistics(data: dict[str, ImageData], place: Place) -> None:
    figures = studies.training_set_statistics(place, data, [])
    pixels = data["cifar10"].x_train / 255
    np.testing.assert_allclose(figures["std_of_images"], pixels.std(axis=(1, 2), ddof=1).mean(axis=0), atol=1e-6)


def test_class_probabilities(data: dict[str, ImageData], place: Place) -> None:
    figures = studies.class_probabilities(place, data, [ROW])
    probabilities, labels = predictions(data, place)
    chosen = figures["images"]
    assert len(set(chosen)) == figures["shown"] == 9
    assert figures["right"] == (probabilities[chosen].argmax(axis=1) == labels[chosen]).sum()
    assert place.picture().stat().st_size < 100_000


def test_worst_images(data: dict[str, ImageData], place: Place) -> None:
    figures = studies.worst_images(place, data, [ROW])[ROW.name]
    probabilities, labels = predictions(data, place)
    losses = -np.log(probabilities[np.arange(30), labels])
    assert figures["images"] == np.argsort(-losses)[:10].tolist()
    np.testing.assert_allclose(figures["losses"], np.sort(losses)[::-1][:10], atol=0.006)
    assert place.picture("study-cifar10").exists()


def test_per_class_report(data: dict[str, ImageData], place: Place) -> None:
    figures = studies.per_class_report(place, data, [ROW])
    probabilities, labels = predictions(data, place)
    answers = probabilities.argmax(axis=1)
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(labels, answers), abs=1e-4)
    recalls = metrics.recall_score(labels, answers, average=None)
    assert [figures[name]["recall"] for name in CLASSES] == pytest.approx(recalls.tolist(), abs=1e-4)
    assert all(place.picture(f"study-{kind}").exists() for kind in ("confusion", "classes"))


def test_feature_embedding(data: dict[str, ImageData], place: Place) -> None:
    with threadpool_limits(1):  # on a busy machine t-SNE's threads wait for one another more than they work
        figures = studies.feature_embedding(place, data, [replace(ROW, seed=3)], points=50)
    assert figures["epochs"] == [0, 4, 8]
    assert len(figures["same_class"]) == 6
    assert place.picture().exists()
    assert place.picture("study-filters").exists()


def test_share_of_neighbours() -> None:
    random = np.random.default_rng(0)
    points, labels = random.normal(size=(200, 2)), random.integers(0, 3, 200)
    near = NearestNeighbors(n_neighbors=11).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    assert studies._same_class(points, labels) == pytest.approx((labels[near] == labels[:, None]).mean(), abs=6e-4)
