"""Dropout: masks from counter-based random numbers, never stored, computed again in backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl import kernels
from minidl.autograd.base import T
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace, on_its_device
from minidl.backend.random import DROPOUT, Generator, Stream, default_generator
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.promotion import require_float

__all__ = ["dropout", "dropout2d"]


class Dropout(Function):
    """x * keep / (1 - p); linear, so backward is the same operation with the same random stream."""

    def forward(self, x: Any, p: float, stream: Stream) -> Any:
        self.p, self.stream = p, stream
        return kernels.dropout_forward(x, p, *stream)

    def backward(self, grad: Any) -> Any:
        return Dropout.evaluate(grad, p=self.p, stream=self.stream)


def _probability(who: str, p: Any) -> None:
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ArgumentError(who, expected="a probability p in [0, 1]", got=repr(p))


def _stream(who: str, generator: Generator | None) -> Stream:
    if generator is not None and not isinstance(generator, Generator):
        raise DTypeError(who, expected="a minidl.Generator or None", got=type(generator).__name__)
    return (generator or default_generator()).stream(DROPOUT)


def _finish(who: str, operation: Callable[[Any], Any], input: Any, inplace: bool) -> Any:
    return input._in_place(f"{who} with inplace=True", operation) if inplace else operation(input)


def dropout(
    input: T, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> T:
    """Each element 0 with probability p, else divided by 1 - p; the input itself when not training.

    input: any shape, floating-point; p in [0, 1]; inplace: write into the input's memory; generator: where the random
    numbers come from (default: this thread's). Each call in training draws a new mask from Philox4x32-10. Raises
    ArgumentError, DTypeError. Source: torch.nn.functional.dropout; Srivastava et al. 2014.
    """
    require_float("dropout", input)
    _probability("dropout", p)
    if not training or p == 0:
        return input
    if p == 1:
        return _finish("dropout", lambda x: x * 0, input, inplace)
    stream = _stream("dropout", generator)
    return _finish("dropout", lambda x: Dropout.apply(x, p=p, stream=stream), input, inplace)


@on_its_device
def dropout2d(
    input: T, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> T:
    """Each channel of each image 0 with probability p, else divided by 1 - p; the input itself when not training.

    input: (N, C, H, W) or (C, H, W); other arguments as for dropout. Source: torch.nn.functional.dropout2d; Tompson et
    al. 2015.
    """
    require_float("dropout2d", input)
    shape = input.data.shape
    if len(shape) not in (3, 4):
        raise ShapeError("dropout2d", expected="input (N, C, H, W) or (C, H, W)", got=str(shape))
    _probability("dropout2d", p)
    if not training or p == 0:
        return input
    if p == 1:
        return _finish("dropout2d", lambda x: x * 0, input, inplace)
    ones = namespace(input.data).ones((*shape[:-2], 1, 1), input.data.dtype)
    mask = Dropout.apply(input._make(ones), p=p, stream=_stream("dropout2d", generator))
    return _finish("dropout2d", lambda x: x * mask, input, inplace)
