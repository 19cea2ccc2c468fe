"""The networks of the experiments as a PyTorch user would write them: what minidl.models is held against."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))))


class FourConvs(nn.Module):
    """Report 000: widths of the convolutions and of the fully connected layers."""

    def __init__(self, channels: list[int], sizes: list[int]) -> None:
        super().__init__()
        self.count = len(sizes) - 1
        for i in range(4):
            setattr(self, f"conv{i + 1}", nn.Conv2d(channels[i], channels[i + 1], 3))
        for i in range(self.count):
            setattr(self, f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.max_pool2d(F.relu(self.conv4(F.relu(self.conv3(x)))), 2)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x) if self.count == 2 else self.fc3(F.relu(self.fc2(x)))


class BatchNormNet(nn.Module):
    """Report 002, without its dropout."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        self.activation = activation
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv3, self.bn3 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.conv4, self.bn4 = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.fc1, self.bn5 = nn.Linear(4096, 512), nn.BatchNorm1d(512)
        self.fc2 = nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x))))))
        x = F.max_pool2d(x, 2)
        x = self.activation(self.bn4(self.conv4(self.activation(self.bn3(self.conv3(x))))))
        x = F.max_pool2d(x, 2)
        return self.fc2(self.activation(self.bn5(self.fc1(torch.flatten(x, 1)))))


class AveragePoolNet(nn.Module):
    """Report 003."""

    def __init__(self, kernels: tuple[int, int, int], batch_norm: bool) -> None:
        super().__init__()
        widths = [3, 32, 64, 128]
        for i, kernel in enumerate(kernels):
            setattr(self, f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], kernel, padding=kernel // 2))
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]) if batch_norm else nn.Identity())
        self.fc1, self.bn4 = nn.Linear(2048, 512), nn.BatchNorm1d(512) if batch_norm else nn.Identity()
        self.fc2, self.bn5 = nn.Linear(512, 128), nn.BatchNorm1d(128) if batch_norm else nn.Identity()
        self.fc3 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = F.avg_pool2d(F.relu(bn(conv(x))), 2)
        x = F.relu(self.bn4(self.fc1(torch.flatten(x, 1))))
        return self.fc3(F.relu(self.bn5(self.fc2(x))))


class TwoConvs(nn.Module):
    """Report 004's convolutional networks."""

    def __init__(self, channels: list[int], sizes: list[int]) -> None:
        super().__init__()
        self.count = len(sizes) - 1
        self.conv1 = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.conv2 = nn.Conv2d(channels[1], channels[2], 3, padding=1)
        for i in range(self.count):
            setattr(self, f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2), 1)
        for i in range(1, self.count):
            x = F.relu(getattr(self, f"fc{i}")(x))
        return getattr(self, f"fc{self.count}")(x)


class FullyConnected(nn.Module):
    """Reports 001 and 004."""

    def __init__(self, sizes: list[int], activation: Any) -> None:
        super().__init__()
        self.count, self.activation = len(sizes) - 1, activation
        for i in range(self.count):
            setattr(self, f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.flatten(x, 1)
        for i in range(1, self.count):
            x = self.activation(getattr(self, f"fc{i}")(x))
        return getattr(self, f"fc{self.count}")(x)
