"""``minidl.capture`` for steps on a GPU: the work becomes a CUDA graph, and a replay is one launch.

The first two calls run the step as it is, on the stream and in the memory that it will be recorded on; they are
ordinary steps. The third call records, and launches what it recorded; from then on calls replay. Everything that Python
decided while the step was recorded is noted as a condition (which arrays the tensors hold, flags, modes, settings of
the optimizers): where one no longer holds, the step is recorded anew, and both recordings are kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd.function import Function
from minidl.autograd.modes import state
from minidl.backend import graph
from minidl.backend.arrays import on_device_of
from minidl.backend.cublas import get_float32_matmul_precision
from minidl.backend.graph import Recording, condition
from minidl.errors import DTypeError

__all__ = ["GraphSteps", "copied"]

WARM_STEPS = 2  # the first makes buffers and compiles, the second finds memory where it will lie from now on


class _Notes:
    """Listens to a step, as the recorder of ``capture`` does, and notes what the recording depends on."""

    def __init__(self, arguments: tuple[Tensor, ...]) -> None:
        self.arguments = arguments
        self._made: dict[int, weakref.ref[Any]] = {}  # arrays that the step made, by id
        self._outside: dict[int, Tensor] = {}  # tensors from outside that it used
        self._modules: dict[int, Any] = {}
        self.leaves: dict[int, Tensor] = {}  # tensors whose ``grad`` the step has set

    # --- What it is told --------------------------------------------------------------------------------------------

    def operation(
        self, node: Function, inputs: tuple[Any, ...], options: dict[str, Any], results: tuple[Any, ...]
    ) -> None:
        """Called by ``Function.apply`` after each forward."""
        for x in inputs:
            if isinstance(x, Tensor):
                self._uses(x)
        for result in results:
            self._made[id(result.data)] = weakref.ref(result.data)

    def write(self, target: Tensor, index: Any, value: Any) -> None:
        """Called by ``Tensor`` after each in-place write."""
        if self._uses(target) and (active := graph.recording()) is not None:
            active.actions.append(target._bump)

    def gradient(self, tensor: Tensor, gradient: Tensor | None) -> None:
        """Called by ``Tensor`` when its ``grad`` is set by hand."""
        self.leaves[id(tensor)] = tensor

    def accumulate(self, leaf: Tensor, gradient: Tensor, owned: bool) -> None:
        """Called by the engine with the finished gradient of a leaf."""
        self._expects_gradient(leaf)
        self.leaves[id(leaf)] = leaf
        if leaf._grad is None:
            leaf._grad = Tensor(gradient.data if owned else gradient.data.copy())
        else:
            leaf._grad.data += gradient.data
            leaf._grad._bump()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Called by ``zero_grad`` and by optimizers with what they are about to do."""
        owner: Any = function.__self__  # type: ignore[attr-defined]
        state.recorder = None
        try:
            if function.__name__ == "zero_grad":
                return self._zero_grad(owner, function, *arguments)
            active = graph.recording()
            if active is None or owner.recordable():
                self._depends_on_optimizer(owner)
                return function(*arguments)
            return active.split(self._with_gradients(lambda: function(*arguments)))
        finally:
            state.recorder = self

    def module(self, module: Any) -> None:
        """Called by ``Module``: its training flag is a condition."""
        if id(module) not in self._modules:
            self._modules[id(module)] = module
            training = module.training
            condition(lambda: module.training == training)

    # --- What follows from it ---------------------------------------------------------------------------------------

    def _is_made(self, array: Any) -> bool:
        known = self._made.get(id(array))
        return known is not None and known() is array

    def _uses(self, tensor: Tensor) -> bool:
        """Note a tensor from outside; whether it is one."""
        if self._is_made(tensor.data):
            return False
        if id(tensor) not in self._outside:
            self._outside[id(tensor)] = tensor
            array, requires_grad = tensor.data, tensor._requires_grad
            condition(lambda: tensor.data is array and tensor._requires_grad is requires_grad)
        return True

    def _expects_gradient(self, leaf: Tensor) -> None:
        """Before the step first touches a leaf's gradient: it has to be there, or not, as now."""
        if id(leaf) in self.leaves or any(leaf is argument for argument in self.arguments):
            return
        if leaf._grad is None:
            condition(lambda: leaf._grad is None)
        else:
            array = leaf._grad.data
            condition(lambda: leaf._grad is not None and leaf._grad.data is array)

    def _zero_grad(self, owner: Any, function: Callable[..., Any], set_to_none: bool) -> None:
        groups = getattr(owner, "param_groups", None)
        parameters = list(owner.parameters()) if groups is None else [p for group in groups for p in group["params"]]
        for parameter in parameters:
            if not set_to_none:
                self._expects_gradient(parameter)
            self.leaves[id(parameter)] = parameter
        function(set_to_none)

    def _depends_on_optimizer(self, optimizer: Any) -> None:
        """Groups, settings but the learning rate, gradients from outside, buffers."""
        for group in optimizer.param_groups:
            settings, parameters = _settings(group), list(group["params"])
            condition(lambda group=group, settings=settings: _settings(group) == settings)  # type: ignore[misc]
            condition(
                lambda group=group, parameters=parameters: (  # type: ignore[misc]
                    len(group["params"]) == len(parameters) and all(a is b for a, b in zip(group["params"], parameters))
                )
            )
            for parameter in parameters:
                self._uses(parameter)
                self._expects_gradient(parameter)
                self._depends_on_buffers(optimizer, parameter)

    def _depends_on_buffers(self, optimizer: Any, parameter: Tensor) -> None:
        buffers = [
            (name, buffer.data)
            for name, buffer in optimizer.state.get(parameter, {}).items()
            if isinstance(buffer, Tensor) and name != "step"
        ]

        def same() -> bool:
            known = optimizer.state.get(parameter, {})
            return all(name in known and known[name].data is array for name, array in buffers)

        condition(same)

    def gradients(self) -> list[tuple[Tensor, Tensor | None]]:
        """The gradients that the step has left so far."""
        return [(leaf, leaf._grad) for leaf in self.leaves.values()]

    def _with_gradients(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """The call, with the gradients in place that stand there now."""
        gradients = self.gradients()

        def again() -> Any:
            put(gradients)
            return call()

        return again


def put(gradients: list[tuple[Tensor, Tensor | None]]) -> None:
    """Set gradients of leaves."""
    for leaf, gradient in gradients:
        leaf._grad = gradient


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "lr")}


