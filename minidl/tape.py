"""The entries of a recorded step's list: each runs one thing again, an operation, a write, a gradient or a call.

``run(values, streams)`` finds arrays at their places in the list ``values``, and random streams in ``streams``;
``touches()`` says which places it looks at or fills, and ``release`` holds those that nothing looks at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd.function import Function
from minidl.backend.arrays import namespace
from minidl.ops.indexing import resolve

__all__ = ["Accumulate", "Assign", "Call", "Drawn", "Operation", "Place", "Write", "accumulate", "fill", "places_in"]


class Operation:
    """One recorded ``forward``: where its inputs are, and where its results and what it saved go."""

    __slots__ = ("inputs", "node", "options", "outputs", "release", "saved", "variable")

    def __init__(self, node: Function, inputs: list[int], options: dict[str, Any], variable: dict[str, Any]) -> None:
        self.node, self.inputs, self.options, self.variable = node, inputs, options, variable
        self.outputs: list[int] = []
        self.saved: list[tuple[int, int]] = []  # (position in what forward saves, place)
        self.release: list[int] = []

    def run(self, values: list[Any], streams: list[Any]) -> None:
        node, options = self.node, self.options
        if self.variable:
            options = {**options, **{name: fill(value, values, streams) for name, value in self.variable.items()}}
        result = type(node).forward(node, *[values[i] for i in self.inputs], **options)
        for i, out in zip(self.outputs, result if type(result) is tuple else (result,)):
            values[i] = out if getattr(out, "shape", ()) else namespace(out).asarray(out)
        for position, i in self.saved:
            array = node._to_save[position]
            values[i] = array if array.shape else namespace(array).asarray(array)
        node._to_save = ()

    def touches(self) -> list[int]:
        return [*self.inputs, *places_in(self.variable), *self.outputs, *[place for _, place in self.saved]]


class Place(int):
    """An index into the values of a replay, standing for an array inside an operation's options."""


class Drawn(int):
    """The number of a random stream, standing for it inside an operation's options."""


def fill(value: Any, values: list[Any], streams: list[Any]) -> Any:
    """An option with the arrays and streams themselves where their places and numbers stand."""
    if isinstance(value, Place):
        return values[value]
    if isinstance(value, Drawn):
        return streams[value]
    if isinstance(value, tuple):
        return tuple([fill(v, values, streams) for v in value])
    return value


def places_in(value: Any) -> list[int]:
    """The places that stand in an option."""
    if isinstance(value, Place):
        return [int(value)]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return [place for item in items for place in places_in(item)]


class Write:
    """A recorded in-place write: target[index] = value."""

    def __init__(self, target: int, index: Any, value: Any, owner: Tensor | None) -> None:
        self.target, self.index, self.value, self.owner = target, index, value, owner
        self.release: list[int] = []

    def run(self, values: list[Any], streams: list[Any]) -> None:
        part, rest = resolve(values[self.target], fill(self.index, values, streams))
        part[rest] = fill(self.value, values, streams)
        if self.owner is not None:
            self.owner._bump()

    def touches(self) -> list[int]:
        return [self.target, *places_in((self.index, self.value))]


class Assign:
    """A recorded ``tensor.grad = gradient``, or None."""

    def __init__(self, leaf: int, place: int | None) -> None:
        self.leaf, self.place = leaf, place
        self.release: list[int] = []

    def run(self, values: list[Any], streams: list[Any]) -> None:
        values[self.leaf]._grad = None if self.place is None else Tensor(values[self.place])

    def touches(self) -> list[int]:
        return [] if self.place is None else [self.place]


class Accumulate:
    """A recorded gradient of a leaf: becomes its ``grad``, or is added to the one that is there, as in backward."""

    def __init__(self, leaf: int, place: int, owned: bool) -> None:
        self.leaf, self.place, self.owned = leaf, place, owned
        self.outputs: list[int] = []
        self.release: list[int] = []

    def run(self, values: list[Any], streams: list[Any]) -> None:
        values[self.outputs[0]] = accumulate(values[self.leaf], values[self.place], self.owned)

    def touches(self) -> list[int]:
        return [self.place, *self.outputs]


def accumulate(leaf: Tensor, value: Any, owned: bool) -> Any:
    """Add ``value`` to ``leaf.grad``; gives the array that is the gradient afterwards."""
    if leaf._grad is None:
        leaf._grad = Tensor(value if owned else value.copy())
    else:
        leaf._grad.data += value
        leaf._grad._bump()
    return leaf._grad.data


class Call:
    """A call that is made again as it is: an optimizer's update, zero_grad."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.release: list[int] = []

    def run(self, values: list[Any], streams: list[Any]) -> None:
        self.function(*self.arguments)

    def touches(self) -> list[int]:
        return []
