"""Trains the network of a row: an epoch, a checkpoint, an epoch ..., and the result at the end."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pretrained import load_imagenet_weights

import minidl
from minidl import optim, train
from minidl.data import DataLoader, ImageData
from minidl.nn import functional as F
from reports.figures import compare, summarize
from reports.images import Loaders, make_loaders, scaled
from reports.method import Method
from reports.place import Place
from reports.record import Row, describe

__all__ = ["Options", "RowError", "estimate_seconds", "run_row"]


Loss = Callable[[minidl.Tensor, minidl.Tensor], minidl.Tensor]


class RowError(Exception):
    """The row cannot be run as asked; the text is the whole message."""


@dataclass(frozen=True)
class Options:
    """How rows are run: the device, whether to go on from a checkpoint, and whether steps are recorded and replayed.

    ``say`` prints a line; ``bars`` shows the progress of every epoch; ``left`` is told after every epoch how many
    seconds the row will still take. ``weights``: the user's file for a row that begins with such.
    """

    device: minidl.device
    resume: bool
    capture: bool
    say: Callable[[str], None]
    bars: bool = True
    left: Callable[[float], None] | None = None
    weights: Path | None = None


class Training:
    """A row's network, optimizer, loaders and figures so far, made anew from its seed or taken from its checkpoint."""

    def __init__(self, row: Row, data: ImageData, place: Place, options: Options) -> None:
        self.row, self.place, self.options = row, place, options
        minidl.manual_seed(row.seed)
        self.model = row.network.make().to(options.device)
        count = sum(parameter.numel() for parameter in self.model.parameters())
        if count != row.network.parameters:
            raise RowError(f"{row.name}: the network has {count:,} parameters, not {row.network.parameters:,}")
        if row.starts_from:
            self.model.load_state_dict(minidl.load(place.other(row.starts_from).weights))
        if row.pretrained and options.weights is not None:
            load_imagenet_weights(self.model, options.weights)
        make = Method if row.method is None else row.method
        epochs = row.epochs if place.trial is None else place.trial
        self.method: Method = make(self.model, row.optimizer, scaled(row.images, data), row.batch_size, epochs)
        kind = getattr(optim, row.optimizer.kind)
        self.optimizer = kind(self.method.parameters(), lr=row.optimizer.lr, **row.optimizer.options)
        self.loaders: Loaders = make_loaders(row, data, self.method.drop_last)
        self.stopping: train.EarlyStopping | None = None
        if row.patience:
            self.stopping = train.EarlyStopping(self.model, patience=row.patience, mode="max")
        self.history = train.History({"row": row.name, "setting": describe(row)})
        if row.pretrained and options.weights is not None:
            self.history.about["weights"] = options.weights.name
        self.running: list[list[float]] = []
        step = train.training_step(self.model, self.optimizer, _training_loss(row))
        self.step = minidl.capture(step) if options.capture else step

    @property
    def parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "loader": self.loaders.train,
            "history": self.history,
            **({} if self.row.method is None else {"method": self.method}),
            **({} if self.stopping is None else {"stopping": self.stopping}),
        }

    @property
    def ended(self) -> bool:
        """Whether the validation accuracy has not become better for as long as the row allows."""
        return self.stopping is not None and self.stopping.should_stop

    def load(self, place: Place) -> None:
        """Go on where the checkpoint of ``place`` stands."""
        setting = train.read_notes(place.checkpoint).get("setting")
        if setting != describe(self.row):
            raise RowError(
                f"{self.row.name}: {place.checkpoint} is of another setting than the row has now; --again starts anew."
            )
        notes = train.load_checkpoint(place.checkpoint, self.parts)
        self.running = notes["running"]
        self.history.about["row"] = self.row.name

    def save(self) -> None:
        """Put everything that the next epoch needs on the disk, whole or not at all."""
        self.place.folder.mkdir(parents=True, exist_ok=True)
        notes = {"setting": describe(self.row), "running": self.running, "epochs": len(self.history)}
        train.save_checkpoint(self.place.checkpoint, self.parts, notes)

    def epoch(self, epochs: int) -> None:
        """Train on every image once, judge the network on every part, note the figures."""
        number = len(self.history) + 1
        label = f"{self.row.name} | epoch {number}/{epochs}"
        start = time.perf_counter()
        trained = self._train(label)
        figures: dict[str, float] = {"train_loss": trained.loss, "train_accuracy": trained.accuracy}
        for name, loader in self.loaders.evaluation.items():
            bar = self._bar(f"{label} | {name}", loader)
            judged = train.evaluate(self.method.judged(), loader, _loss(self.row), progress=bar)
            figures.update({f"{name}_loss": judged.loss, f"{name}_accuracy": judged.accuracy})
        parts = self.row.images.test_parts
        if parts:  # together they are all test images
            for kind in ("loss", "accuracy"):
                total = sum(figures[f"{name}_{kind}"] * size for name, size in parts.items())
                figures[f"all_test_{kind}"] = total / sum(parts.values())
        figures = {name: round(value, 5) for name, value in figures.items()}
        self.history.add(**figures, seconds=round(time.perf_counter() - start, 2))
        if self.stopping is not None:
            self.stopping.update(figures["validation_accuracy"])

    def _train(self, label: str) -> train.RunningFigures:
        loader, every = self.loaders.train, self.row.figures_every
        bar = self._bar(f"{label} | training", loader)
        figures = train.RunningFigures()
        number = len(self.history) + 1
        self.method.begin_epoch(number, loader)
        self.model.train()
        try:
            for step, (images, labels) in enumerate(loader):
                images, labels = images.to(self.options.device), labels.to(self.options.device)
                self.method.before_step(self.optimizer)
                loss, outputs = self.step(images, labels)
                self.method.after_step()
                figures.add(loss, outputs, labels)
                if every and step % every == 0:
                    so_far = round(loss.item(), 4), round(figures.accuracy, 4)
                    self.running.append([number, step, *so_far])
                if bar is not None:
                    bar.update(len(labels), figures)
        finally:
            if bar is not None:
                bar.close()
        self.method.end_epoch(number)
        return figures

    def _bar(self, label: str, loader: DataLoader) -> train.Progress | None:
        return train.Progress(label, len(loader.dataset)) if self.options.bars else None


