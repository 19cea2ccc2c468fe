"""The wider range of activation functions as layers; the formulas stand at the functions of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minidl._factories import full
from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError
from minidl.nn import functional as F
from minidl.nn.arguments import axis, whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardswish",
    "Hardtanh",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
]


def _number(who: str, name: str, value: Any) -> Any:
    if not is_real(value):
        raise ArgumentError(who, expected=f"{name} to be a number", got=repr(value))
    return value


class _InPlace(Module):
    """A function of one element that may write its result into the input."""

    _function: ClassVar[Callable[..., Any]]

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._function(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class SiLU(_InPlace):
    """x sigmoid(x), elementwise (``torch.nn.SiLU``)."""

    _function = F.silu


class Mish(_InPlace):
    """x tanh(softplus(x)), elementwise (``torch.nn.Mish``)."""

    _function = F.mish


class SELU(_InPlace):
    """The self-normalising exponential linear unit, elementwise (``torch.nn.SELU``)."""

    _function = F.selu


class ReLU6(_InPlace):
    """min(max(x, 0), 6), elementwise (``torch.nn.ReLU6``)."""

    _function = F.relu6


class Hardswish(_InPlace):
    """x relu6(x + 3) / 6, elementwise (``torch.nn.Hardswish``)."""

    _function = F.hardswish

    def extra_repr(self) -> str:
        return ""


class GELU(Module):
    """x Phi(x), elementwise (``torch.nn.GELU``); ``approximate="tanh"`` takes the approximation by tanh."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError("GELU", expected="approximate 'none' or 'tanh'", got=repr(approximate))
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, elementwise (``torch.nn.Softplus``)."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = _number("Softplus", "beta", beta)
        self.threshold = _number("Softplus", "threshold", threshold)
        if beta == 0:
            raise ArgumentError("Softplus", expected="a beta other than 0", got=repr(beta))

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """log sigmoid(x), elementwise (``torch.nn.LogSigmoid``)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class ELU(Module):
    """x where x > 0, else alpha (exp(x) - 1), elementwise (``torch.nn.ELU``)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = _number("ELU", "alpha", alpha)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Hardtanh(Module):
    """min(max(x, min_val), max_val), elementwise (``torch.nn.Hardtanh``)."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val = _number("Hardtanh", "min_val", min_val)
        self.max_val = _number("Hardtanh", "max_val", max_val)
        if min_val >= max_val:
            raise ArgumentError("Hardtanh", expected="min_val below max_val", got=f"{min_val} and {max_val}")
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where x > 0, else weight x, with one learned weight or one a channel of (N, C, ...) (``torch.nn.PReLU``)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = whole("PReLU", "num_parameters", num_parameters, 1)
        self.init = _number("PReLU", "init", init)
        self.weight = Parameter(full((self.num_parameters,), float(init), dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Set every weight to its first value."""
        self.weight.detach().fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class GLU(Module):
    """The first half of the axis ``dim`` times the sigmoid of the second (``torch.nn.GLU``)."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise DTypeError("GLU", expected="dim as an integer", got=repr(dim))
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise (``torch.nn.Sigmoid``)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Softmax(Module):
    """exp(x) / sum exp(x) along the axis ``dim`` (``torch.nn.Softmax``); the axis must be said, torch guesses it."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = axis("Softmax", dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x - log sum exp(x) along the axis ``dim`` (``torch.nn.LogSoftmax``); the axis must be said, torch guesses it."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = axis("LogSoftmax", dim)

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
