"""What the examples print and write: a line an epoch, checkpoint, weights, history, pictures; and predictions."""

from __future__ import annotations

import json
import math
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from command_line import TITLES, BadInput, Options

import minidl
from minidl import nn, optim, plot, train
from minidl.data import DataLoader, ImageData, ImageDataset


class Run:
    """A training run in its folder: what is known of it, its figures so far, and its files.

    Everything that the options name is checked, and a run to resume is loaded, before training starts. After every
    epoch checkpoint, weights and history are written, each whole or not at all.
    """

    def __init__(
        self, options: Options, data: ImageData, model: nn.Module, optimizer: optim.Optimizer, train_loader: DataLoader
    ) -> None:
        self.options, self.data, self.model = options, data, model
        self.train_loader = train_loader
        self.history = train.History(_about(options, data, model, train_loader))
        self.parts = {"model": model, "optimizer": optimizer, "loader": train_loader, "history": self.history}
        self.checkpoint = options.file("checkpoint", "safetensors")
        check_folder(options.out)
        if options.resume:
            self._resume()
        elif self.checkpoint.exists():
            options.say(f"{options.out} holds an earlier run: the first epoch of this one will replace it")
        about = self.history.about
        rounded = options.device.type == "gpu" and minidl.get_float32_matmul_precision() == "high"
        place = f"{options.device}, matrix products in TF32" if rounded else str(options.device)
        options.say(f"{about['model']}, {about['parameters']:,} parameters, on {place}")
        options.say(f"{len(train_loader.dataset):,} training and {len(data.y_test):,} test images, in {options.out}")
        options.say(
            f"{options.optimizer}, lr {options.lr:g}, batch size {options.batch_size}, {options.epochs} epochs, "
            f"seed {options.seed}"
        )

    def _resume(self) -> None:
        here, there = self.history.about, minidl.train.read_notes(self.checkpoint)["about"]
        for name in ("model", "parameters", "train_images"):
            if here[name] != there.get(name):
                raise BadInput(
                    f"--resume: {self.checkpoint} has {there.get(name)} as {name}, this run {here[name]}; name the "
                    "folder of this run with --out, or leave --resume out."
                )
        try:
            train.load_checkpoint(self.checkpoint, self.parts)
        except (RuntimeError, KeyError, TypeError) as error:  # the file fits by its header, but not by its tensors
            raise BadInput(f"--resume: {self.checkpoint} does not fit this network: {error}") from error
        self.options.finished = len(self.history)
        self.options.say(f"going on after epoch {len(self.history)} of the run in {self.options.out}")

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs that are still to do."""
        yield from range(len(self.history) + 1, self.options.epochs + 1)

    def progress(self, what: str, images: int) -> train.Progress:
        """A progress bar for a pass over that many images."""
        epoch = len(self.history) + 1
        return train.Progress(f"{self.data.name} | epoch {epoch}/{self.options.epochs} | {what}", images)

    def finish_epoch(self, trained: train.Figures, tested: train.Figures) -> None:
        """Note the figures of an epoch, put everything on the disk, print a line."""
        options = self.options
        self.history.add(
            train_loss=trained.loss,
            train_accuracy=trained.accuracy,
            test_loss=tested.loss,
            test_accuracy=tested.accuracy,
            seconds=round(trained.seconds + tested.seconds, 3),
            images_per_second=round(trained.images / trained.seconds, 1),
        )
        train.save_checkpoint(self.checkpoint, self.parts, {"about": self.history.about})
        options.finished = len(self.history)
        self._save()
        options.say(
            f"epoch {options.finished}/{options.epochs} | training loss {trained.loss:.4f}, "
            f"accuracy {percent(trained.accuracy)} | test loss {tested.loss:.4f}, accuracy {percent(tested.accuracy)} "
            f"| {trained.seconds + tested.seconds:.1f} s, {trained.images / trained.seconds:,.0f} images/s"
        )
        if not math.isfinite(trained.loss):
            options.say("the loss is no longer a number: the learning rate is too high, try a smaller --lr")

    def _save(self) -> None:
        metadata = {"minidl": json.dumps(self.history.about)}
        minidl.save(self.model.state_dict(), self.options.file("weights", "safetensors"), metadata=metadata)
        self.history.save(self.options.file("history", "json"))

    def finish(self, test_loader: DataLoader) -> None:
        """Judge the trained network on the test images; print the accuracy and write the pictures."""
        options, epochs = self.options, len(self.history)
        probabilities, labels = train.predict(self.model, test_loader)
        accuracy = train.accuracy(probabilities, labels)
        name = f"{TITLES[self.data.name]}, {options.settings.get('model', type(self.model).__name__)}"
        after = f"after {epochs} epoch{'' if epochs == 1 else 's'}"
        self._save()
        written = [options.file("weights", "safetensors"), options.file("history", "json")]
        written.append(
            plot.confusion_matrix(
                options.file("confusion", "png"),
                train.confusion_matrix(probabilities, labels, len(self.data.classes)),
                self.data.classes,
                f"{name}\nTest accuracy {percent(accuracy)} {after}",
            )
        )
        if epochs:
            losses = {"training": self.history["train_loss"], "test": self.history["test_loss"]}
            accuracies = {"training": self.history["train_accuracy"], "test": self.history["test_accuracy"]}
            title = f"{name}: {options.optimizer}, lr {options.lr:g}, batch size {options.batch_size}"
            written.append(plot.curves(options.file("curves", "png"), losses, accuracies, title))
        options.say(f"test accuracy {percent(accuracy)} {after}, of {len(labels):,} images")
        for path in written:
            options.say(f"written: {path}")


def about_weights(options: Options) -> dict[str, Any]:
    """The settings of the run whose weights are to predict, as they stand in its file."""
    weights = options.file("weights", "safetensors")
    if not weights.is_file():
        raise BadInput(f"--predict: there is no {weights}; train first, or name the folder of a run with --out.")
    try:
        about = json.loads(minidl.train.load_metadata(weights)["minidl"])
        known = {"model", "classes", "image", "mean", "std"} <= set(about)
        fits = set(options.settings) == set(about.get("settings", {}))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise BadInput(f"--predict: {weights} was not written by this example.") from error
    if not known or not fits:
        raise BadInput(f"--predict: {weights} was not written by this example.")
    return about


def predict_images(options: Options, model: nn.Module) -> None:
    """Classify the user's images by the weights of an earlier run; print the three likeliest classes of each."""
    weights, about = options.file("weights", "safetensors"), about_weights(options)
    name, classes, mean, std = about["model"], about["classes"], about["mean"], about["std"]
    height, width, channels = about["image"]
    if name != type(model).__name__:
        raise BadInput(f"--predict: {weights} holds the weights of {name}, not of {type(model).__name__}.")
    try:
        model.load_state_dict(minidl.load(weights))
    except RuntimeError as error:
        raise BadInput(f"--predict: {weights} does not fit the network: {error}") from error
    images = [read_image(path, height, width, channels, about["data"] == "mnist") for path in options.predict]
    check_folder(options.out)
    unknown = np.zeros(len(images), np.int64)
    loader = DataLoader(ImageDataset(np.stack(images), unknown, mean, std), batch_size=100)
    probabilities, _ = train.predict(model, loader)
    captions = []
    for path, row in zip(options.predict, probabilities, strict=True):
        best = [f"{classes[k]} {percent(row[k])}" for k in np.argsort(-row, kind="stable")[:3]]
        options.say(f"{path}: {', '.join(best)}")
        captions.append(path.name if len(path.name) <= 24 else path.name[:23] + "\N{HORIZONTAL ELLIPSIS}")
    title = f"{TITLES[about['data']]}, {name}: what it sees in these images"
    picture = plot.predictions(
        options.file("predictions", "png"), images, probabilities, classes, title, captions=captions
    )
    options.say(f"written: {picture}")