def run_row(row: Row, data: ImageData, place: Place, options: Options) -> dict[str, Any]:
    """Train the row to its end, from its checkpoint with ``options.resume``; write and return its result.

    After every epoch the checkpoint is on the disk. Raises RowError for a checkpoint that does not fit, OSError where
    the disk fails (the last finished epoch is kept).
    """
    training = Training(row, data, place, options)
    epochs = row.epochs if place.trial is None else place.trial
    _take_up(training, epochs)
    if row.pretrained and options.weights is None and not len(training.history):
        raise RowError(f"{row.name} needs the user's {row.pretrained}: name their file with --weights.")
    count = f"{row.network.name}, {row.network.parameters:,} parameters"
    options.say(f"{row.name} | {count}, {row.optimizer.kind}, batches of {row.batch_size}, on {options.device}")
    if row.keep_weights and not len(training.history):
        training.save()  # the start of training is wanted too, and the folder must be there
        minidl.save(training.model.state_dict(), place.epoch_weights(0))
    while len(training.history) < epochs and not training.ended:
        training.epoch(epochs)
        number = len(training.history)
        place.folder.mkdir(parents=True, exist_ok=True)
        # weights first: a checkpoint says that all files of its epoch are there
        if row.keep_weights:
            minidl.save(training.model.state_dict(), place.epoch_weights(number))
        training.save()
        options.say(f"{row.name} | epoch {number}/{epochs} | {_line(training.history.epochs[-1])}")
        if options.left is not None:
            planned = epochs if place.trial else row.planned_epochs or epochs
            options.left(training.history.epochs[-1]["seconds"] * max(planned - number, 0))
    if training.stopping is not None:
        training.stopping.restore()
    minidl.save(training.model.state_dict(), place.weights)
    result = _result(training, place)
    place.write_result(result)
    if row.keep_weights:
        _tidy(place, result["figures"]["epoch"])
    return result


def _take_up(training: Training, epochs: int) -> None:
    """Go on from a checkpoint of this row, or of the row that begins like it, where one may be used."""
    row, place, options = training.row, training.place, training.options
    if options.resume and place.checkpoint.exists():
        training.load(place)
        options.say(f"{row.name} | going on after epoch {len(training.history)}")
        return
    if row.begins_like and place.trial is None:
        shorter = place.other(row.begins_like)
        if shorter.finished(row) and shorter.checkpoint.exists():
            training.load(shorter)
            done = len(training.history)
            options.say(f"{row.name} | its first {done} epochs are those of {row.begins_like}, bit for bit: taken over")


