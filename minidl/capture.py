"""``capture(step)``: record one training step, then replay it without the cost of building a graph in Python.

While a step is recorded it runs as always, forward and backward on tensors, so that everything passes through an
operation; the recorder writes down each operation's ``forward`` with the places of its inputs and results. The replay
runs through that list. Steps on a GPU go to ``gpu_capture``.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd.function import Function
from minidl.autograd.modes import state
from minidl.backend.arrays import is_array, is_gpu_array
from minidl.backend.random import Stream
from minidl.errors import DTypeError, GraphError
from minidl.fusion import fuse
from minidl.gpu_capture import GraphSteps, copied
from minidl.tape import Accumulate, Assign, Call, Drawn, Operation, Place, Write, accumulate, places_in

__all__ = ["Captured", "capture"]


class _Recorder:
    """Listens to every operation of one step and writes the list that a ``_Program`` runs through."""

    def __init__(self, arguments: tuple[Tensor, ...]) -> None:
        self.steps: list[Any] = []
        self.places = 0
        self.place_of: dict[int, int] = {}  # id of an array that is alive -> its place
        self._alive: list[weakref.ref[Any]] = []  # a step that is recorded takes no more memory than one that is not
        self.constants: dict[int, Any] = {}
        self.live: dict[int, Tensor] = {}  # place -> the tensor whose array is read anew at every replay
        self.leaves: list[Tensor] = []
        self.modules: list[Any] = []
        self.streams: list[Any] = []
        self.inputs = [self._new(argument.data) for argument in arguments]
        self.arguments = {self._constant(argument): argument for argument in arguments}  # the tensors themselves

    def _new(self, array: Any) -> int:
        key = id(array)
        self.place_of[key] = self._next()
        self._alive.append(weakref.ref(array, lambda _: self.place_of.pop(key, None)))
        return self.place_of[key]

    def _next(self) -> int:
        self.places += 1
        return self.places - 1

    def tensor(self, tensor: Tensor) -> int:
        """The place of a tensor's array; a tensor from outside the step is read anew at every replay."""
        place = self.place_of.get(id(tensor.data))
        if place is None:
            place = self._new(tensor.data)
            self.live[place] = tensor
        return place

    def array(self, array: Any) -> int:
        """The place of a raw array; one that no operation made is a constant of the step."""
        place = self.place_of.get(id(array))
        if place is None:
            place = self.place_of[id(array)] = self._constant(array)
        return place

    def _option(self, value: Any) -> tuple[Any, bool]:
        """An option with its arrays and streams as places, and whether it holds any."""
        if isinstance(value, Stream):
            for number, known in enumerate(self.streams):
                if known is value:
                    return Drawn(number), True
            self.streams.append(value)
            return Drawn(len(self.streams) - 1), True
        if is_array(value):
            return Place(self.array(value)), True
        if isinstance(value, tuple):
            parts = [self._option(v) for v in value]
            return tuple(v for v, _ in parts), any(found for _, found in parts)
        return value, False

    def operation(
        self, node: Function, inputs: tuple[Any, ...], options: dict[str, Any], results: tuple[Any, ...]
    ) -> None:
        """Called by ``Function.apply`` after each forward."""
        places = [
            self.tensor(x) if isinstance(x, Tensor) else self.array(x) if is_array(x) else self._constant(x)
            for x in inputs
        ]
        fixed: dict[str, Any] = {}
        variable: dict[str, Any] = {}
        for name, value in options.items():
            replaced, found = self._option(value)
            (variable if found else fixed)[name] = replaced
        again = type(node)()
        again.needs_input_grad = node.needs_input_grad
        step = Operation(again, places, fixed, variable)
        # A result that is its input (a view of all of it) gets a place of its own, found from now on.
        step.outputs = [self._new(result.data) for result in results]
        for position, item in enumerate(node._saved):
            if is_array(item.array) and id(item.array) not in self.place_of:
                step.saved.append((position, self._new(item.array)))
        self.steps.append(step)

    def _constant(self, value: Any) -> int:
        place = self._next()
        self.constants[place] = value
        return place

    def write(self, target: Tensor, index: Any, value: Any) -> None:
        """Called by ``Tensor`` after each in-place write."""
        place, _ = self._option(value)
        where, _ = self._option(index)
        outside = id(target.data) not in self.place_of or self.place_of[id(target.data)] in self.live
        self.steps.append(Write(self.tensor(target), where, place, target if outside else None))

    def gradient(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Called by ``Tensor`` when its ``grad`` is set by hand."""
        self.steps.append(Assign(self._leaf(tensor), None if gradient is None else self.tensor(gradient)))

    def _leaf(self, leaf: Tensor) -> int:
        """The place of a tensor itself (not of its array): an argument of the step, or one from outside."""
        for place, argument in self.arguments.items():
            if argument is leaf:
                return place
        self.leaves.append(leaf)
        return self._constant(leaf)

    def accumulate(self, leaf: Tensor, gradient: Tensor, owned: bool) -> None:
        """Called by the engine with the finished gradient of a leaf."""
        step = Accumulate(self._leaf(leaf), self.tensor(gradient), owned)
        self.steps.append(step)
        array = accumulate(leaf, gradient.data, owned)
        step.outputs = [self._new(array)]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Make a call now, unseen, and again at every replay."""
        self.steps.append(Call(function, arguments))
        state.recorder = None
        try:
            return function(*arguments)
        finally:
            state.recorder = self

    def module(self, module: Any) -> None:
        """Called by ``Module``: its training flag becomes part of the key."""
        self.modules.append(module)


class _Program:
    """A recorded step, ready to be replayed."""

    def __init__(self, recorder: _Recorder, result: Any) -> None:
        self.result = _result(result, recorder)  # a tensor in it that no operation made is one more from outside
        self.inputs, self.arguments, self.streams = recorder.inputs, list(recorder.arguments), recorder.streams
        self.live = list(recorder.live.items())
        self.tensors = list({id(t): t for t in (*recorder.live.values(), *recorder.leaves)}.values())
        self.modules = list({id(module): module for module in recorder.modules}.values())
        self.flags = self._flags()
        self.values: list[Any] = [None] * recorder.places
        for place, value in recorder.constants.items():
            self.values[place] = value
        kept = {*self.inputs, *recorder.live, *recorder.constants, *places_in(self.result)}
        absent = {place for place, value in recorder.constants.items() if value is None}
        results = {*places_in(self.result)} - {*recorder.constants}
        self.passing = (*self.inputs, *self.arguments, *recorder.live, *results)  # values of one replay only
        self.steps = fuse(recorder.steps, kept, absent)
        self._release(kept)

    def _release(self, kept: set[int]) -> None:
        """Let go of every array after the last step that touches it."""
        last: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            for place in step.touches():
                last[place] = number
        for place, number in last.items():
            if place not in kept:
                self.steps[number].release.append(place)

    def _flags(self) -> list[Any]:
        """What must be as it was for the recording to fit: flags and shapes of outside tensors, modes of modules."""
        flags: list[Any] = [(t._requires_grad, t.data.shape, t.data.dtype) for t in self.tensors]
        return flags + [module.training for module in self.modules]

    def fits(self) -> bool:
        """Whether flags, shapes and modes are as they were when the step was recorded."""
        return self._flags() == self.flags

    def run(self, arguments: tuple[Tensor, ...]) -> Any:
        """Replay the step on new arguments."""
        values = self.values
        for place, whole, argument in zip(self.inputs, self.arguments, arguments):
            values[place], values[whole] = argument.data, argument
        for place, tensor in self.live:
            values[place] = tensor.data
        streams = [drawn.source.stream(drawn.site) for drawn in self.streams]
        for step in self.steps:
            step.run(values, streams)
            for place in step.release:
                values[place] = None
        result = _copy(self.result, values)
        for place in self.passing:
            values[place] = None
        return result


def _result(result: Any, recorder: _Recorder) -> Any:
    if isinstance(result, Tensor):
        return Place(recorder.tensor(result))
    if isinstance(result, (tuple, list)):
        return tuple(_result(item, recorder) for item in result)
    if result is None or isinstance(result, (bool, int, float, str)):
        return result
    raise DTypeError(
        "capture", expected="a step that returns tensors, numbers or tuples of them", got=type(result).__name__
    )


def _copy(result: Any, values: list[Any]) -> Any:
    if isinstance(result, Place):
        return Tensor(values[result].copy())
    return tuple(_copy(item, values) for item in result) if isinstance(result, tuple) else result


class Captured:
    """What ``capture`` returns; call it as the step itself. ``recordings`` says how many it holds.

    Threads that call the same one take turns: a recording has one set of places for its arrays.
    """

    def __init__(self, step: Callable[..., Any]) -> None:
        self.step = step
        self._turn = threading.Lock()
        self._programs: dict[Any, list[_Program]] = {}
        self._graphs = GraphSteps(step)

    @property
    def recordings(self) -> int:
        """The number of recordings made so far."""
        return sum(len(programs) for programs in self._programs.values()) + self._graphs.recordings

    def __call__(self, *arguments: Tensor) -> Any:
        for argument in arguments:
            if not isinstance(argument, Tensor):
                raise DTypeError("capture", expected="a step whose arguments are Tensors", got=type(argument).__name__)
        if state.recorder is not None:
            raise GraphError(
                "capture", expected="no capture inside a capture", got="one", hint="Capture the outer step."
            )
        with self._turn:
            if arguments and is_gpu_array(arguments[0].data):
                return self._graphs(arguments)
            return self._replay_or_record(arguments)

    def _replay_or_record(self, arguments: tuple[Tensor, ...]) -> Any:
        key = (state.enabled, *[(a.data.shape, a.data.dtype, a._requires_grad) for a in arguments])
        programs = self._programs.setdefault(key, [])
        for program in programs:
            if program.fits():
                return program.run(arguments)
        recorder = state.recorder = _Recorder(arguments)
        try:
            result = self.step(*arguments)
        finally:
            state.recorder = None
        programs.append(_Program(recorder, result))
        return copied(result)


def capture(step: Callable[..., Any]) -> Captured:
    """Record a training step at its first call, and replay it at the next ones.

    step: a function of Tensors (the batch) that does all of forward, backward and the optimizer's update and returns
    Tensors, numbers or tuples of them (say, the loss); what comes back are copies. One recording is made, and kept, for
    each combination of shapes and dtypes of the arguments, gradient mode, training flags of the modules called, and
    ``requires_grad`` flags, shapes and dtypes of the tensors used: the smaller last batch of an epoch, ``eval()`` and
    frozen parameters are recorded anew and then replayed. Parameters, buffers and learning rates are read at every
    replay; dropout draws anew; running statistics advance.

    Neighbours become one kernel call in a replay: convolution, bias, ReLU and max pooling; batch normalisation, (leaky)
    ReLU and average pooling; a linear layer and ReLU. A replay gives the bits of the step run eagerly, but for the sums
    over the batch of those neighbours, which are added in another order: the gradient of a bias in front of ReLU, and
    all gradients of a batch normalisation in front of either ReLU. Dead windows get no gradient even where infinities
    meet zeros.

    Where the first argument lies on a GPU, the recording is a CUDA graph, and a replay one launch, of the kernels that
    eager would launch. Its first two calls are ordinary steps, on the stream and in the memory of the graph; the third
    records. Nothing can be copied from the host inside; places, divisors and probabilities are checked in those two.

    What depends on values in Python cannot be recorded: ``.item()``, ``.numpy()``, ``if tensor``, random numbers drawn
    on the host raise a GraphError. Constants made of numbers and NumPy arrays stay as they were.
    Target checks of losses are made at the recording only. Raises GraphError, DTypeError.

    Source: the idea is torch.cuda.graphs' and JAX's; the list of calls is a tape.
    """
    return Captured(step)
