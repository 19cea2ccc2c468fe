"""Smooth activations: sigmoid, GELU, SiLU, Mish, softplus, the exponential linear units, gated linear units."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import ignore_float_errors, namespace
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.activation import tanh
from minidl.ops.choice import Where
from minidl.ops.elementwise import Exp
from minidl.ops.promotion import as_float, require_float
from minidl.ops.reduction import normalize_axis

__all__ = ["elu", "gelu", "glu", "logsigmoid", "mish", "pointwise", "selu", "sigmoid", "silu", "softplus"]


def pointwise(who: str, function: Callable[[Any], Any], input: Any, inplace: bool) -> Any:
    """function(input), written into the input's memory where ``inplace`` asks for it."""
    require_float(who, input)
    return input._in_place(f"{who} with inplace=True", function) if inplace else function(input)


def real(who: str, **values: Any) -> None:
    """DTypeError unless every argument is a number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise DTypeError(who, expected=f"{name} as a number", got=repr(value))


class GELU(Function):
    """x Phi(x), Phi the normal distribution function."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return kernels.gelu_forward(namespace(x).asarray(x))  # NumPy makes scalars of arrays without axes

    def backward(self, grad: Any) -> Any:
        return GELUGradient.evaluate(grad, *self.saved_tensors)


class GELUGradient(Function):
    """grad (Phi(x) + x phi(x)), phi the normal density; its own derivative by x is grad phi(x) (2 - x^2)."""

    def forward(self, grad: Any, x: Any) -> Any:
        xp = namespace(x)
        self.save_for_backward(grad, x)
        return kernels.gelu_backward(xp.asarray(grad), xp.asarray(x))

    def backward(self, grad: Any) -> Any:
        first, x = self.saved_tensors
        density = Exp.evaluate(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
        return GELUGradient.evaluate(grad, x), grad * first * density * (2 - x * x)


class Softplus(Function):
    """log(1 + exp(beta x)) / beta, and x where beta x is above the threshold; dx = grad sigmoid(beta x)."""

    def forward(self, x: Any, beta: float, threshold: float) -> Any:
        xp = namespace(x)
        self.beta = beta
        linear = x * beta > threshold
        self.save_for_backward(x, linear)
        return xp.where(linear, x, xp.log1p(xp.exp(xp.where(linear, 0, x * beta))) / beta).astype(x.dtype)

    def backward(self, grad: Any) -> Any:
        x, _ = self.saved_tensors
        linear = self.saved_arrays[1]
        return Where.evaluate(linear, grad, grad * Sigmoid.evaluate(x * self.beta))


class LogSigmoid(Function):
    """log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)); dx = grad sigmoid(-x)."""

    def forward(self, x: Any) -> Any:
        xp = namespace(x)
        self.save_for_backward(x)
        with ignore_float_errors():
            return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))

    def backward(self, grad: Any) -> Any:
        (x,) = self.saved_tensors
        return grad * Sigmoid.evaluate(-x)


class ELU(Function):
    """scale x where x > 0, else scale alpha (exp(x) - 1)."""

    def forward(self, x: Any, alpha: float, scale: float) -> Any:
        xp = namespace(x)
        self.alpha, self.scale = alpha, scale
        positive = x > 0
        self.save_for_backward(x, positive)
        return xp.where(positive, x * scale, xp.expm1(xp.where(positive, 0, x)) * (scale * alpha)).astype(x.dtype)

    def backward(self, grad: Any) -> Any:
        x, _ = self.saved_tensors
        positive = self.saved_arrays[1]
        below = Where.evaluate(positive, 0.0, x)  # so that no exp overflows where it is not asked for
        return Where.evaluate(positive, grad * self.scale, grad * Exp.evaluate(below) * (self.scale * self.alpha))


