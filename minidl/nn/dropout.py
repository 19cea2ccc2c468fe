"""Dropout: in training, zeros at random places; in evaluation, nothing."""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.autograd.modes import state
from minidl.backend.random import Generator
from minidl.errors import DTypeError, warn_of_slip
from minidl.nn import functional as F
from minidl.nn.arguments import probability
from minidl.nn.module import Module

__all__ = ["Dropout", "Dropout2d"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False, generator: Generator | None = None) -> None:
        super().__init__()
        self.p = probability(type(self).__name__, p)
        self.inplace = inplace
        if generator is not None and not isinstance(generator, Generator):
            raise DTypeError(
                type(self).__name__, expected="generator as a minidl.Generator or None", got=repr(generator)
            )
        self.generator = generator

    def _look(self) -> None:
        """Warn of an evaluation with dropout still on: trained with gradients, then used without them, and neither
        eval() nor train() called between the two. (Who means it calls train() again.)
        """
        own = self.__dict__
        if not own["training"] or not self.p:
            return
        if state.enabled:
            own["_has_trained"] = True
        elif own.pop("_has_trained", False):
            warn_of_slip(
                f"{type(self).__name__}: it drops elements, in training mode, while gradients are off. "
                "Call model.eval() before an evaluation, and model.train() after it."
            )

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeroes each element with probability p and divides the others by 1 - p (``torch.nn.Dropout``); any shape.

    ``generator`` draws for this layer alone; None means the thread's default generator.
    """

    def forward(self, input: Tensor) -> Tensor:
        self._look()
        return F.dropout(input, self.p, self.training, self.inplace, self.generator)


class Dropout2d(_Dropout):
    """Zeroes whole channels of (N, C, H, W) with probability p, divides the rest by 1 - p (``torch.nn.Dropout2d``).

    ``generator`` draws for this layer alone; None means the thread's default generator.
    """

    def forward(self, input: Tensor) -> Tensor:
        self._look()
        return F.dropout2d(input, self.p, self.training, self.inplace, self.generator)
