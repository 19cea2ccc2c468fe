"""An operation: ``forward`` and ``backward`` side by side, and what one needs of the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from minidl.autograd.anomaly import after_forward, watchers
from minidl.autograd.base import BaseTensor, Edge, Version
from minidl.autograd.modes import state
from minidl.backend import gpu
from minidl.backend.arrays import as_result, check_same_device, namespace, on_device_of
from minidl.errors import DTypeError, GraphError

__all__ = ["Function", "once_differentiable"]

_FREED: Any = object()


class _Saved(NamedTuple):
    """A saved array, the version of its memory at that time, and where it stood: input i, output i, or neither."""

    array: Any
    version: Version | None
    writes: int
    input: int
    output: int


class Function:
    """One application of an operation, and its node in the graph.

    A subclass defines ``forward`` (arrays in, an array or a tuple of arrays out) and ``backward`` (one gradient an
    output in, one gradient or None an input out), and is applied by ``Operation.apply(*inputs, **options)``. Inputs
    are tensors, arrays, numbers or None, given by position; options are given by name and never differentiated.

    ``forward`` saves exactly what ``backward`` needs with ``save_for_backward``. ``backward`` is written in the dialect
    that arrays and tensors share (``*``, ``+``, ``@``, ``.sum``, ``.reshape``, ``Operation.evaluate``): with arrays it
    runs at array speed, and under ``create_graph=True`` it receives tensors and is itself recorded. What it returns is
    freshly made, a view, or the gradient that came in; never a saved array.

    Both may be ordinary methods (``self`` is the node) or, as in torch.autograd.Function, static methods whose first
    argument is the node, usually called ``ctx``.

    Source: torch.autograd.Function; the node apart from the tensor is Chainer's.
    """

    needs_input_grad: tuple[bool, ...] = ()
    _saved: Any = ()
    _to_save: tuple[Any, ...] = ()
    _constant_outputs: tuple[Any, ...] = ()
    _edges: tuple[Edge | None, ...] = ()
    _input_shapes: tuple[Any, ...] = ()
    _output_shapes: tuple[Any, ...] = ()
    _maker: type[BaseTensor]
    _hooks: dict[int, dict[int, Callable[[Any], Any]]] | None = None
    _as_tensors = False

    forward: Callable[..., Any]
    backward: Callable[..., Any]

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run ``forward`` on the inputs' arrays and record the node if any input needs a gradient."""
        node = cls()
        arrays: list[Any] = []
        edges: list[Edge | None] = []
        first: BaseTensor | None = None
        recording = state.enabled
        record = False
        for x in inputs:
            edge = None
            if isinstance(x, BaseTensor):
                array = x.data
                for other, known in zip(inputs, arrays):
                    if known is array and other is not x:  # as in x * x.detach()
                        array = array.view()  # told apart, so that what is saved finds its own place in the graph
                arrays.append(array)
                if recording and x._requires_grad:
                    edge = x._edge or (x, 0)
                    record = True
                if first is None:
                    first = x
                elif gpu.several or type(array) is not type(first.data):
                    check_same_device(cls.__name__, first.data, array)
            else:
                arrays.append(x)
            edges.append(edge)
        if first is None:
            got = ", ".join(type(x).__name__ for x in inputs)
            raise DTypeError(cls.__name__, expected="at least one Tensor", got=got)
        if record:
            node.needs_input_grad = tuple([edge is not None for edge in edges])
            node._maker = type(first)
            node._edges = tuple(edges)
            node._input_shapes = tuple([getattr(array, "shape", ()) for array in arrays])
        else:
            node.needs_input_grad = (False,) * len(arrays)
        if gpu.several:
            with on_device_of(first.data):
                results = cls.forward(node, *arrays, **options)
        else:
            results = cls.forward(node, *arrays, **options)
        result = node._wrap(results, inputs, arrays, first, record)
        if state.recorder is not None:
            state.recorder.operation(node, inputs, options, result if type(result) is tuple else (result,))
        if watchers:
            after_forward(node, inputs, result)
        return result

    @classmethod
    def evaluate(cls, *inputs: Any, **options: Any) -> Any:
        """Tensors in, a tensor out; arrays in, an array out: how one operation's ``backward`` uses another."""
        for x in inputs:
            if isinstance(x, BaseTensor):
                return cls.apply(*inputs, **options)
        node = cls()
        node.needs_input_grad = (False,) * len(inputs)
        return cls.forward(node, *inputs, **options)

    def _wrap(
        self, result: Any, inputs: tuple[Any, ...], arrays: list[Any], first: BaseTensor, recorded: bool = False
    ) -> Any:
        """Tensors around what ``forward`` returned, attached to this node where they carry a gradient."""
        several = type(result) is tuple
        results = result if several else (result,)
        tensors = [self._tensor(out, i, inputs, arrays, first, recorded) for i, out in enumerate(results)]
        if recorded:
            if several:
                self._output_shapes = tuple([(t.data.shape, t.data.dtype) for t in tensors])
            if self._to_save:
                self._saved = [self._remember(array, inputs, arrays, results, tensors) for array in self._to_save]
        if self._to_save:
            self._to_save = ()
        return tuple(tensors) if several else tensors[0]

    def _tensor(
        self, out: Any, index: int, inputs: tuple[Any, ...], arrays: list[Any], first: BaseTensor, recorded: bool
    ) -> Any:
        """A tensor around result number ``index``; if it is a view of an input it shares that input's version."""
        array = out if type(out) is type(first.data) else as_result(out, first.data)
        version = None
        base = array.base
        if base is not None or array is arrays[0]:
            for x, a in zip(inputs, arrays):
                if isinstance(x, BaseTensor) and (array is a or base is a or base is a.base is not None):
                    version = x._version
                    version.shared = True
                    break
        constant = self._constant_outputs and any(out is c for c in self._constant_outputs)
        edge = (self, index) if recorded and array.dtype.kind == "f" and not constant else None
        return first._make(array, edge, version)

    @staticmethod
    def _remember(
        array: Any, inputs: tuple[Any, ...], arrays: list[Any], results: tuple[Any, ...], tensors: list[Any]
    ) -> _Saved:
        for i, a in enumerate(arrays):
            if a is array and isinstance(inputs[i], BaseTensor):
                version = inputs[i]._version
                return _Saved(array, version, version.value, i, -1)
        for i, out in enumerate(results):
            if out is array:
                version = tensors[i]._version
                return _Saved(tensors[i].data, version, version.value, -1, i)
        if getattr(array, "shape", None) == ():
            array = namespace(array).asarray(array)  # NumPy gives scalars for arrays without axes
        return _Saved(array, None, 0, -1, -1)

    def save_for_backward(self, *arrays: Any) -> None:
        """Keep arrays (or numbers, or None) for ``backward``; call it once, in ``forward``. Without a recording
        nothing is kept.

        An array that is one of the inputs or outputs comes back under ``create_graph`` with its place in the graph;
        anything else comes back as a constant, so save inputs themselves, not copies of them.
        """
        self._to_save = arrays

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say in ``forward`` that these results carry no gradient (integer and boolean results never do)."""
        self._constant_outputs = outputs

    @property
    def saved_arrays(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept, as raw arrays; GraphError if freed or overwritten since."""
        saved = self._saved
        if saved is _FREED:
            raise GraphError(
                type(self).__name__,
                expected="a graph whose saved arrays are still there",
                got="a second backward through a graph that was freed by the first",
                hint="Call the first backward with retain_graph=True, or compute the loss again.",
            )
        for item in saved:
            if item.version is not None and item.version.value != item.writes:
                which = f"input {item.input}" if item.input >= 0 else f"result {item.output}"
                raise GraphError(
                    type(self).__name__,
                    expected=f"its saved {which} as it was in forward (version {item.writes})",
                    got=f"version {item.version.value}: an in-place operation wrote to it",
                    hint="Write out of place, or clone() the tensor before the in-place operation.",
                )
        return tuple([item.array for item in saved])

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept: arrays, or under ``create_graph`` tensors with their place in the graph."""
        arrays = self.saved_arrays
        if not self._as_tensors:
            return arrays
        make = self._maker._make
        tensors = []
        for item, array in zip(self._saved, arrays):
            if not hasattr(array, "dtype"):  # None, or a Python number
                tensors.append(array)
            elif item.output >= 0:
                tensors.append(make(array, (self, item.output), item.version))
            else:
                tensors.append(make(array, self._edges[item.input] if item.input >= 0 else None, item.version))
        return tuple(tensors)

    def _free(self) -> None:
        """Let go of the saved arrays after backward."""
        if self._saved:
            self._saved = _FREED

    @property
    def next_functions(self) -> tuple[Edge | None, ...]:
        """The nodes or leaves that the gradients of this node's inputs go to."""
        return self._edges

    @property
    def name(self) -> str:
        """The operation's name."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a ``backward`` that cannot itself be differentiated: under ``create_graph`` it raises a GraphError."""

    @wraps(backward)
    def checked(self: Function, *grads: Any) -> Any:
        if self._as_tensors:
            raise GraphError(
                type(self).__name__,
                expected="a first-order gradient",
                got="create_graph=True",
                hint="It has no second order.",
            )
        return backward(self, *grads)

    return checked
