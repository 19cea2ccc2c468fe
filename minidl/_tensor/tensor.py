"""``Tensor``: an array that remembers how it was made; visible, typed methods that call the operations of ``ops``."""

from __future__ import annotations

from typing import Any

from minidl._tensor.conversions import Conversions
from minidl._tensor.graph import Graph
from minidl._tensor.in_place import InPlace
from minidl._tensor.making import Making
from minidl._tensor.mathematics import Mathematics
from minidl._tensor.operators import Operators
from minidl._tensor.protocols import Protocols
from minidl.autograd.base import Edge, Version

__all__ = ["Tensor"]


class Tensor(Operators, InPlace, Mathematics, Conversions, Making, Protocols, Graph):
    """An n-dimensional array with a gradient. Make one with ``minidl.tensor(values)``; this constructor only wraps.

    data: the raw NumPy or CuPy array; writing through it (or through ``.numpy()``, which shares it) cannot be seen by
    the version counter that protects saved arrays. grad: the accumulated gradient, a Tensor or None. requires_grad:
    whether operations on it are recorded. Activations may lie in memory in another order than their shape says;
    ``contiguous()`` puts them in logical order. Source: torch.Tensor.
    """

    __slots__ = ()

    # NumPy must leave ``array * tensor`` to the tensor's __rmul__.
    __array_ufunc__ = None

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = data
        self._grad = None
        self._requires_grad = False
        self._edge = None
        self._hooks = None
        self._version = Version()
        if requires_grad:
            self.requires_grad = True

    @classmethod
    def _make(cls, data: Any, edge: Edge | None = None, version: Version | None = None) -> Tensor:
        result = Tensor.__new__(Tensor)
        result.data = data
        result._grad = None
        result._requires_grad = edge is not None
        result._edge = edge
        result._hooks = None
        result._version = Version() if version is None else version
        return result
