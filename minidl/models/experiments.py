"""The networks of the documented experiments, built from ``minidl.nn`` and named by what they are.

Every attribute has the name that a PyTorch user would give it, so that a state_dict fits the torch class as well.
Images are (N, C, H, W), outputs are logits (N, num_classes).
"""

from __future__ import annotations

from collections.abc import Callable

from minidl import nn
from minidl._tensor import Tensor
from minidl.errors import ArgumentError

__all__ = [
    "MLP",
    "AveragePoolConvNet",
    "BatchNormConvNet",
    "FourConvNet",
    "LeNet",
    "MNISTConvNet",
    "TwoConvNet",
    "WideConvNet",
]


class LeNet(nn.Module):
    """LeNet for 32 x 32 images, 62,006 parameters (report 001; the network of PyTorch's CIFAR-10 tutorial)."""

    def __init__(self, in_channels: int = 3, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        x = x.flatten(1)  # (N, 16, 5, 5) -> (N, 400)
        x = self.relu(self.fc1(x))
        x = self.relu(self.fc2(x))
        return self.fc3(x)


class FourConvNet(nn.Module):
    """Four 3 x 3 convolutions without padding, 890,410 parameters (report 000, model A); dropout after each pool."""

    def __init__(self, dropout: float = 0.0, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.conv2 = nn.Conv2d(32, 32, 3)
        self.conv3 = nn.Conv2d(32, 64, 3)
        self.conv4 = nn.Conv2d(64, 64, 3)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(64 * 5 * 5, 512)
        self.fc2 = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.dropout(self.pool(x))
        x = self.relu(self.conv3(x))
        x = self.relu(self.conv4(x))
        x = self.dropout(self.pool(x))
        x = x.flatten(1)  # (N, 64, 5, 5) -> (N, 1600)
        x = self.relu(self.fc1(x))
        return self.fc2(x)


class WideConvNet(nn.Module):
    """Four 3 x 3 convolutions up to 256 channels, 7,472,970 parameters (report 000, model B).

    Dropout comes after each pool.
    """

    def __init__(self, dropout: float = 0.0, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.conv3 = nn.Conv2d(64, 128, 3)
        self.conv4 = nn.Conv2d(128, 256, 3)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(256 * 5 * 5, 1024)
        self.fc2 = nn.Linear(1024, 512)
        self.fc3 = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.dropout(self.pool(x))
        x = self.relu(self.conv3(x))
        x = self.relu(self.conv4(x))
        x = self.dropout(self.pool(x))
        x = x.flatten(1)  # (N, 256, 5, 5) -> (N, 6400)
        x = self.relu(self.fc1(x))
        x = self.relu(self.fc2(x))
        return self.fc3(x)


class BatchNormConvNet(nn.Module):
    """Four padded 3 x 3 convolutions with batch norm and dropout, 2,169,770 parameters (report 002).

    ``activation`` makes the activation, as in ``BatchNormConvNet(nn.Tanh)``; the report compares LeakyReLU and Tanh.
    """

    def __init__(self, activation: Callable[[], nn.Module] = nn.LeakyReLU, num_classes: int = 10) -> None:
        super().__init__()
        if not callable(activation) or isinstance(activation, nn.Module):
            raise ArgumentError(
                "BatchNormConvNet",
                expected="activation to be a class such as nn.Tanh",
                got=repr(activation),
                hint="Pass the class itself, without brackets.",
            )
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(64)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1)
        self.bn4 = nn.BatchNorm2d(64)
        self.fc1 = nn.Linear(64 * 8 * 8, 512)
        self.bn5 = nn.BatchNorm1d(512)
        self.fc2 = nn.Linear(512, num_classes)
        self.activation = activation()
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.25)
        self.dropout3 = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.activation(self.bn2(self.conv2(x)))
        x = self.dropout1(self.pool(x))
        x = self.activation(self.bn3(self.conv3(x)))
        x = self.activation(self.bn4(self.conv4(x)))
        x = self.dropout2(self.pool(x))
        x = x.flatten(1)  # (N, 64, 8, 8) -> (N, 4096)
        x = self.dropout3(self.activation(self.bn5(self.fc1(x))))
        return self.fc2(x)


class AveragePoolConvNet(nn.Module):
    """Three convolutions with average pooling, 1,211,018 parameters (report 003).

    ``kernel_sizes`` are the three (odd) kernels, padded to keep the size; ``dropout`` drops after each pool and each
    hidden layer. Without ``batch_norm`` the layers bn1 to bn5 are left out.
    """

    def __init__(
        self,
        kernel_sizes: tuple[int, int, int] = (3, 3, 3),
        batch_norm: bool = True,
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        if len(kernel_sizes) != 3 or any(k % 2 == 0 for k in kernel_sizes):
            raise ArgumentError("AveragePoolConvNet", expected="three odd kernel_sizes", got=repr(kernel_sizes))
        first, second, third = kernel_sizes
        self.conv1 = nn.Conv2d(3, 32, first, padding=first // 2)
        self.bn1 = nn.BatchNorm2d(32) if batch_norm else nn.Identity()
        self.conv2 = nn.Conv2d(32, 64, second, padding=second // 2)
        self.bn2 = nn.BatchNorm2d(64) if batch_norm else nn.Identity()
        self.conv3 = nn.Conv2d(64, 128, third, padding=third // 2)
        self.bn3 = nn.BatchNorm2d(128) if batch_norm else nn.Identity()
        self.fc1 = nn.Linear(128 * 4 * 4, 512)
        self.bn4 = nn.BatchNorm1d(512) if batch_norm else nn.Identity()
        self.fc2 = nn.Linear(512, 128)
        self.bn5 = nn.BatchNorm1d(128) if batch_norm else nn.Identity()
        self.fc3 = nn.Linear(128, num_classes)
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool2d(2)
        self.dropout = nn.Dropout(dropout)

    def features(self, x: Tensor) -> Tensor:
        """The convolutional features: images (N, 3, 32, 32) -> (N, 2048)."""
        x = self.dropout(self.pool(self.relu(self.bn1(self.conv1(x)))))
        x = self.dropout(self.pool(self.relu(self.bn2(self.conv2(x)))))
        x = self.dropout(self.pool(self.relu(self.bn3(self.conv3(x)))))
        return x.flatten(1)  # (N, 128, 4, 4) -> (N, 2048)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.dropout(self.relu(self.bn4(self.fc1(x))))
        x = self.dropout(self.relu(self.bn5(self.fc2(x))))
        return self.fc3(x)


class TwoConvNet(nn.Module):
    """Two padded 3 x 3 convolutions, one pool, one or more hidden layers (report 004: M1, M2, C1, C2, C3).

    ``image_shape`` is (C, H, W) with even H and W; ``channels`` are the convolutions' outputs, ``hidden`` the widths of
    the hidden layers. Dropout comes after the pool (``pool_dropout``) and after the first hidden layer
    (``hidden_dropout``). M2 is ``TwoConvNet((1, 28, 28), (16, 16), (128,), pool_dropout=0.0)``, C2 is
    ``TwoConvNet((3, 32, 32), (32, 32), (256, 128))``.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: tuple[int, int],
        hidden: tuple[int, ...],
        pool_dropout: float = 0.25,
        hidden_dropout: float = 0.5,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        in_channels, height, width = image_shape
        if height % 2 or width % 2:
            raise ArgumentError("TwoConvNet", expected="an even height and width", got=repr(image_shape))
        if not hidden:
            raise ArgumentError("TwoConvNet", expected="at least one hidden layer", got="none")
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(pool_dropout)
        self.dropout2 = nn.Dropout(hidden_dropout)
        self.layers = len(hidden) + 1
        sizes = (channels[1] * (height // 2) * (width // 2), *hidden, num_classes)
        for number in range(1, self.layers + 1):
            self.add_module(f"fc{number}", nn.Linear(sizes[number - 1], sizes[number]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.dropout1(self.pool(x))
        x = x.flatten(1)  # (N, C, H/2, W/2) -> (N, C H/2 W/2)
        x = self.dropout2(self.relu(self.fc1(x)))
        for number in range(2, self.layers):
            x = self.relu(self.get_submodule(f"fc{number}")(x))
        return self.get_submodule(f"fc{self.layers}")(x)


class MNISTConvNet(TwoConvNet):
    """The two-convolution network for MNIST's 28 x 28 digits, 813,802 parameters (report 004, M1)."""

    def __init__(self, pool_dropout: float = 0.25, hidden_dropout: float = 0.5, num_classes: int = 10) -> None:
        super().__init__((1, 28, 28), (32, 32), (128,), pool_dropout, hidden_dropout, num_classes)


class MLP(nn.Module):
    """Fully connected layers fc1, fc2, ... with an activation between them (reports 001 and 004).

    ``MLP(3072, 120, 84, 10)`` has 379,774 parameters, ``MLP(3072, 10)`` is the linear classifier. ``activation`` makes
    the activation; None leaves it out. Inputs of any shape (N, ...) are flattened first.
    """

    def __init__(self, *sizes: int, activation: Callable[[], nn.Module] | None = nn.ReLU) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ArgumentError("MLP", expected="at least two sizes, such as MLP(784, 10)", got=repr(sizes))
        self.layers = len(sizes) - 1
        self.activation = nn.Identity() if activation is None else activation()
        for number in range(1, self.layers + 1):
            self.add_module(f"fc{number}", nn.Linear(sizes[number - 1], sizes[number]))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)  # (N, ...) -> (N, features)
        for number in range(1, self.layers):
            x = self.activation(self.get_submodule(f"fc{number}")(x))
        return self.get_submodule(f"fc{self.layers}")(x)
