"""The loop, its figures, the history, the metrics and the progress display."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.train import (
    History,
    Progress,
    accuracy,
    classification_report,
    confusion_matrix,
    evaluate,
    predict,
    train_epoch,
    training_step,
)


def data(count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 6)).astype(np.float32), rng.integers(0, 3, count)


def loader(x: np.ndarray, y: np.ndarray, **options: Any) -> DataLoader:
    return DataLoader(TensorDataset(minidl.from_numpy(x), minidl.from_numpy(y)), batch_size=16, **options)


def test_epoch_and_evaluation_equal_torch() -> None:
    """The same steps, and the figures as torch's sums give them, over batches of unequal size."""
    x, y = data()
    model, twin = nn.Linear(6, 3).double(), torch.nn.Linear(6, 3).double()
    twin.load_state_dict({name: torch.from_numpy(value.numpy().copy()) for name, value in model.state_dict().items()})
    x = x.astype(np.float64)
    figures = train_epoch(model, loader(x, y), training_step(model, optim.SGD(model.parameters(), lr=0.1)))
    step = torch.optim.SGD(twin.parameters(), lr=0.1)
    losses, right = 0.0, 0
    for i in range(0, 50, 16):
        xs, ys = torch.from_numpy(x[i : i + 16]), torch.from_numpy(y[i : i + 16])
        step.zero_grad()
        out = twin(xs)
        loss = torch.nn.functional.cross_entropy(out, ys)
        loss.backward()
        step.step()
        losses += loss.item() * len(ys)
        right += int((out.argmax(1) == ys).sum())
    assert figures.loss == pytest.approx(losses / 50, rel=1e-12)
    assert figures.accuracy == right / 50
    assert figures.images == 50
    np.testing.assert_allclose(model.weight.detach().numpy(), twin.weight.detach().numpy(), rtol=1e-12)
    out = twin(torch.from_numpy(x))
    judged = evaluate(model, loader(x, y))
    assert judged.loss == pytest.approx(torch.nn.functional.cross_entropy(out, torch.from_numpy(y)).item(), rel=1e-12)
    assert judged.accuracy == float((out.argmax(1).numpy() == y).mean())
    probabilities, labels = predict(model, loader(x, y))
    np.testing.assert_allclose(probabilities, torch.softmax(out, 1).detach().numpy(), rtol=1e-12)
    np.testing.assert_array_equal(labels, y)


def test_modes_and_graph() -> None:
    x, y = data()
    seen = []
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.9))
    model.register_forward_hook(lambda module, args, output: seen.append((module.training, output.requires_grad)))
    train_epoch(model, loader(x, y), training_step(model, optim.SGD(model.parameters(), lr=0.1)))
    assert set(seen) == {(True, True)}
    seen.clear()
    evaluate(model, loader(x, y))
    predict(model, loader(x, y))
    assert set(seen) == {(False, False)}
    assert model.training
    model.eval()
    evaluate(model, loader(x, y))
    assert not model.training


def test_other_losses() -> None:
    x, y = data()
    model = nn.Linear(6, 3)

    def squared(outputs: minidl.Tensor, labels: minidl.Tensor) -> minidl.Tensor:
        one_hot = minidl.from_numpy(np.eye(3, dtype=np.float32)[labels.numpy()])
        return nn.functional.mse_loss(outputs, one_hot)

    out = torch.from_numpy(x) @ torch.from_numpy(model.weight.detach().numpy().T) + torch.from_numpy(
        model.bias.detach().numpy()
    )
    expected = torch.nn.functional.mse_loss(out, torch.from_numpy(np.eye(3, dtype=np.float32)[y]))
    assert evaluate(model, loader(x, y), squared).loss == pytest.approx(expected.item(), rel=1e-5)


def test_no_batch_is_an_error() -> None:
    x, y = data(3)
    model = nn.Linear(6, 3)
    empty = loader(x, y, drop_last=True)
    for call in (lambda: evaluate(model, empty), lambda: predict(model, empty)):
        with pytest.raises(minidl.ArgumentError, match="at least one batch"):
            call()
    with pytest.raises(minidl.ArgumentError, match="train_epoch: expected a loader with at least one batch"):
        train_epoch(model, empty, training_step(model, optim.SGD(model.parameters(), lr=0.1)))
    with pytest.raises(minidl.ArgumentError, match="expected step to be a function of images and classes, got SGD"):
        train_epoch(model, empty, optim.SGD(model.parameters(), lr=0.1))  # type: ignore[arg-type]


