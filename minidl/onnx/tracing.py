"""One forward pass written down as ONNX nodes: who made which array, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd.function import Function
from minidl.backend.arrays import is_array, to_numpy
from minidl.errors import GraphError
from minidl.nn import Module

__all__ = ["Call", "Forms", "Graph", "Node", "Tracer"]


class Node(NamedTuple):
    """A node of the graph: its operator, its name, the names of values, and the call that it came from, in words."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    call: str


class Graph:
    """Nodes in the order of computation, and constants by name."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.reshaped: dict[str, tuple[int, ...]] = {}  # a constant that is a new shape -> the shape before it
        self._numbers: dict[Any, str] = {}
        self._taken = set(taken)

    def unique(self, name: str) -> str:
        """The name, with a number behind it if something is called so already."""
        found, number = name, 0
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def constant(self, values: Any, dtype: Any = None) -> str:
        """The name of a constant; equal small ones are one."""
        array = np.asarray(values, dtype)
        key = (array.tobytes(), array.dtype.str, array.shape) if array.size <= 16 else None
        if key is None or key not in self._numbers:
            name = self.unique("constant")
            self.constants[name] = array
            if key is None:
                return name
            self._numbers[key] = name
        return self._numbers[key]

    def new_shape(self, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        """The name of a constant that says what shape to give; see ``exporting.py`` for lengths that vary."""
        name = self.unique("shape")
        self.constants[name], self.reshaped[name] = np.asarray(after, np.int64), before
        return name


class Call:
    """One call of an operation, as the form that writes it in ONNX sees it."""

    def __init__(self, tracer: Tracer, operation: type[Function], inputs: Any, options: Any, results: Any) -> None:
        self.tracer, self.operation = tracer, operation
        self.inputs, self.options, self.results = inputs, options, results
        self.layer: str = tracer.layers[-1][0] if tracer.layers else ""
        self.module: Any = tracer.layers[-1][1] if tracer.layers else None

    @property
    def graph(self) -> Graph:
        return self.tracer.graph

    @property
    def shape(self) -> tuple[int, ...]:
        """The (first) result's shape."""
        return self.results[0].data.shape

    @property
    def dtype(self) -> Any:
        """The (first) result's dtype, which numbers beside tensors take."""
        return self.results[0].data.dtype

    def __str__(self) -> str:
        shapes = ", ".join(str(x.shape) for x in self.inputs if hasattr(x, "shape"))
        layer = f' in layer "{self.layer}" ({type(self.module).__name__})' if self.layer else ""
        return f"{self.operation.__name__}{layer}, on shapes {shapes}"

    def refuse(self, why: str = "") -> GraphError:
        """The error for what has no form."""
        return GraphError(
            "onnx.export",
            expected="operations that have a form in ONNX",
            got=f"{self}{': ' if why else ''}{why}",
            hint="Export the model up to this layer, or replace the layer.",
        )

    def name(self, value: Any, dtype: Any = None) -> str:
        """The name of a tensor, array or number; a string is one already, and None an input that is left out."""
        if value is None or isinstance(value, str):
            return value or ""
        return self.tracer.name(value, dtype or self.dtype)

    def add(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """A new node, and the name of its result."""
        names = [self.name(value) for value in inputs]
        while names and not names[-1]:
            names.pop()
        node = self.graph.unique(f"{self.layer}.{kind}" if self.layer else kind)
        output = self.graph.unique(f"{node}_output")
        self.graph.nodes.append(Node(kind, node, tuple(names), output, attributes, str(self)))
        return output

    def integers(self, *values: int) -> str:
        """The name of an int64 constant (n,)."""
        return self.graph.constant(values, np.int64)

    def reshape(self, value: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        """A node that gives another shape."""
        return self.add("Reshape", value, self.graph.new_shape(before, after))


Forms = dict[type[Function], Callable[..., Any]]


class Tracer:
    """Listens to every operation of one forward (``state.recorder``) and writes it down with the help of ``forms``.

    What depends on no input of the model, such as a reshaped weight, is written only if something needs it.
    """

    def __init__(self, model: Module, inputs: dict[str, Tensor], forms: Forms, taken: Iterable[str]) -> None:
        self.forms, self.inputs = forms, inputs
        self.state = {
            id(tensor.data): (name, tensor) for name, tensor in (*model.named_buffers(), *model.named_parameters())
        }
        self.graph = Graph([*taken, *inputs, *[name for name, _ in self.state.values()]])
        self.layers: list[tuple[str, Any]] = []  # the modules that are being called, outermost first
        self._names = {id(tensor.data): name for name, tensor in inputs.items()}
        self._varying = set(self._names)  # arrays that depend on the inputs
        self._waiting: dict[int, Call] = {}
        self._spoilt: set[int] = set()
        self._alive: list[Any] = list(inputs.values())  # arrays are known by their id

    # What operations, tensors and modules tell it.

    def operation(self, node: Function, inputs: tuple[Any, ...], options: dict[str, Any], results: Any) -> None:
        """Called by ``Function.apply`` after each forward."""
        call = Call(self, type(node), inputs, options, results)
        self._alive += results
        if any(id(_array(value)) in self._varying for value in (*inputs, *_parts(options))):
            self._varying.update(id(result.data) for result in results)
            self._write_down(call)
        else:
            self._waiting.update((id(result.data), call) for result in results)

    def write(self, target: Tensor, index: Any, value: Any) -> None:
        """Called by ``Tensor`` after each in-place write: from now on the target is called what was written."""
        if index is not Ellipsis or not is_array(value) or (value.shape, value.dtype) != (target.shape, target.dtype):
            raise self._refuse("in-place writes of whole tensors", "one of a part, or of another shape or dtype")
        if id(target.data) not in self._varying:
            raise self._refuse("in-place writes into what was computed from the inputs", "one into something else")
        self._names[id(target.data)] = self.name(value)
        for other in self._alive:  # views of the same memory have changed too, but into what ONNX cannot say
            if isinstance(other, Tensor) and other._version is target._version and other.data is not target.data:
                self._spoilt.add(id(other.data))

    def module(self, module: Any) -> None:
        """Called by ``Module``; which of them runs is known by hooks."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Called by ``zero_grad`` and optimizers."""
        raise self._refuse("a forward alone", f"a call of {getattr(function, '__name__', 'a function')}()")

    def gradient(self, tensor: Tensor, gradient: Any) -> None:
        """Called by ``Tensor`` when its ``grad`` is set."""
        raise self._refuse("a forward alone", "a gradient that is set")

    # What it makes of that.

    def _refuse(self, expected: str, got: str) -> GraphError:
        layer = f' in layer "{self.layers[-1][0]}"' if self.layers else ""
        return GraphError("onnx.export", expected=expected, got=f"{got}{layer}")

    def _write_down(self, call: Call) -> None:
        form = self.forms.get(call.operation)
        if form is None:
            raise call.refuse()
        names = form(call, *call.inputs, **call.options)
        for result, name in zip(call.results, names if isinstance(names, tuple) else (names,)):
            self._names[id(result.data)] = name

    def varies(self, tensor: Tensor) -> bool:
        """Whether a tensor was computed from the inputs, by operations."""
        return id(tensor.data) in self._varying

    def name(self, value: Any, dtype: Any = None) -> str:
        """What a tensor, an array or a number is called; constants get a name when they are first asked for."""
        array = _array(value)
        if not is_array(array):
            return self.graph.constant(array, dtype)
        key = id(array)
        if key in self._spoilt:
            raise self._refuse("views that are not used after their memory is written to", "one that is")
        if key in self._waiting and key not in self.state:
            self._write_down(self._waiting.pop(key))
        if key not in self._names:
            if key in self.state:
                self._names[key] = self.state[key][0]
                self.graph.constants[self._names[key]] = to_numpy(array)
            elif key in self._varying:
                raise self._refuse("results that have a form in ONNX", "another, such as positions of maxima")
            else:
                self._names[key] = self.graph.constant(to_numpy(array))
                self._alive.append(array)
        return self._names[key]


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _parts(value: Any) -> list[Any]:
    """What an operation's options hold, without tuples around it."""
    if isinstance(value, (tuple, dict)):
        return [part for item in (value.values() if isinstance(value, dict) else value) for part in _parts(item)]
    return [value]
