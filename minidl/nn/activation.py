"""Activation functions and changes of shape, as layers without parameters."""

from __future__ import annotations

from typing import Any

from minidl._tensor import Tensor
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.arguments import is_real, whole
from minidl.nn.module import Module

__all__ = ["Flatten", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh", "Unflatten"]


class ReLU(Module):
    """max(x, 0), elementwise (``torch.nn.ReLU``); ``inplace`` writes the result into the input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where x > 0, negative_slope x elsewhere (``torch.nn.LeakyReLU``)."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        if not is_real(negative_slope):
            raise ArgumentError("LeakyReLU", expected="negative_slope to be a number", got=repr(negative_slope))
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class Tanh(Module):
    """The hyperbolic tangent, elementwise (``torch.nn.Tanh``)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise (``torch.nn.Sigmoid``)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Softmax(Module):
    """exp(x) / sum exp(x) along the axis ``dim`` (``torch.nn.Softmax``); the axis must be said, torch guesses it."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = _check_dim("Softmax", dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x - log sum exp(x) along the axis ``dim`` (``torch.nn.LogSoftmax``); the axis must be said, torch guesses it."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = _check_dim("LogSoftmax", dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Flatten(Module):
    """Joins the axes start_dim to end_dim into one (``torch.nn.Flatten``): (N, C, H, W) -> (N, C H W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = _check_dim("Flatten", start_dim)
        self.end_dim = _check_dim("Flatten", end_dim)

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis ``dim`` into the axes ``unflattened_size``, one of which may be -1 (``torch.nn.Unflatten``)."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = _check_dim("Unflatten", dim)
        if not isinstance(unflattened_size, (tuple, list)) or not unflattened_size:
            raise ArgumentError("Unflatten", expected="unflattened_size to be a tuple", got=repr(unflattened_size))
        sizes = tuple(whole("Unflatten", "unflattened_size", size, -1) for size in unflattened_size)
        if sizes.count(-1) > 1:
            raise ArgumentError("Unflatten", expected="at most one -1 in unflattened_size", got=repr(sizes))
        self.unflattened_size = sizes

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _check_dim(who: str, dim: Any) -> int:
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise ArgumentError(who, expected="an axis, such as dim=1", got=repr(dim), hint="Axes are counted from 0.")
    return dim
