"""Initial values of parameters (``torch.nn.init``): written in place, drawn from NumPy on the host, without a graph."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from minidl._tensor import Tensor, host_generator
from minidl.autograd.modes import no_grad
from minidl.backend.dtypes import is_real
from minidl.backend.random import Generator
from minidl.errors import ArgumentError, ShapeError

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

T = TypeVar("T", bound=Tensor)

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Fill a tensor of any shape with numbers uniform in [a, b); returns it. ArgumentError if a > b."""
    if not a <= b:
        raise ArgumentError("init.uniform_", expected="a <= b", got=f"a={a!r}, b={b!r}")
    return _write(tensor, host_generator(generator).uniform(a, b, size=tuple(tensor.shape)))


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> T:
    """Fill a tensor of any shape with numbers normal in (mean, std); returns it. ArgumentError if std < 0."""
    _check_std("init.normal_", std)
    return _write(tensor, host_generator(generator).normal(mean, std, size=tuple(tensor.shape)))


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator | None = None
) -> T:
    """Fill with numbers normal in (mean, std) of which only those in [a, b] are kept; returns the tensor.

    ``a`` and ``b`` are values, not multiples of std. Numbers outside are drawn again, so the interval must hold at
    least a thousandth of the distribution: ArgumentError otherwise, and if std <= 0.
    """
    if not std > 0:
        raise ArgumentError("init.trunc_normal_", expected="std > 0", got=repr(std))
    scale = std * math.sqrt(2)
    inside = 0.5 * (math.erf((b - mean) / scale) - math.erf((a - mean) / scale))
    if not inside >= 1e-3:
        raise ArgumentError(
            "init.trunc_normal_",
            expected="an interval [a, b] that holds at least 0.1 % of the distribution",
            got=f"a={a!r}, b={b!r} with mean={mean!r}, std={std!r}",
        )
    host = host_generator(generator)
    values = host.normal(mean, std, size=tensor.numel())
    outside = (values < a) | (values > b)
    while outside.any():
        values[outside] = host.normal(mean, std, size=int(outside.sum()))
        outside = (values < a) | (values > b)
    return _write(tensor, values.reshape(tuple(tensor.shape)))


def constant_(tensor: T, val: float) -> T:
    """Fill a tensor of any shape with ``val``; returns it."""
    with no_grad():
        tensor.fill_(val)
    return tensor


def zeros_(tensor: T) -> T:
    """Fill a tensor of any shape with 0; returns it."""
    return constant_(tensor, 0.0)


def ones_(tensor: T) -> T:
    """Fill a tensor of any shape with 1; returns it."""
    return constant_(tensor, 1.0)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Uniform in [-bound, bound), bound = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    fan_in, fan_out = _fans("init.xavier_uniform_", tensor)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Normal with std = gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    fan_in, fan_out = _fans("init.xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Uniform in [-bound, bound), bound = gain sqrt(3 / fan) (He et al. 2015, equation 10, as uniform numbers).

    ``a`` is the negative slope of the leaky ReLU that follows; ``mode`` is "fan_in" or "fan_out".
    """
    std = _kaiming_std("init.kaiming_uniform_", tensor, a, mode, nonlinearity)
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Normal with std = gain / sqrt(fan) (He et al. 2015, equation 10); the arguments are ``kaiming_uniform_``'s."""
    return normal_(tensor, 0.0, _kaiming_std("init.kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which an activation shrinks a signal's standard deviation, inverted (``torch.nn.init``'s table).

    1 for linear layers and the sigmoid, 5/3 for tanh, sqrt(2) for ReLU, sqrt(2 / (1 + slope^2)) for leaky ReLU with the
    slope ``param`` (0.01 if None), 3/4 for SELU. ArgumentError for any other name.
    """
    gains = {"sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75, **dict.fromkeys(_LINEAR, 1.0)}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if not is_real(slope):
            raise ArgumentError("init.calculate_gain", expected="param to be the negative slope", got=repr(param))
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ArgumentError(
            "init.calculate_gain", expected=f"one of leaky_relu, {', '.join(gains)}", got=repr(nonlinearity)
        )
    return gains[nonlinearity]


def _fans(who: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed one output and how many outputs one input feeds, for a weight (out, in, ...)."""
    if tensor.dim() < 2:
        raise ShapeError(who, expected="a weight of at least 2 axes (out, in, ...)", got=f"shape {tuple(tensor.shape)}")
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


def _kaiming_std(who: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(who, expected="mode 'fan_in' or 'fan_out'", got=repr(mode))
    fan_in, fan_out = _fans(who, tensor)
    fan = fan_in if mode == "fan_in" else fan_out
    return (
        calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0
    )  # a weight without elements: nothing to fill


def _check_std(who: str, std: float) -> None:
    if not std >= 0:
        raise ArgumentError(who, expected="std >= 0", got=repr(std))


def _write(tensor: T, values: Any) -> T:
    """Copy host values into the tensor, whatever its type and device; counts as an in-place write, leaves no graph."""
    with no_grad():
        tensor.copy_(values)
    return tensor
