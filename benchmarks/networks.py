"""The networks of the workloads. Each is written once and built by either library: ``nn`` is minidl.nn or torch.nn.

They are the networks of ``minidl.models``, as chains; a test holds the number of parameters of each against its model.
Images are (N, 3, 32, 32), results are logits (N, 10). ``dropout`` switches the dropout of the experiment on.
"""

from __future__ import annotations

from typing import Any


def lenet(nn: Any, dropout: bool) -> Any:
    """W1: LeNet, 62,006 parameters (report 001)."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


def mlp(nn: Any, dropout: bool) -> Any:
    """W2: a multilayer perceptron, 379,774 parameters (report 001)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3072, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


def four_conv(nn: Any, dropout: bool) -> Any:
    """W3: model A, 890,410 parameters (report 000, without dropout)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 512), nn.ReLU(),
        nn.Linear(512, 10),
    )  # fmt: skip


def average_pool(nn: Any, dropout: bool) -> Any:
    """W4 and W7: batch normalisation and average pooling, 1,211,018 parameters (report 003, without dropout)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(2048, 512), nn.BatchNorm1d(512), nn.ReLU(),
        nn.Linear(512, 128), nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 10),
    )  # fmt: skip


def wide_conv(nn: Any, dropout: bool) -> Any:
    """W5: model B, 7,472,970 parameters (report 000, without dropout)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Conv2d(128, 256, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6400, 1024), nn.ReLU(),
        nn.Linear(1024, 512), nn.ReLU(),
        nn.Linear(512, 10),
    )  # fmt: skip


def batch_norm(nn: Any, dropout: bool) -> Any:
    """W6: batch normalisation, LeakyReLU and dropout, 2,169,770 parameters (report 002)."""
    quarter, half = (0.25, 0.5) if dropout else (0.0, 0.0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(),
        nn.MaxPool2d(2), nn.Dropout(quarter),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.LeakyReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.LeakyReLU(),
        nn.MaxPool2d(2), nn.Dropout(quarter),
        nn.Flatten(),
        nn.Linear(4096, 512), nn.BatchNorm1d(512), nn.LeakyReLU(), nn.Dropout(half),
        nn.Linear(512, 10),
    )  # fmt: skip