def read_image(path: Path, height: int, width: int, channels: int, dark_ground: bool) -> np.ndarray:
    """A picture file as (height, width, channels) uint8: its middle square, made smaller or larger.

    dark_ground: the network knows light strokes on dark ground, as MNIST has them; a picture with a light border, such
    as ink on paper, is inverted.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise BadInput('--predict needs the package pillow: pip install "minidl[examples]"') from error
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB" if channels == 3 else "L")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no image that can be read"
        raise BadInput(f"--predict: {path}: {reason}") from error
    picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8).reshape(height, width, channels)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return 255 - pixels if dark_ground and border.mean() > 127 else pixels


def check_folder(folder: Path) -> None:
    """Make the folder, and make sure that files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(f"--out: cannot write into {folder}: {error.strerror or error}") from error


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _about(options: Options, data: ImageData, model: nn.Module, loader: DataLoader) -> dict[str, Any]:
    """The settings of the run, as its history, checkpoint and weights carry them."""
    return {
        "example": options.example.name,
        "data": data.name,
        "model": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "optimizer": options.optimizer,
        "lr": options.lr,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "device": str(options.device),
        "train_images": len(loader.dataset),
        "test_images": len(data.y_test),
        "image": list(data.x_train.shape[1:]),
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        **({"settings": options.settings} if options.settings else {}),
        "minidl": minidl.__version__,
        "python": platform.python_version(),
    }
