"""The training step and the epoch as a user of minidl writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

import minidl
from benchmarks import workloads
from benchmarks.workloads import Column, Workload
from minidl import kernels, train
from minidl.data import Augmentation, DataLoader, ImageDataset


def set_threads(column: Column, threads: int) -> None:
    """Let the kernels run on this many threads."""
    numba.set_num_threads(threads)


def facts() -> dict[str, Any]:
    """What a reader of the table wants to know about this side."""
    return {
        "BLAS": kernels.blas_description(),
        "threads": numba.get_num_threads(),
    }


def _network(workload: Workload, dropout: bool) -> Any:
    network = workload.network(minidl.nn, dropout)
    named = [(name, parameter, tuple(parameter.shape)) for name, parameter in network.named_parameters()]
    weights = workloads.initial_weights((name, shape) for name, _, shape in named)
    for (_, parameter, _), weight in zip(named, weights, strict=True):
        if weight is not None:
            parameter.data = weight
    return network.train()


def _step(column: Column, workload: Workload, network: Any, learning_rate: float) -> train.Step:
    if workload.optimizer == "SGD":
        optimizer: Any = minidl.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9)
    else:
        optimizer = minidl.optim.Adam(network.parameters(), lr=learning_rate)

    step = train.training_step(network, optimizer)
    return minidl.capture(step) if column.captured else step


def training_step(column: Column, workload: Workload, dropout: bool, learning_rate: float) -> Callable[[], Any]:
    """A function that takes one training step and returns its loss (a tensor)."""
    images, labels = (minidl.from_numpy(array) for array in workloads.batch(workload))
    step = _step(column, workload, _network(workload, dropout), learning_rate)
    return lambda: step(images, labels)[0]


def epoch(column: Column, images: int) -> Callable[[], float]:
    """A function that trains for one epoch on ``images`` images: examples/cifar_cnn.py. It returns the mean loss."""
    workload = workloads.EPOCH
    pixels, classes = workloads.training_images(images)
    dataset = ImageDataset(pixels, classes, workloads.MEAN, workloads.STD, Augmentation(crop_padding=4, flip=0.5))
    loader = DataLoader(dataset, workload.batch, shuffle=True)
    network = _network(workload, dropout=True)
    step = _step(column, workload, network, workload.learning_rate)
    return lambda: train.train_epoch(network, loader, step).loss