def _loss(row: Row) -> Loss:
    losses: dict[str, Loss] = {"cross_entropy": F.cross_entropy, "mse": squared_error}
    return losses[row.loss]


def _training_loss(row: Row) -> Loss:
    return partial(F.cross_entropy, label_smoothing=row.label_smoothing) if row.label_smoothing else _loss(row)


def squared_error(outputs: minidl.Tensor, labels: minidl.Tensor) -> minidl.Tensor:
    """Mean squared error of the outputs (N, C) against one-hot targets made of the classes (N,), over all N * C."""
    targets = (labels.unsqueeze(1) == minidl.arange(outputs.shape[1], device=outputs.device)).to(outputs.dtype)
    return F.mse_loss(outputs, targets)


def _result(training: Training, place: Place) -> dict[str, Any]:
    row, epochs = training.row, training.history.state_dict()["epochs"]  # JSON has no NaN: None stands for it
    kept = len(epochs) if training.stopping is None else training.stopping.best_epoch
    result: dict[str, Any] = {
        "row": row.name,
        "title": row.title,
        "trial": place.trial is not None,
        "setting": describe(row),
        "planned_epochs": row.epochs,
        "assumed": list(row.assumed),
        "device": str(training.options.device),
        "cores": os.cpu_count(),
        "seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
        "finished": datetime.date.today().isoformat(),
        "versions": {"minidl": minidl.__version__, "python": platform.python_version(), "numpy": np.__version__},
        "figures": summarize(epochs, kept) if epochs else {},
    }
    if epochs and place.trial is None:
        result["comparison"] = compare(row.reported, result["figures"])
    if row.pretrained:
        result["weights"] = training.history.about["weights"]
    if training.running:
        result["running"] = {"every": row.figures_every, "columns": ["epoch", "step", "loss", "accuracy"]}
        result["running"]["last_epoch"] = [r for r in training.running if r[0] == len(epochs)]
    result["epochs"] = epochs
    return result


def _tidy(place: Place, kept: int) -> None:
    """Of the weights of every epoch, leave those of the start, the middle and the end."""
    wanted = {place.epoch_weights(number) for number in (0, kept // 2, kept)}
    for path in place.folder.glob("weights-*.safetensors"):
        if path not in wanted:
            path.unlink()


def _line(epoch: dict[str, Any]) -> str:
    parts = [f"training loss {epoch['train_loss']:.4f}, accuracy {100 * epoch['train_accuracy']:.1f} %"]
    for name in epoch:
        if name.endswith("_accuracy") and name != "train_accuracy":
            parts.append(f"{name.removesuffix('_accuracy').replace('_', ' ')} {100 * epoch[name]:.1f} %")
    return f"{' | '.join(parts)} | {epoch['seconds']:.0f} s"


def estimate_seconds(row: Row, data: ImageData, place: Place, options: Options, seconds: float = 2.0) -> float:
    """How long the rest of the row will take: steps and evaluation are timed for about ``seconds`` on a network of its
    own; the row's files are not touched."""
    done = 0
    if options.resume and place.checkpoint.exists():
        done = train.read_notes(place.checkpoint).get("epochs", 0)
    training = Training(row, data, place, replace(options, resume=False, bars=False, left=None))
    batches = iter(training.loaders.train)
    warm, steps, start = 2, 0, time.perf_counter()
    for images, labels in batches:
        loss, _ = training.step(images.to(options.device), labels.to(options.device))
        loss.item()
        if warm:  # kernels are compiled in the first steps
            warm, start = warm - 1, time.perf_counter()
            continue
        steps += 1
        if time.perf_counter() - start > seconds:
            break
    step = (time.perf_counter() - start) / max(steps, 1)
    images_a_second = row.batch_size / step
    judged = sum(len(loader.dataset) for loader in training.loaders.evaluation.values())
    epoch = len(training.loaders.train) * step + judged / (3 * images_a_second)  # forward is a third of a step
    epochs = place.trial or (row.planned_epochs or row.epochs)
    return max(epochs - done, 0) * epoch
