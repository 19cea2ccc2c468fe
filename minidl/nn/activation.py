"""Activation functions as layers; the wider range is in activation_more.py."""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError
from minidl.nn import functional as F
from minidl.nn.module import Module

__all__ = ["LeakyReLU", "ReLU", "Tanh"]


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
