"""Module: a tree of layers that runs forward, moves between devices and modes, and saves and loads its state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from minidl._tensor import RemovableHandle, Tensor, where_to
from minidl.autograd.modes import state
from minidl.backend.device import Device
from minidl.backend.dtypes import as_dtype, float32, float64
from minidl.errors import ArgumentError, DTypeError
from minidl.nn.state import IncompatibleKeys, load
from minidl.nn.summary import summarize
from minidl.nn.tree import Tree, join

__all__ = ["Module"]

Self = TypeVar("Self", bound="Module")


class Module(Tree):
    """The base of every layer and network (``torch.nn.Module``).

    A subclass calls ``super().__init__()`` first, assigns parameters, buffers and modules as attributes, and defines
    ``forward``. Calling the module runs its hooks and ``forward``. Names, order of the state_dict and the meaning of
    every method are torch's.
    """

    training: bool

    def __init__(self) -> None:
        super().__init__()
        self.__dict__.update(training=True, _forward_hooks={}, _forward_pre_hooks={})

    # -- running ---------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None:
            state.recorder.module(self)
        if not (self._forward_hooks or self._forward_pre_hooks):
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_pre_hooks.values()):
            result = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if result is None:
                continue
            if with_kwargs:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise DTypeError(
                        "forward pre-hook", expected="None or a pair (args, kwargs)", got=type(result).__name__
                    )
                args, kwargs = result
            else:
                args = result if isinstance(result, tuple) else (result,)
        output = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._forward_hooks.values()):
            result = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            if result is not None:
                output = result
        return output

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before forward; what it returns (if not None) replaces the arguments.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)``, which returns None or (args, kwargs).
        """
        return _add_hook(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after forward; what it returns (if not None) replaces the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``.
        """
        return _add_hook(self._forward_hooks, hook, prepend, with_kwargs)

    # -- changing the whole tree -----------------------------------------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], None]) -> Self:
        """Call ``fn`` on every module below and on this one, children first; returns itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Set training mode (dropout drops, batch norm uses the batch's statistics) everywhere; returns itself."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"{type(self).__name__}.train", expected="mode to be True or False", got=repr(mode))
        for module in self.modules():
            module.training = mode
            module.__dict__.pop("_has_trained", None)  # what dropout notes, to warn of a forgotten eval()
        return self

    def eval(self: Self) -> Self:
        """Set evaluation mode everywhere: the same as ``train(False)``."""
        return self.train(False)

    def _move(self, device: Device | None, dtype: Any) -> None:
        """Put every tensor on ``device`` and every floating-point one into ``dtype`` (None: as it is).

        Parameters and gradients stay the same objects around new arrays, so optimizers made before keep working.
        """

        def moved(tensor: Tensor) -> Any:
            return tensor.detach().to(device=device, dtype=dtype if tensor.is_floating_point() else None).data

        for parameter in self.parameters():
            parameter.data = moved(parameter)
            if parameter.grad is not None:
                parameter.grad.data = moved(parameter.grad)
        for buffer in self.buffers():
            buffer.data = moved(buffer)

    def to(self: Self, *target: Any, device: Any = None, dtype: Any = None) -> Self:
        """Move all parameters and buffers to a device, and the floating-point ones to a dtype; returns itself.

        target: a device ("cpu", "gpu:1", minidl.device), a floating-point dtype, both in this order, or a tensor to be
        like. Optimizers made before keep working. DTypeError for a dtype without fractions, DeviceError where there is
        no such GPU.
        """
        device, dtype = where_to(target, device, dtype)
        if dtype is not None:
            dtype = as_dtype(dtype)
            if dtype.kind != "f":
                raise DTypeError(f"{type(self).__name__}.to", expected="a floating-point dtype", got=str(dtype))
        self._move(None if device is None else Device(device), dtype)
        return self

    def cpu(self: Self) -> Self:
        """Move everything to the CPU; returns itself."""
        return self.to("cpu")

    def float(self: Self) -> Self:
        """Turn the floating-point parameters and buffers into float32; returns itself."""
        return self.to(float32)

    def double(self: Self) -> Self:
        """Turn the floating-point parameters and buffers into float64; returns itself."""
        return self.to(float64)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Say for every parameter whether gradients are wanted (False freezes the module); returns itself."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient, or with ``set_to_none=False`` set it to zero."""
        if state.recorder is not None:
            return state.recorder.call(self.zero_grad, set_to_none)
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else parameter.grad.detach().zero_()

    # -- saving and loading ----------------------------------------------------------------------------------------

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor that is saved, in torch's order; a shared one under each of its names."""
        for path, module in self.named_modules(remove_duplicate=False):
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    yield join(path, name), parameter
            for name, buffer in module._buffers.items():
                if buffer is not None and name not in module._non_persistent_buffers:
                    yield join(path, name), buffer

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Every parameter and persistent buffer by dotted name, in the order they were registered.

        The tensors are detached and share memory with the module; ``keep_vars`` gives the parameters themselves.
        """
        return {prefix + name: tensor if keep_vars else tensor.detach() for name, tensor in self._named_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the values of ``state_dict`` (Tensors or NumPy arrays) into the module's own tensors.

        Returns the named tuple (missing_keys, unexpected_keys). Raises RuntimeError, and changes nothing, where a shape
        differs or, if ``strict``, where keys are missing or unexpected; the message lists all of them.
        """
        return load(type(self).__name__, dict(self._named_state()), state_dict, strict)

    # -- showing ---------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the brackets of the module's line in ``repr``."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        children = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        return frame(self._get_name(), self.extra_repr(), children)

    def summary(self, input_shape: tuple[int, ...]) -> None:
        """Print every layer with its output shape and number of parameters, for an input of ``input_shape``.

        The shape counts the batch axis, as in ``(1, 3, 32, 32)``. The shapes come from one forward pass over zeros, in
        evaluation mode and without a graph; nothing in the module changes.
        """
        print(summarize(self, input_shape))


# Never used twice, so that a handle whose hook is gone cannot remove a later one.
_hook_numbers = itertools.count()


def _add_hook(hooks: dict[int, Any], hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> RemovableHandle:
    number = next(_hook_numbers)
    others = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[number] = (hook, with_kwargs)
    hooks.update(others)
    return RemovableHandle(hooks, number)


def indent(text: str) -> str:
    return text.replace("\n", "\n  ")


def frame(name: str, extra: str, children: list[str]) -> str:
    """A module's repr from its own description and one (already indented) text for each child, as torch lays it out."""
    own = extra.split("\n") if extra else []
    if not children and len(own) <= 1:
        return f"{name}({extra})"
    return f"{name}(\n  " + "\n  ".join(own + children) + "\n)"
