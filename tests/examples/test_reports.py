"""The records of the reports: networks, settings, comparisons; and the results that are part of the repository."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minidl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: minidl itself is the one that is installed

from reports.catalogue import REPORTS, ROWS, in_order
from reports.figures import compare
from reports.images import _check_disjoint, make_loaders
from reports.place import PUBLISHED
from reports.publish import results_page
from reports.record import Alias, Reported, Row, Study, describe
from reports.runner import squared_error

from benchmarks.reports import torch_network

TRAINED = {name: row for name, row in ROWS.items() if isinstance(row, Row)}
NETWORKS = [row for row in {row.network.name: row for row in TRAINED.values()}.values() if row.method is None]
NETWORKS = [row for row in NETWORKS if not row.pretrained]  # tests/nn has torchvision's
RESULTS = {path.stem: json.loads(path.read_text()) for path in sorted(PUBLISHED.glob("*.json"))}


@pytest.mark.parametrize(
    "row", {row.network.name: row for row in TRAINED.values()}.values(), ids=lambda r: r.network.name
)
def test_networks_have_the_reported_size(row: Row) -> None:
    assert sum(p.numel() for p in row.network.make().parameters()) == row.network.parameters


@pytest.mark.parametrize("row", NETWORKS, ids=lambda row: row.network.name)
def test_the_same_network_in_torch(row: Row) -> None:
    """What ``python -m benchmarks.reports`` trains beside ours has the same weights, and says the same."""
    mine, theirs = row.network.make().eval(), torch_network(row).eval()
    theirs.load_state_dict({name: torch.from_numpy(t.detach().numpy()) for name, t in mine.state_dict().items()})
    shape = (2, 1, 28, 28) if row.images.name == "mnist" else (2, 3, 32, 32)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with minidl.no_grad(), torch.no_grad():
        outputs = mine(minidl.tensor(images)).numpy()
        np.testing.assert_allclose(outputs, theirs(torch.from_numpy(images)).numpy(), rtol=1e-4, atol=1e-5)


def test_the_sizes_that_the_reports_give() -> None:
    sizes = {name: row.network.parameters for name, row in TRAINED.items()}
    assert [sizes[name] for name in ("000-base", "000-wide", "002-adam-tanh", "003-k333")] == [
        890410,
        7472970,
        2169770,
        1211018,
    ]
    assert [sizes[name] for name in ("001-linear", "001-mlp-relu", "001-lenet")] == [30730, 379774, 62006]


def test_records_are_consistent() -> None:
    for report in REPORTS:
        assert all(row.name.startswith(f"{report.number}-") for row in report.rows)
        for name, (title, rows) in report.comparisons.items():
            assert name.startswith(report.number)
            assert name not in ROWS, "its picture would replace that of the row"
            assert title
            assert all(isinstance(ROWS[row], (Row, Alias)) for row in rows)
    for row in ROWS.values():
        if isinstance(row, Alias):
            assert isinstance(ROWS[row.same_as], Row)
            continue
        assert all(isinstance(ROWS[name], Row) for name in row.needs)
        if isinstance(row, Row):
            assert describe(row) == json.loads(json.dumps(describe(row)))
            assert hasattr(minidl.optim, row.optimizer.kind)
            if row.begins_like:
                shorter = ROWS[row.begins_like]
                assert describe(shorter) == describe(row)
                assert shorter.epochs < row.epochs
    assert len({json.dumps([describe(row), row.epochs]) for row in TRAINED.values()}) == len(TRAINED)


def test_what_a_row_needs_comes_first() -> None:
    names = [row.name for row in in_order(["003-tsne", "003-adam", "001-batch1000"])]
    assert names == ["003-k333", "003-tsne", "001-batch4", "001-batch1000"]


def _data() -> minidl.data.ImageData:
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (70, 32, 32, 3), np.uint8)
    y = np.arange(70) % 10
    classes = tuple("abcdefghij")
    return minidl.data.ImageData("cifar10", x[:50], y[:50], x[50:], y[50:], classes, (0.5,) * 3, (0.25,) * 3)


def test_splits_are_disjoint_and_whole() -> None:
    data = _data()
    row = ROWS["002-adam-leaky"]
    row = replace(row, images=replace(row.images, test_parts={"validation": 16, "test": 4}))
    loaders = make_loaders(row, data)
    assert {name: len(loader.dataset) for name, loader in loaders.evaluation.items()} == {
        "validation": 16,
        "test": 4,
        "all_test_plain": 20,
    }
    row = ROWS["003-k333"]
    loaders = make_loaders(replace(row, images=replace(row.images, validation=10)), data)
    assert (len(loaders.train.dataset), len(loaders.evaluation["validation"].dataset)) == (40, 10)
    numbers = [set(part.indices.tolist()) for part in (loaders.train.dataset, loaders.evaluation["validation"].dataset)]
    assert numbers[0] | numbers[1] == set(range(50))
    # validation images are not augmented: twice the same
    first, second = ([x.numpy() for x, _ in loaders.evaluation["validation"]] for _ in range(2))
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))
    for parts in ([np.arange(5), np.arange(4, 9)], [np.arange(4), np.arange(5, 9)], [np.arange(8)]):
        with pytest.raises(RuntimeError, match="overlap, or leave some out"):
            _check_disjoint(parts, 9)


def test_squared_error_is_torchs() -> None:
    outputs = np.random.default_rng(0).normal(size=(5, 10))
    labels = np.array([3, 0, 9, 9, 1])
    mine = minidl.tensor(outputs, requires_grad=True)
    loss = squared_error(mine, minidl.tensor(labels))
    loss.backward()
    theirs = torch.tensor(outputs, requires_grad=True)
    expected = torch.nn.functional.mse_loss(theirs, torch.nn.functional.one_hot(torch.tensor(labels), 10).double())
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert mine.grad is not None
    assert theirs.grad is not None
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("reported", "ours", "allowed", "agrees"),
    [
        (Reported("test_accuracy", 0.75), 0.736, 0.015, True),  # two standard errors are 1.2 points: 1.5 count
        (Reported("test_accuracy", 0.75), 0.734, 0.015, False),
        (Reported("test_accuracy", 0.75), 0.99, 0.015, True),  # better is never a difference
        (Reported("test_accuracy", 0.75, images=1000), 0.72, 0.0394, True),
        (Reported("test_accuracy", 0.75, images=1000), 0.70, 0.0398, False),
        (Reported("test_accuracy", 0.10, chance=True), 0.109, 0.01, True),
        (Reported("test_accuracy", 0.10, chance=True), 0.30, 0.01, False),
    ],
)
def test_what_counts_as_agreement(reported: Reported, ours: float, allowed: float, agrees: bool) -> None:
    comparison = compare(reported, {"test_accuracy": ours})
    assert comparison["difference"] == pytest.approx(ours - reported.value)  # type: ignore[operator]
    assert comparison["allowed"] == pytest.approx(allowed, abs=2e-4)
    assert comparison["agrees"] is agrees
    if not reported.chance and allowed > 0.015:
        errors = [p * (1 - p) / reported.images for p in (ours, 0.75)]
        assert comparison["allowed"] == pytest.approx(2 * math.sqrt(sum(errors)), abs=1e-5)


@pytest.mark.parametrize("name", RESULTS)
def test_published_results(name: str) -> None:
    """Whole runs of the settings as they are recorded, small files, and a word where ours is below the report."""
    result, row = RESULTS[name], ROWS[name]
    assert (PUBLISHED / f"{name}.json").stat().st_size < 24_000  # 100 epochs are 20,000
    if isinstance(row, Study):
        assert all((PUBLISHED / f"{picture}.png").exists() for picture in row.pictures)
        return
    assert isinstance(row, Row)
    assert not result["trial"]
    assert result["setting"] == describe(row)
    accuracies = [epoch["validation_accuracy"] for epoch in result["epochs"]] if row.patience else []
    if row.patience and len(result["epochs"]) < row.epochs:
        assert len(accuracies) - (int(np.argmax(accuracies)) + 1) == row.patience
    else:
        assert len(result["epochs"]) == row.epochs
    comparison: dict[str, Any] = compare(row.reported, result["figures"])
    if not comparison.get("agrees", True):
        assert row.comment, f"{name} is {100 * comparison['difference']:+.1f} points from the report without a word"


def test_statistics_are_the_reported_ones() -> None:
    figures = RESULTS["000-stats"]["figures"]
    assert [f"{value:.4f}" for value in figures["mean"]] == ["0.4914", "0.4822", "0.4465"]
    assert [f"{value:.4f}" for value in figures["std_of_images"]] == ["0.2023", "0.1994", "0.2010"]


def test_published_pictures_are_small() -> None:
    assert all(path.stat().st_size < 100_000 for path in PUBLISHED.glob("*.png"))


def test_the_page_is_up_to_date() -> None:
    assert (PUBLISHED.parent / "RESULTS.md").read_text(encoding="utf-8") == results_page()