def gelu(input: T, approximate: str = "none") -> T:
    """input Phi(input), Phi the normal distribution function, element by element.

    approximate: "none", or "tanh" for 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Source:
    torch.nn.functional.gelu; Hendrycks & Gimpel 2016.
    """
    require_float("gelu", input)
    if approximate == "none":
        return GELU.apply(input)
    if approximate != "tanh":
        raise ArgumentError("gelu", expected='approximate "none" or "tanh"', got=repr(approximate))
    x: Any = input
    return x * 0.5 * (tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)


def silu(input: T, inplace: bool = False) -> T:
    """input sigmoid(input), also called swish. Source: torch.nn.functional.silu."""
    return pointwise("silu", lambda x: x * sigmoid(x), input, inplace)


def mish(input: T, inplace: bool = False) -> T:
    """input tanh(softplus(input)). Source: torch.nn.functional.mish; Misra 2019."""
    return pointwise("mish", lambda x: x * tanh(Softplus.apply(x, beta=1.0, threshold=20.0)), input, inplace)


def softplus(input: T, beta: float = 1.0, threshold: float = 20.0) -> T:
    """log(1 + exp(beta input)) / beta; the input itself where beta input is above threshold.

    Source: torch.nn.functional.softplus.
    """
    require_float("softplus", input)
    real("softplus", beta=beta, threshold=threshold)
    if beta == 0:
        raise ArgumentError("softplus", expected="a beta other than 0", got=repr(beta))
    return Softplus.apply(input, beta=float(beta), threshold=float(threshold))


def logsigmoid(input: T) -> T:
    """log sigmoid(input), without overflow. Source: torch.nn.functional.logsigmoid."""
    require_float("logsigmoid", input)
    return LogSigmoid.apply(input)


def elu(input: T, alpha: float = 1.0, inplace: bool = False) -> T:
    """input where it is above 0, else alpha (exp(input) - 1). Source: torch.nn.functional.elu; Clevert et al. 2015."""
    real("elu", alpha=alpha)
    return pointwise("elu", lambda x: ELU.apply(x, alpha=float(alpha), scale=1.0), input, inplace)


# The two numbers for which activations keep mean 0 and variance 1 (Klambauer et al. 2017, equation 14).
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(input: T, inplace: bool = False) -> T:
    """scale * elu(input, alpha), with the numbers that keep mean 0 and variance 1.

    Source: torch.nn.functional.selu; Klambauer et al. 2017.
    """
    return pointwise("selu", lambda x: ELU.apply(x, alpha=_SELU_ALPHA, scale=_SELU_SCALE), input, inplace)


def glu(input: T, dim: int = -1) -> T:
    """a sigmoid(b), where a and b are the two halves of the input along dim, which must be even.

    Source: torch.nn.functional.glu; Dauphin et al. 2016.
    """
    require_float("glu", input)
    axis = normalize_axis("glu", dim, input.data.ndim)
    if not input.data.ndim:
        raise ShapeError("glu", expected="at least one axis", got="none")
    length = input.data.shape[axis]
    if length % 2:
        raise ShapeError("glu", expected=f"an even length along axis {axis}", got=str(input.data.shape))
    values: Any = input
    whole: tuple[Any, ...] = (slice(None),) * axis
    return values[whole + (slice(0, length // 2),)] * sigmoid(values[whole + (slice(length // 2, None),)])


class Sigmoid(Function):
    def forward(self, x: Any) -> Any:
        y = kernels.sigmoid_forward(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad: Any) -> Any:
        return SigmoidGradient.evaluate(grad, *self.saved_tensors)


class SigmoidGradient(Function):
    """grad * y * (1 - y)."""

    def forward(self, grad: Any, y: Any) -> Any:
        self.save_for_backward(grad, y)
        return kernels.sigmoid_backward(grad, y)

    def backward(self, grad: Any) -> Any:
        inner, y = self.saved_tensors
        return SigmoidGradient.evaluate(grad, y), grad * inner * (1 - 2 * y)


def sigmoid(input: T) -> T:
    """1 / (1 + exp(-input)), element by element; integers give float32. Source: torch.sigmoid."""
    return Sigmoid.apply(as_float("sigmoid", input))
