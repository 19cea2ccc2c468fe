"""What is measured: the workloads, the columns of the table, and the inputs and weights that all columns share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import networks


@dataclass(frozen=True)
class Targets:
    """Ratios tuned-torch time / minidl time to reach: eager, captured, and what would be splendid."""

    eager: float
    captured: float
    moonshot: float


@dataclass(frozen=True)
class Workload:
    """A training step: forward, cross entropy, backward, optimizer step, float32."""

    key: str
    title: str
    network: Callable[[Any, bool], Any]  # (minidl.nn or torch.nn, dropout on) -> module
    batch: int
    optimizer: str  # "SGD" (with momentum 0.9) or "Adam"
    learning_rate: float
    targets: Targets


@dataclass(frozen=True)
class Column:
    """One way to run a workload; each runs in processes of its own."""

    name: str
    library: str  # "minidl" or "torch"
    tuned: bool = True  # malloc; for torch also channels_last, a fused optimizer and the number of threads
    captured: bool = False
    compiled: bool = False
    loader: bool = False  # W7 alone: torch's DataLoader and torchvision's transforms

    @property
    def optional(self) -> bool:
        """Whether the table does without it where it cannot run: no C++ compiler, no torchvision."""
        return self.compiled or self.loader


MINIDL = Column("minidl", "minidl")
CAPTURED = Column("captured", "minidl", captured=True)
MINIDL_DEFAULT = Column("minidl default", "minidl", tuned=False)
TORCH = Column("torch tuned", "torch")
TORCH_DEFAULT = Column("torch default", "torch", tuned=False)
TORCH_COMPILED = Column("torch.compile", "torch", compiled=True)
TORCH_LOADER = Column("torch DataLoader", "torch", loader=True)

WORKLOADS = [
    Workload("W1-1", "LeNet", networks.lenet, 1, "SGD", 0.001, Targets(1.8, 3.5, 5)),
    Workload("W1-4", "LeNet", networks.lenet, 4, "SGD", 0.001, Targets(1.8, 3.5, 5)),
    Workload("W1-128", "LeNet", networks.lenet, 128, "SGD", 0.01, Targets(1.4, 2.5, 3.5)),
    Workload("W1-1000", "LeNet", networks.lenet, 1000, "SGD", 0.01, Targets(1.2, 2, 3)),
    Workload("W2-4", "MLP 3072-120-84-10", networks.mlp, 4, "SGD", 0.001, Targets(1.8, 2, 2.5)),
    Workload("W2-128", "MLP 3072-120-84-10", networks.mlp, 128, "SGD", 0.01, Targets(1.8, 2, 2.5)),
    Workload("W3-32", "model A", networks.four_conv, 32, "SGD", 0.001, Targets(1.2, 1.4, 1.65)),
    Workload("W3-128", "model A", networks.four_conv, 128, "SGD", 0.001, Targets(1.2, 1.4, 1.65)),
    Workload("W4-64", "003 network", networks.average_pool, 64, "Adam", 0.0001, Targets(1.2, 1.4, 1.8)),
    Workload("W5-10", "model B", networks.wide_conv, 10, "Adam", 0.0001, Targets(1.2, 1.4, 1.7)),
    Workload("W5-32", "model B", networks.wide_conv, 32, "Adam", 0.0001, Targets(1.2, 1.4, 1.7)),
    Workload("W6-128", "002 network, LeakyReLU", networks.batch_norm, 128, "Adam", 0.0001, Targets(1.2, 1.4, 1.8)),
]
EPOCH = Workload("W7-64", "one epoch, 003 network", networks.average_pool, 64, "Adam", 0.0001, Targets(1.2, 1.4, 1.7))

# The learning rate of the timed steps: the arithmetic is that of any other, but the network stays where it began. With
# a true one thousands of steps on one batch would drive the loss to 0 and the gradients to denormal numbers, which
# processors handle a hundred times slower.
STANDING_STILL = 1e-8


def find(key: str) -> Workload:
    """The workload of this key."""
    return next(workload for workload in (*WORKLOADS, EPOCH) if workload.key == key)


def selected(names: Iterable[str] | None) -> list[Workload]:
    """The workloads named: "W1" is LeNet at every batch size, "W1-4" one of them. None: all. ValueError if unknown."""
    everything = [*WORKLOADS, EPOCH]
    if names is None:
        return everything
    chosen = set()
    for name in names:
        matches = [w.key for w in everything if name.upper() in (w.key, w.key.partition("-")[0])]
        if not matches:
            raise ValueError(f"no workload {name!r}; there are {', '.join(w.key for w in everything)}")
        chosen.update(matches)
    return [workload for workload in everything if workload.key in chosen]


def batch(workload: Workload) -> tuple[np.ndarray, np.ndarray]:
    """The batch of every step: images (N, 3, 32, 32) float32 in channels-last memory, labels (N,) int64."""
    random = np.random.default_rng(1)
    images = random.standard_normal((workload.batch, 32, 32, 3), dtype=np.float32)
    labels = random.integers(0, 10, workload.batch)
    return images.transpose(0, 3, 1, 2), labels  # (N, H, W, C) -> (N, C, H, W)


def training_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """W7's data set: ``count`` random images (M, 32, 32, 3) uint8 and labels (M,) int64. Speed depends on no pixel."""
    random = np.random.default_rng(2)
    return random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), random.integers(0, 10, count)


# CIFAR-10's, which W7 normalises by
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


def initial_weights(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> list[np.ndarray | None]:
    """The start of a network whose parameters have these names and shapes; None where both libraries agree already.

    Weights are uniform with bound sqrt(3 / fan_in) (LeCun et al. 1998), biases 0, batch normalisation 1 and 0.
    """
    random = np.random.default_rng(3)
    weights: list[np.ndarray | None] = []
    for name, shape in shapes:
        if len(shape) > 1:
            bound = (3 / np.prod(shape[1:])) ** 0.5
            weights.append(random.uniform(-bound, bound, shape).astype(np.float32))
        else:
            weights.append(np.zeros(shape, np.float32) if name.endswith("bias") else None)
    return weights
