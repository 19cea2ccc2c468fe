"""The training step and the epoch as a user of PyTorch writes them: tuned, as it comes, or compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks import workloads
from benchmarks.workloads import Column, Workload


def set_threads(column: Column, threads: int) -> None:
    """As many threads as minidl has; torch as it comes takes its own number."""
    if column.tuned:
        torch.set_num_threads(threads)


def facts() -> dict[str, Any]:
    """What a reader of the table wants to know about this side."""
    return {"threads": torch.get_num_threads(), "instruction set": torch.backends.cpu.get_cpu_capability()}


def _network(column: Column, workload: Workload, dropout: bool) -> Any:
    network = workload.network(torch.nn, dropout)
    named = list(network.named_parameters())
    weights = workloads.initial_weights((name, tuple(parameter.shape)) for name, parameter in named)
    with torch.no_grad():
        for (_, parameter), weight in zip(named, weights, strict=True):
            if weight is not None:
                parameter.copy_(torch.from_numpy(weight))
    if column.tuned:
        network = network.to(memory_format=torch.channels_last)
    return network.train()


def _step(
    column: Column, workload: Workload, network: Any, learning_rate: float
) -> Callable[[Any, Any], tuple[Any, Any]]:
    fused = True if column.tuned else None  # None: torch's own choice
    if workload.optimizer == "SGD":
        optimizer: Any = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9, fused=fused)
    else:
        optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=fused)

    def forward(images: Any, labels: Any) -> tuple[Any, Any]:
        outputs = network(images)
        return F.cross_entropy(outputs, labels), outputs

    if column.compiled:
        forward = torch.compile(forward)

    def step(images: Any, labels: Any) -> tuple[Any, Any]:
        optimizer.zero_grad()
        loss, outputs = forward(images, labels)
        loss.backward()
        optimizer.step()
        return loss, outputs

    return step


def training_step(column: Column, workload: Workload, dropout: bool, learning_rate: float) -> Callable[[], Any]:
    """A function that takes one training step and returns its loss (a tensor)."""
    images, labels = (torch.from_numpy(array) for array in workloads.batch(workload))
    if not column.tuned:
        images = images.contiguous()
    step = _step(column, workload, _network(column, workload, dropout), learning_rate)
    return lambda: step(images, labels)[0]


def epoch(column: Column, images: int) -> Callable[[], float]:
    """A function that trains for one epoch on ``images`` images and returns the mean loss."""
    workload = workloads.EPOCH
    data = _from_loader(images, workload.batch) if column.loader else _from_memory(images, workload.batch)
    step = _step(column, workload, _network(column, workload, dropout=True), workload.learning_rate)

    def run() -> float:
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for batch, labels in data():
            loss, outputs = step(batch, labels)
            total += loss.detach() * len(labels)
            right += (outputs.detach().argmax(1) == labels).sum()
        right.item()
        return total.item() / images

    return run


def _from_memory(count: int, size: int) -> Callable[[], Iterator[Any]]:
    """Batches cut from images in memory, vectorised: all images get their border once, a batch is one lookup."""
    pixels, classes = (torch.from_numpy(array) for array in workloads.training_images(count))
    bordered = F.pad(pixels, (0, 0, 4, 4, 4, 4))  # (M, 32, 32, 3) -> (M, 40, 40, 3)
    # pixel / 255 - mean, divided by std, as one product and one sum
    scale = 1 / (255 * torch.tensor(workloads.STD))
    shift = -torch.tensor(workloads.MEAN) / torch.tensor(workloads.STD)
    forward, backward = torch.arange(32), torch.arange(31, -1, -1)

    def batches() -> Iterator[Any]:
        for index in torch.randperm(count).split(size):
            n = len(index)
            rows = torch.randint(0, 9, (n, 1)) + forward  # (N, 32)
            mirrored = torch.rand(n, 1) < 0.5
            columns = torch.randint(0, 9, (n, 1)) + torch.where(mirrored, backward, forward)
            crops = bordered[index[:, None, None], rows[:, :, None], columns[:, None, :]]  # (N, 32, 32, 3)
            batch = crops.to(torch.float32).mul_(scale).add_(shift)
            yield batch.permute(0, 3, 1, 2), classes[index]  # (N, H, W, C) -> (N, C, H, W), channels_last

    return batches


class _Pictures(Dataset):
    """What torchvision.datasets.CIFAR10 does: a PIL image an item, transformed."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable[[Any], Any]) -> None:
        self.images, self.labels, self.transform = images, labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def _from_loader(count: int, size: int) -> Callable[[], Iterator[Any]]:
    """The usual way: DataLoader with torchvision's transforms, a worker process for each thread, kept alive."""
    transforms = _torchvision_transforms()
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(workloads.MEAN, workloads.STD),
        ]
    )
    dataset = _Pictures(*workloads.training_images(count), transform)
    loader = DataLoader(
        dataset,
        size,
        shuffle=True,
        num_workers=torch.get_num_threads(),
        multiprocessing_context="fork",  # the usual one on Linux; inside a spawned process the default is another
        persistent_workers=True,
        prefetch_factor=4,
    )

    def batches() -> Iterator[Any]:
        for batch, labels in loader:
            yield batch.to(memory_format=torch.channels_last), labels

    return batches


def _torchvision_transforms() -> Any:
    try:
        torch.ops.torchvision.nms  # noqa: B018
    except AttributeError:
        # A torchvision built for another kind of torch has no operators; its import asks for these two schemas, which
        # transforms never use. The library has to stay alive as long as the process.
        _torchvision_transforms.schemas = library = torch.library.Library("torchvision", "DEF")  # type: ignore[attr-defined]
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import transforms

    return transforms