class _Program:
    """A recording of a step, and where its arguments, results and gradients lie."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.warm_steps = 0
        self._arguments: tuple[Tensor, ...] = ()
        self._result: Any = None
        self._gradients: list[tuple[Tensor, Tensor | None]] = []

    @property
    def ready(self) -> bool:
        """Whether it has been recorded."""
        return bool(self._arguments)

    def warm(self, step: Callable[..., Any], arguments: tuple[Tensor, ...]) -> Any:
        """An ordinary step, under the rules of a captured one."""
        self.warm_steps += 1
        return copied(self.recording.warm(lambda: _listened(_Notes(arguments), step, arguments)))

    def record(self, step: Callable[..., Any], arguments: tuple[Tensor, ...]) -> Any:
        """Record the step, and do it."""
        fixed = tuple(Tensor(a.data.copy(order="K"), a._requires_grad) for a in arguments)
        notes = _Notes(fixed)
        result = self.recording.record(lambda: _listened(notes, step, fixed))
        self._arguments, self._result, self._gradients = fixed, result, notes.gradients()
        return self._deliver(arguments)

    def replay(self, arguments: tuple[Tensor, ...]) -> Any:
        """Do the step on new arguments."""
        for fixed, argument in zip(self._arguments, arguments):
            fixed.data[...] = argument.data
        self.recording.replay()
        return self._deliver(arguments)

    def _deliver(self, arguments: tuple[Tensor, ...]) -> Any:
        put(self._gradients)
        for fixed, argument in zip(self._arguments, arguments):
            if argument._requires_grad and fixed._grad is not None:
                if argument._grad is None:
                    argument._grad = Tensor(fixed._grad.data.copy())
                else:
                    argument._grad.data += fixed._grad.data
                    argument._grad._bump()
        return copied(self._result)


def _listened(notes: _Notes, step: Callable[..., Any], arguments: tuple[Tensor, ...]) -> Any:
    state.recorder = notes
    try:
        return _checked(step(*arguments))
    finally:
        state.recorder = None


def _checked(result: Any) -> Any:
    """What a step may return: tensors (detached), numbers, or tuples of them."""
    if isinstance(result, Tensor):
        return result.detach()
    if isinstance(result, (tuple, list)):
        return tuple(_checked(item) for item in result)
    if result is None or isinstance(result, (bool, int, float, str)):
        return result
    raise DTypeError(
        "capture", expected="a step that returns tensors, numbers or tuples of them", got=type(result).__name__
    )


def copied(result: Any) -> Any:
    """What a step returned, for its caller to keep: its tensors copied, without their graph."""
    if isinstance(result, Tensor):
        return Tensor(result.data.copy())
    return tuple(copied(item) for item in result) if isinstance(result, (tuple, list)) else result


class GraphSteps:
    """All recordings of one step on GPUs."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.step = step
        self._programs: dict[Any, list[_Program]] = {}

    @property
    def recordings(self) -> int:
        """The number of recordings made so far."""
        return sum(program.ready for programs in self._programs.values() for program in programs)

    def __call__(self, arguments: tuple[Tensor, ...]) -> Any:
        """The step on these arguments: as it is, recorded or replayed."""
        key = (
            state.enabled,
            get_float32_matmul_precision(),
            *[(a.data.shape, a.data.dtype, a._requires_grad, str(a.device)) for a in arguments],
        )
        programs = self._programs.setdefault(key, [])
        with on_device_of(arguments[0].data):
            for program in programs:
                if program.ready and program.recording.fits():
                    return program.replay(arguments)
            if not programs or programs[-1].ready:
                programs.append(_Program())
            program = programs[-1]
            if program.warm_steps < WARM_STEPS:
                return program.warm(self.step, arguments)
            return program.record(self.step, arguments)
