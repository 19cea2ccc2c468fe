"""The table that ``Module.summary`` prints: layers, output shapes, parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minidl._factories import zeros
from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad
from minidl.errors import ArgumentError

if TYPE_CHECKING:
    from minidl.nn.module import Module

__all__ = ["summarize"]


def summarize(module: Module, input_shape: tuple[int, ...]) -> str:
    """The table of a module's layers for an input of ``input_shape`` (with the batch axis), as text.

    A layer that forward did not reach shows ``-`` for its output shape; one that was used several times shows the last.
    A shared parameter counts once, at its first owner.
    """
    valid = isinstance(input_shape, (tuple, list)) and all(type(n) is int and n >= 0 for n in input_shape)
    if not valid:
        raise ArgumentError(
            f"{type(module).__name__}.summary",
            expected="the input's shape with its batch axis, such as (1, 3, 32, 32)",
            got=repr(input_shape),
        )
    shapes = _output_shapes(module, tuple(input_shape))
    rows = [("Layer", "Output shape", "Parameters")]
    counted: set[int] = set()
    for path, layer in module.named_modules():
        own = [p for p in layer.parameters(recurse=False) if id(p) not in counted]
        counted.update(id(p) for p in own)
        depth = path.count(".") + 1 if path else 0
        name = path.rpartition(".")[2]
        label = "  " * depth + (f"{name}: " if name else "") + type(layer).__name__
        rows.append((label, shapes.get(id(layer), "-"), f"{sum(p.numel() for p in own):,}" if own else "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}" for row in rows]
    rule = "-" * len(lines[0])
    parameters = list(module.parameters())
    total = sum(p.numel() for p in parameters)
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    size = sum(p.numel() * p.dtype.itemsize for p in parameters)
    totals = f"Parameters: {total:,} ({trainable:,} trainable), {size / 2**20:.2f} MiB"
    return "\n".join([lines[0], rule, *lines[1:], rule, totals])


def _output_shapes(module: Module, input_shape: tuple[int, ...]) -> dict[int, str]:
    """The output shape of every layer that one forward pass over zeros reaches, by the layer's id."""
    shapes: dict[int, str] = {}

    def note(layer: Module, args: Any, output: Any) -> None:
        shapes[id(layer)] = _describe(output)

    modes = [(layer, layer.training) for layer in module.modules()]
    handles = [layer.register_forward_hook(note) for layer, _ in modes]
    first = next(module.parameters(), None)
    dtype, device = (None, None) if first is None else (first.dtype, first.device)
    try:
        module.eval()
        with no_grad():
            module(zeros(input_shape, dtype=dtype, device=device))
    finally:
        for handle in handles:
            handle.remove()
        for layer, mode in modes:  # one by one: a frozen part may have been in evaluation mode before
            layer.training = mode
    return shapes


def _describe(output: Any) -> str:
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    if isinstance(output, (tuple, list)):
        return ", ".join(_describe(part) for part in output)
    return type(output).__name__
