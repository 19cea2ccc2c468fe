"""The fully connected layer, and the layer that does nothing."""

from __future__ import annotations

import math
from typing import Any

from minidl._factories import zeros
from minidl._tensor import Tensor
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = ["Identity", "Linear"]


class Linear(Module):
    """y = x W^T + b (``torch.nn.Linear``): input (..., in_features) -> (..., out_features).

    weight (out_features, in_features) and bias (out_features,) start uniform in +-1/sqrt(in_features).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = whole("Linear", "in_features", in_features, 0)
        self.out_features = whole("Linear", "out_features", out_features, 0)
        self.weight = Parameter(zeros((self.out_features, self.in_features), dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(zeros((self.out_features,), dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weight, then the initial bias."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None and self.in_features > 0:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Gives back its input (``torch.nn.Identity``); arguments of the constructor are for the layer it stands in for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input
