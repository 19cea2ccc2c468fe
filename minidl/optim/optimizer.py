"""What all optimizers share: parameter groups, per-parameter state, saving and loading, and the loop of a step."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd.modes import enable_grad, state
from minidl.backend import graph
from minidl.backend.arrays import on_device_of
from minidl.errors import ArgumentError, DTypeError, ShapeError, warn_of_slip
from minidl.optim.counters import scalar
from minidl.optim.gathered import Gathered
from minidl.optim.many import together
from minidl.optim.settings import refuse_unsupported
from minidl.optim.state import load

__all__ = ["Optimizer"]


class Optimizer:
    """The base of every optimizer (``torch.optim.Optimizer``).

    ``params`` is an iterable of leaf tensors, or of dicts {"params": ..., "lr": ...} that override ``defaults`` for
    their group. ``param_groups`` is a list of such dicts, read anew at every step; ``state`` maps a parameter to its
    buffers.

    A subclass defines ``update(parameter, group)``, which is called for each parameter that has a gradient; one whose
    ``grad`` is None is skipped wholly (no weight decay, no momentum). It changes ``parameter.data`` in place. Updates
    are always fused: torch's ``fused`` changes nothing here, and ``foreach``, ``capturable`` and ``differentiable``
    cannot be honoured, so True is an ArgumentError. Where a kernel of the CPU updates many parameters in one call
    (``group_kernel``) and their arrays allow it, ``update_gathered`` does what ``update`` would do for each.
    """

    group_kernel = ""  # of which kernel the subclass's update_gathered makes use, "" if there is none
    counters: tuple[str, ...] = ("step",)  # what the state holds besides buffers: float32 numbers on the CPU
    updates_many = False  # whether update_many is defined
    _used: Any = None  # the version of the first gradient that the last step used, and its count then
    _used_at = 0
    _warned = False
    stepped = False  # whether step() has ever been called; schedules warn where it has not

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._gathered: dict[int, Gathered] = {}  # by id of the group, which it holds
        who = type(self).__name__
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            expected, hint = "params to be an iterable of Tensors or dicts", "Write [parameter] or model.parameters()."
            raise DTypeError(who, expected=expected, got=type(params).__name__, hint=hint)
        groups = list(params)
        if not groups:
            hint = "optimizer got an empty parameter list"
            raise ArgumentError(who, expected="at least one parameter", got="none", hint=hint)
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls) -> None:
        if "update" in vars(cls) and "update_gathered" not in vars(cls):
            cls.group_kernel = ""  # it says how one parameter is updated: it shall be asked for each

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles have arrays at other places than those that kernels have noted.
        return {**self.__dict__, "_gathered": {}}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; what the dict leaves out comes from ``defaults``."""
        who = f"{type(self).__name__}.add_param_group"
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(who, expected='a dict with the key "params"', got=type(param_group).__name__)
        params = param_group["params"]
        if isinstance(params, set):
            raise DTypeError(who, expected="an ordered collection", got="a set, whose order changes between runs")
        parameters = [params] if isinstance(params, Tensor) else list(params)
        for parameter in parameters:
            if not isinstance(parameter, Tensor):
                hint = "Pass model.parameters(), not the model or its named_parameters()."
                raise DTypeError(who, expected="Tensors only", got=type(parameter).__name__, hint=hint)
            if not parameter.is_leaf:
                got = f"the result of an operation, of shape {tuple(parameter.shape)}"
                raise ArgumentError(who, expected="leaf tensors", got=got, hint="can't optimize a non-leaf Tensor")
        identities = {id(parameter) for parameter in parameters}
        if len(identities) < len(parameters):
            warnings.warn(
                f"{who}: a parameter stands in the group more than once and will be updated more than once a step",
                stacklevel=3,
            )
        if any(id(known) in identities for group in self.param_groups for known in group["params"]):
            raise ArgumentError(
                who,
                expected="parameters that no other group has",
                got="one that is there already",
                hint="some parameters appear in more than one parameter group",
            )
        group = {"params": parameters, **{key: value for key, value in param_group.items() if key != "params"}}
        for key, default in self.defaults.items():
            group.setdefault(key, default)
        self.check_group(group)
        self.param_groups.append(group)

    def check_group(self, group: dict[str, Any]) -> None:
        """Raise ArgumentError for settings that make no sense; subclasses check their own as well."""
        refuse_unsupported(type(self).__name__, group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient, or with ``set_to_none=False`` set it to zero."""
        if state.recorder is not None:
            return state.recorder.call(self.zero_grad, set_to_none)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = None if set_to_none else parameter.grad.detach().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        ``closure`` computes the loss anew with gradients; it is called first, and its result returned.
        """
        self.stepped = True
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if state.recorder is None:
            self._look()
            self._update_all()
        else:
            state.recorder.call(self._update_all)
        return loss

    def _look(self) -> None:
        """Warn of a forgotten zero_grad(): backward has added to a gradient that the last step used already.

        Told by the first gradient: the same memory, with exactly one write since then; zeroing by hand is another.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter._grad is not None:
                    version = parameter._grad._version
                    if self._used is version and version.value == self._used_at + 1 and not self._warned:
                        self._warned = True
                        warn_of_slip(
                            f"{type(self).__name__}.step: backward has added to gradients that the last step used "
                            "already. Call optimizer.zero_grad() before backward."
                        )
                    self._used, self._used_at = version, version.value
                    return

    def _update_all(self) -> None:
        for group in self.param_groups:
            left = self._update_gathered(group) if self.group_kernel else group["params"]
            if not left:
                continue
            parameters = self._with_gradients(left)
            done = self.update_many(parameters, group)
            for parameter in parameters:
                if id(parameter) not in done:
                    with on_device_of(parameter.data):
                        self.update(parameter, group)
                graph.each_step(parameter._bump)  # backward refuses arrays that were saved before this write

    def _update_gathered(self, group: dict[str, Any]) -> list[Tensor]:
        """Update what one call of ``group_kernel`` can; the parameters that are left."""
        names = self.buffer_names(group)
        gathered = self._gathered.get(id(group))
        gradients = None if gathered is None else gathered.gradients(self, group, names)
        first: list[int] = []
        if gathered is None or gradients is None:  # something has changed since the last step
            gathered = Gathered(self, group, names)
            gradients, first = [p.grad if p.grad is None else p.grad.data for p in gathered.parameters], gathered.first
            kept = {id(known) for known in self.param_groups}
            self._gathered = {key: old for key, old in self._gathered.items() if key in kept}
            self._gathered[id(group)] = gathered
        if gathered.parameters:
            self.update_gathered(group, gathered, gradients, first)
            for parameter, gradient in zip(gathered.parameters, gradients):
                if gradient is not None:
                    parameter._bump()
        return gathered.left

    def _with_gradients(self, parameters: list[Tensor]) -> list[Tensor]:
        """Those of the parameters that have a gradient. ShapeError where one does not fit its parameter."""
        found = [parameter for parameter in parameters if parameter.grad is not None]
        for parameter in found:
            self.check_gradient(parameter)
        return found

    def check_gradient(self, parameter: Tensor) -> None:
        """Raise ShapeError for a gradient of another shape than its parameter's."""
        gradient = parameter.grad
        if gradient is not None and gradient.shape != parameter.shape:
            raise ShapeError(
                f"{type(self).__name__}.step",
                expected=f"a gradient of the parameter's shape {tuple(parameter.shape)}",
                got=f"shape {tuple(gradient.shape)}",
            )

    def recordable(self) -> bool:
        """Whether the whole update may become part of a CUDA graph; if not, it is called between two graphs.

        It may where ``update_many`` does everything: that reads what changes from step to step, learning rates and
        counters, through ``minidl.backend.graph``.
        """
        groups = [self._with_gradients(group["params"]) for group in self.param_groups]
        return self.updates_many and all(len(together(group, self.state)) == len(group) for group in groups)

    def update_many(self, parameters: list[Tensor], group: dict[str, Any]) -> set[int]:
        """Change as many parameters as possible at once; the ids of those that it has changed. Here none.

        A subclass with ``updates_many`` changes those that ``together`` chooses, on a GPU, where a launch takes longer
        than the update of a small layer.
        """
        return set()

    def buffer_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """What ``update_gathered`` needs of a parameter's state; the same buffers as ``update`` makes."""
        return ()

    def update_gathered(
        self, group: dict[str, Any], gathered: Gathered, gradients: list[Any], first: list[int]
    ) -> None:
        """What ``update`` does, for many parameters on the CPU in one call of ``group_kernel``.

        ``gradients`` are those of ``gathered``'s parameters, None where there is none; ``first``: positions of the
        parameters whose buffers were made just now.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update_gathered")

    def update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Change ``parameter.data`` in place by its gradient and the settings in ``group``."""
        raise NotImplementedError(f"{type(self).__name__} defines no update(parameter, group)")

    def buffer(self, parameter: Tensor, name: str) -> tuple[Any, bool]:
        """The array of ``state[parameter][name]`` and whether it was made just now, as zeros of the parameter's shape.

        A buffer follows its parameter to another type or device, whenever the parameter moved. One of ``counters`` is a
        float32 number on the CPU.
        """
        state = self.state[parameter]
        buffer = state.get(name)
        if buffer is None:
            buffer = state[name] = scalar(0.0) if name in self.counters else parameter.detach().clone().zero_()
            return buffer.data, True
        if name in self.counters:
            return buffer.data, False
        if buffer.dtype != parameter.dtype or buffer.device != parameter.device:
            buffer = state[name] = buffer.to(device=parameter.device, dtype=parameter.dtype)
        return buffer.data, False

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: buffers}, "param_groups": [settings with numbers as params]}, in torch's structure.

        Parameters are numbered in the order of the groups. The tensors are the optimizer's own, not copies.
        """
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            groups.append({**packed, "params": [numbers[id(parameter)] for parameter in group["params"]]})
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what ``state_dict`` gave: settings and copies of the buffers, for the parameters held now.

        Parameters correspond by their place in the groups. Buffers take the parameter's type and device. Raises
        ArgumentError, and changes nothing, where groups or shapes do not match.
        """
        load(self, state_dict)

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            lines.append(("\n" if number else "") + f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])
