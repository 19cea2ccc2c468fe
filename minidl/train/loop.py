"""The training loop: a training step, one epoch of them, one pass of evaluation, and predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad
from minidl.backend import gpu
from minidl.backend.arrays import on_device_of
from minidl.backend.device import CPU, Device
from minidl.data.loader import DataLoader
from minidl.errors import ArgumentError
from minidl.nn.functional import cross_entropy, softmax
from minidl.nn.module import Module
from minidl.optim.optimizer import Optimizer
from minidl.train.progress import Progress

__all__ = ["Figures", "RunningFigures", "Step", "evaluate", "predict", "train_epoch", "training_step"]

Loss = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # images, classes -> loss, scores


@dataclass(frozen=True)
class Figures:
    """Mean loss an image, fraction of right answers in [0, 1], number of images, seconds of wall time."""

    loss: float
    accuracy: float
    images: int
    seconds: float


class RunningFigures:
    """Loss and accuracy of the batches so far, summed on their device: a GPU is waited for only when they are read."""

    def __init__(self) -> None:
        self.images = 0
        self._loss: Any = 0.0
        self._right: Any = 0

    def add(self, loss: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss (), its scores (N, C), its classes (N,)."""
        count = len(labels)
        self.images += count
        with on_device_of(loss.data):
            self._loss = self._loss + loss.data.astype("float64") * count
            self._right = self._right + (outputs.data.argmax(axis=1) == labels.data).sum()

    @property
    def loss(self) -> float:
        """The mean over all images so far."""
        return float(self._loss) / self.images if self.images else float("nan")

    @property
    def accuracy(self) -> float:
        """The fraction of right answers so far, in [0, 1]."""
        return int(self._right) / self.images if self.images else float("nan")


def training_step(model: Module, optimizer: Optimizer, loss_function: Loss = cross_entropy) -> Step:
    """What training does with a batch, as a function of images (N, C, H, W) and classes (N,).

    It clears the gradients, runs forward, loss and backward, lets the optimizer update, and returns the loss () and the
    scores (N, K) from before the update. ``loss_function(scores, classes)`` is a mean over the batch.
    ``minidl.capture(training_step(model, optimizer))`` does the same faster.
    """

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad()
        outputs = model(images)
        loss = loss_function(outputs, labels)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return step


@gpu.explain_out_of_memory("train_epoch")
def train_epoch(model: Module, loader: DataLoader, step: Step, *, progress: Progress | None = None) -> Figures:
    """Take a ``step`` with every batch of ``loader``, where ``model`` is; the running figures of the epoch.

    The loader gives pairs of images (N, C, H, W) and classes (N,). ``step``: as ``training_step`` makes it, captured or
    not. Each batch is judged before the step that it causes, with dropout on: these are training figures. Raises
    ArgumentError where the loader has no batch or ``step`` is no function.
    """
    if not callable(step):
        raise ArgumentError(
            "train_epoch",
            expected="step to be a function of images and classes",
            got=type(step).__name__,
            hint="Make it once: step = training_step(model, optimizer, loss_function).",
        )
    device = _device_of(model)
    model.train()
    figures, start = RunningFigures(), time.perf_counter()
    try:
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            loss, outputs = step(images, labels)
            figures.add(loss, outputs, labels)
            if progress is not None:
                progress.update(len(labels), figures)
    finally:
        if progress is not None:
            progress.close()
    return _finished("train_epoch", figures, start)


@gpu.explain_out_of_memory("evaluate")
def evaluate(
    model: Module,
    loader: DataLoader,
    loss_function: Loss = cross_entropy,
    *,
    progress: Progress | None = None,
) -> Figures:
    """Loss and accuracy of ``model`` over ``loader``, in evaluation mode and without a graph.

    The loader gives pairs of images (N, C, H, W) and classes (N,). ``loss_function(scores, classes)`` is a mean over
    the batch. The model's mode is what it was, afterwards. Raises ArgumentError where the loader has no batch.
    """
    device = _device_of(model)
    figures, start = RunningFigures(), time.perf_counter()
    training = model.training
    model.eval()
    try:
        with no_grad():
            for images, labels in loader:
                images, labels = images.to(device), labels.to(device)
                outputs = model(images)
                figures.add(loss_function(outputs, labels), outputs, labels)
                if progress is not None:
                    progress.update(len(labels), figures)
    finally:
        model.train(training)
        if progress is not None:
            progress.close()
    return _finished("evaluate", figures, start)


@gpu.explain_out_of_memory("predict")
def predict(model: Module, loader: DataLoader) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities (M, C) and labels (M,) of all images of ``loader``, in its order, in evaluation mode.

    The probabilities are the softmax of the model's outputs. Raises ArgumentError where the loader has no batch.
    """
    device = _device_of(model)
    probabilities, classes = [], []
    training = model.training
    model.eval()
    try:
        with no_grad():
            for images, labels in loader:
                probabilities.append(softmax(model(images.to(device)), 1).cpu().numpy())
                classes.append(labels.cpu().numpy())
    finally:
        model.train(training)
    if not classes:
        raise _no_batch("predict")
    return np.concatenate(probabilities), np.concatenate(classes)


def _device_of(model: Module) -> Device:
    first = next(model.parameters(), None)
    return CPU if first is None else first.device


def _finished(who: str, running: RunningFigures, start: float) -> Figures:
    if not running.images:
        raise _no_batch(who)
    loss, accuracy = running.loss, running.accuracy  # waits for a GPU, so that its time counts
    return Figures(loss, accuracy, running.images, time.perf_counter() - start)


def _no_batch(who: str) -> ArgumentError:
    return ArgumentError(
        who,
        expected="a loader with at least one batch",
        got="none",
        hint="With drop_last=True the data set must hold at least one whole batch.",
    )