def test_metrics_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((200, 5)), rng.integers(0, 4, 200)  # class 4 never occurs
    scores[:, 1] = -9  # class 1 is never predicted
    answers = scores.argmax(1)
    assert accuracy(scores, labels) == sklearn_metrics.accuracy_score(labels, answers)
    matrix = confusion_matrix(minidl.tensor(answers), minidl.tensor(labels), 5)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(labels, answers, labels=range(5)))
    assert matrix[2, 3] == ((labels == 2) & (answers == 3)).sum()  # rows are the true classes
    names = ["a", "b", "c", "d", "e"]
    report = classification_report(scores, labels, names)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, answers, labels=range(5), zero_division=0
    )
    for i, name in enumerate(names):
        row = (precision[i], recall[i], f1[i], support[i])
        assert tuple(report[name][key] for key in ("precision", "recall", "f1-score", "support")) == row
    assert math.isnan(accuracy(np.zeros((0, 3)), np.zeros(0, int)))
    assert confusion_matrix(np.zeros(0, int), np.zeros(0, int), 2).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(minidl.ShapeError, match="accuracy"):
        accuracy(np.zeros(3, int), np.zeros(4, int))


def test_history(tmp_path: Path) -> None:
    history = History({"data": "shapes"})
    history.add(loss=1 / 3, accuracy=0.5)
    history.add(loss=float("nan"))
    history.save(tmp_path / "h.json")
    document = json.loads((tmp_path / "h.json").read_text(), parse_constant=pytest.fail)  # strict JSON: no NaN
    assert document["epochs"][0] == {"epoch": 1, "loss": 1 / 3, "accuracy": 0.5}
    again = History.load(tmp_path / "h.json")
    assert again.about == {"data": "shapes"}
    assert again["loss"][0] == 1 / 3
    assert math.isnan(again["loss"][1])
    assert math.isnan(again["accuracy"][1])
    with pytest.raises(KeyError, match="loss"):
        again["los"]
    for text in ("", "[]", '{"about": 1}', '{"about": {}, "epochs": [1]}', "[" * 100000):
        (tmp_path / "h.json").write_text(text)
        with pytest.raises(minidl.ArgumentError, match="History"):
            History.load(tmp_path / "h.json")


class Screen(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data()
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    clock = iter(range(10**6))
    monkeypatch.setattr("minidl.train.progress.time.monotonic", lambda: float(next(clock)))  # every batch is shown
    model = nn.Linear(6, 3)
    evaluate(model, loader(x, y), progress=Progress("shapes | epoch 1/2", 50))
    text = screen.getvalue()
    assert "shapes | epoch 1/2" in text
    assert "loss " in text
    assert "accuracy " in text
    assert "images/s" in text
    assert "50/50" in text


def test_progress_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bar where nobody looks: a line now and then."""
    x, y = data()
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    clock = iter(range(0, 10**7, 10))
    monkeypatch.setattr("minidl.train.progress.time.monotonic", lambda: float(next(clock)))
    evaluate(nn.Linear(6, 3), loader(x, y), progress=Progress("shapes", 50))
    lines = log.getvalue().splitlines()
    assert 1 <= len(lines) <= 2
    assert all(line.startswith("shapes | ") and "images/s" in line and "\r" not in line for line in lines)


def test_extras_are_named_where_they_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in ("tqdm", "sklearn", "safetensors", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, package, None)
    calls = {
        "tqdm": lambda: Progress("a", 1),
        "scikit-learn": lambda: confusion_matrix(np.zeros(1, int), np.zeros(1, int), 1),
        "safetensors": lambda: minidl.save({}, tmp_path / "f"),
        "matplotlib": lambda: minidl.plot.curves(tmp_path / "p.png", {"a": [1.0]}, {}),
    }
    for package, call in calls.items():
        with pytest.raises(ImportError, match=package) as caught:
            call()
        assert 'pip install "minidl[examples]"' in str(caught.value)
