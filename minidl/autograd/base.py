"""What the engine needs to know of a tensor: an array, a gradient, and a place in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from minidl.autograd.modes import state
from minidl.errors import DTypeError, GraphError, ShapeError

if TYPE_CHECKING:
    from minidl.autograd.function import Function

__all__ = ["BaseTensor", "Edge", "T", "Version"]

# Where a gradient goes: a node and which of its outputs, or a leaf tensor and 0.
Edge = tuple[Any, int]


class Version:
    """A counter of in-place writes that all views of one memory share."""

    __slots__ = ("shared", "value")

    def __init__(self) -> None:
        self.value = 0
        self.shared = False


class BaseTensor:
    """An array with a place in the graph. The public class, with operators and methods, is ``minidl.Tensor``.

    The graph's nodes are not tensors: a node holds the arrays that it saved, the edges to the nodes and leaves
    before it, and never its own result, so no reference cycle keeps memory alive.
    """

    __slots__ = ("__weakref__", "_edge", "_grad", "_hooks", "_requires_grad", "_version", "data")

    data: Any
    _grad: Any
    _requires_grad: bool
    _edge: Edge | None
    _hooks: dict[int, dict[int, Callable[[Any], Any]]] | None  # output index (0) -> number -> hook
    _version: Version

    @classmethod
    def _make(cls, data: Any, edge: Edge | None = None, version: Version | None = None) -> Any:
        """A tensor of the public class around ``data``, without copying or checking."""
        raise NotImplementedError

    @property
    def grad(self) -> Any:
        """The accumulated gradient, a tensor of this one's shape and dtype, or None; may be set."""
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        if grad is not None:
            if not isinstance(grad, BaseTensor):
                raise DTypeError("grad", expected="a Tensor or None", got=type(grad).__name__)
            if grad.data.shape != self.data.shape:
                raise ShapeError("grad", expected=f"the tensor's shape {self.data.shape}", got=str(grad.data.shape))
            if grad.data.dtype != self.data.dtype:
                raise DTypeError("grad", expected=f"the tensor's dtype {self.data.dtype}", got=str(grad.data.dtype))
        self._grad = grad
        if state.recorder is not None:
            state.recorder.gradient(self, grad)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded; may be set on leaves."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        if requires_grad and self.data.dtype.kind != "f":
            raise DTypeError(
                "requires_grad",
                expected="a floating-point tensor",
                got=str(self.data.dtype),
                hint="Only real numbers have gradients: convert with .float().",
            )
        if not requires_grad and self._edge is not None:
            raise GraphError(
                "requires_grad", expected="a leaf", got="the result of an operation", hint="Use .detach() instead."
            )
        self._requires_grad = bool(requires_grad)

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user (or needs no gradient) and not by a recorded operation."""
        return self._edge is None

    @property
    def grad_fn(self) -> Function | None:
        """The recorded operation that made this tensor; None for a leaf."""
        return None if self._edge is None else self._edge[0]

    def _gradient_edge(self) -> Edge | None:
        """Where a gradient of this tensor goes; None if it needs none."""
        if self._edge is not None:
            return self._edge
        return (self, 0) if self._requires_grad else None


T = TypeVar("T", bound=BaseTensor)
