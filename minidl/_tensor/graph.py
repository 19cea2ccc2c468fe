"""A tensor's place in the graph: backward, detach, hooks."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from minidl.autograd.base import BaseTensor
from minidl.autograd.engine import RETAIN
from minidl.autograd.engine import backward as run_backward
from minidl.errors import GraphError

if TYPE_CHECKING:
    from minidl._tensor.tensor import Tensor

__all__ = ["Graph", "RemovableHandle"]

Self = TypeVar("Self", bound="Graph")

_HOOK_NUMBERS = itertools.count()


class RemovableHandle(NamedTuple):
    """What registering a hook returns; ``remove()`` takes the hook away again."""

    hooks: dict[int, Callable[..., Any]]
    number: int

    def remove(self) -> None:
        """Take the hook away; doing so twice does no harm."""
        self.hooks.pop(self.number, None)


class Graph(BaseTensor):
    """What concerns gradients."""

    __slots__ = ()

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set whether operations on this leaf are recorded; returns itself."""
        self.requires_grad = requires_grad
        return self

    def backward(
        self, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Accumulate d(self)/d(leaf) into ``grad`` of every leaf that requires one.

        gradient: what to start from, of this tensor's shape; may be left out for one element (then 1). retain_graph:
        keep what forward saved, for another backward. create_graph: record the pass, for higher derivatives. Raises
        GraphError, ShapeError. Source: torch.Tensor.backward.
        """
        run_backward(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same memory outside the graph; in-place writes count for both."""
        self._version.shared = True
        return self._make(self.data, None, self._version)

    def detach_(self: Self) -> Self:
        """Leave the graph; returns itself."""
        self._edge = None
        self._requires_grad = False
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` in every backward; what it returns (if not None) replaces the gradient."""
        if not self.requires_grad:
            raise GraphError(
                "register_hook", expected="a tensor that requires a gradient", got="one that requires none"
            )
        owner: Any = self if self._edge is None else self._edge[0]
        if owner._hooks is None:
            owner._hooks = {}
        hooks = owner._hooks.setdefault(0 if self._edge is None else self._edge[1], {})
        number = next(_HOOK_NUMBERS)
        hooks[number] = hook
        return RemovableHandle(hooks, number)

    def retain_grad(self) -> None:
        """Keep the gradient of this result of an operation in ``grad``, as leaves do."""
        if self._edge is None:
            return
        node, index = self._edge
        reference = weakref.ref(self)  # the node must not keep the tensor alive

        def keep(gradient: Tensor) -> None:
            tensor = reference()
            if tensor is not None:
                tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient

        if node._hooks is None:
            node._hooks = {}
        node._hooks.setdefault(index, {})[RETAIN] = keep
