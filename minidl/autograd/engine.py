"""Backward: one iterative pass over the graph, from the results to the leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.autograd.anomaly import after_backward, check_root, explain, watchers
from minidl.autograd.base import BaseTensor, Edge
from minidl.autograd.function import Function
from minidl.autograd.modes import set_grad_enabled, state
from minidl.backend.arrays import check_same_device, ignore_float_errors, namespace, on_device_of
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError

__all__ = ["backward", "grad"]


# The number of the hook behind retain_grad(): it comes last, to see what the others made of the gradient.
RETAIN = -1


class _Sum:
    """A gradient under construction. ``owned``: the array is ours alone, so a further term may be added in place."""

    __slots__ = ("owned", "value")

    def __init__(self, value: Any, owned: bool) -> None:
        self.value = value
        self.owned = owned

    def add(self, value: Any) -> None:
        with on_device_of(value):
            if self.owned and not isinstance(value, BaseTensor) and self.value.ndim:
                self.value += value
            else:
                self.value = self.value + value
                self.owned = True


def _count_uses(roots: Sequence[Any]) -> dict[Any, int]:
    """How many gradients every node and leaf that the roots depend on will receive."""
    uses: dict[Any, int] = dict.fromkeys(roots, 0)
    stack = [root for root in uses if isinstance(root, Function)]
    while stack:
        for edge in stack.pop()._edges:
            if edge is not None:
                target = edge[0]
                if target in uses:
                    uses[target] += 1
                else:
                    uses[target] = 1
                    if isinstance(target, Function):
                        stack.append(target)
    return uses


def _leads_to(targets: set[Any], roots: Sequence[Any]) -> set[Any]:
    """The nodes from which some target can be reached: the only ones that ``grad`` has to run."""
    useful = set(targets)
    visited = set()
    stack = [(root, False) for root in roots]
    while stack:
        node, expanded = stack.pop()
        if not isinstance(node, Function):
            continue
        if expanded:
            if any(edge is not None and edge[0] in useful for edge in node._edges):
                useful.add(node)
        elif node not in visited:
            visited.add(node)
            stack.append((node, True))
            stack.extend((edge[0], False) for edge in node._edges if edge is not None)
    return useful


def _run(
    roots: list[tuple[Edge, Any]], retain_graph: bool, create_graph: bool, wanted: dict[Edge, Any] | None = None
) -> None:
    """Send the roots' gradients through the graph: into the leaves, or only into ``wanted`` where it is given."""
    as_tensors = create_graph or state.recorder is not None
    uses = _count_uses([edge[0] for edge, _ in roots])
    useful = None if wanted is None else _leads_to({edge[0] for edge in wanted}, [edge[0] for edge, _ in roots])
    pending: dict[Any, dict[int, _Sum]] = {}
    for (target, index), value in roots:
        slots = pending.setdefault(target, {})
        if index in slots:
            slots[index].add(value)
        else:
            slots[index] = _Sum(value, owned=False)
    ready = [target for target, count in uses.items() if count == 0]
    while ready:
        node = ready.pop()
        slots = pending.pop(node, {})
        hooks = node._hooks
        if hooks and slots:
            _run_hooks(node, slots)
        if wanted is not None:
            for index, total in slots.items():
                if (node, index) in wanted:
                    wanted[node, index] = total.value
        if isinstance(node, BaseTensor):
            if wanted is None and slots:
                with on_device_of(node.data):
                    _accumulate(node, slots[0], create_graph)
            continue
        edges = node._edges
        if slots and (useful is None or any(edge is not None and edge[0] in useful for edge in edges)):
            node._as_tensors = as_tensors
            try:
                with on_device_of(next(iter(slots.values())).value):
                    incoming = _incoming(node, slots, as_tensors)
                    results = type(node).backward(node, *incoming)
                if not isinstance(results, tuple):
                    results = (results,)
                if watchers:
                    after_backward(node, results)
                _deliver(node, results, incoming, pending)
            except Exception as error:
                explain(error, node)
                raise
            finally:
                node._as_tensors = False
            if not retain_graph:
                node._free()
        for edge in edges:
            if edge is not None:
                uses[edge[0]] -= 1
                if uses[edge[0]] == 0:
                    ready.append(edge[0])


def _incoming(node: Function, slots: dict[int, _Sum], as_tensors: bool) -> list[Any]:
    """One gradient an output; zeros for outputs that the loss does not depend on."""
    if not node._output_shapes:
        return [slots[0].value]
    incoming = []
    for index, (shape, dtype) in enumerate(node._output_shapes):
        if index in slots:
            incoming.append(slots[index].value)
        elif dtype.kind != "f":
            incoming.append(None)
        else:
            like = next(iter(slots.values())).value
            zeros = namespace(like.data if as_tensors else like).zeros(shape, dtype)
            incoming.append(node._maker._make(zeros) if as_tensors else zeros)
    return incoming


def _deliver(
    node: Function, results: tuple[Any, ...], incoming: list[Any], pending: dict[Any, dict[int, _Sum]]
) -> None:
    """Add a node's results to what its inputs' nodes and leaves have received so far."""
    if len(results) != len(node._edges):
        raise GraphError(node.name, expected=f"{len(node._edges)} gradients from backward", got=str(len(results)))
    for i, (edge, value) in enumerate(zip(node._edges, results)):
        if edge is None or value is None:
            continue
        if value.shape != node._input_shapes[i]:
            raise ShapeError(
                f"{node.name}.backward",
                expected=f"a gradient of shape {node._input_shapes[i]} for input {i}",
                got=str(value.shape),
            )
        slots = pending.setdefault(edge[0], {})
        total = slots.get(edge[1])
        if total is not None:
            total.add(value)
            continue
        # Fresh means nobody else can see the array: not what came in, not a view, not given to two inputs.
        array = value.data if isinstance(value, BaseTensor) else value
        fresh = (
            getattr(array, "base", array) is None
            and not any(value is g for g in incoming)
            and not any(value is r for j, r in enumerate(results) if j != i)
        )
        slots[edge[1]] = _Sum(value, owned=fresh)


def _run_hooks(node: Any, slots: dict[int, _Sum]) -> None:
    """Let the hooks of a tensor see its whole gradient, and replace it where they return another."""
    make = node._make if isinstance(node, BaseTensor) else node._maker._make
    for index, hooks in node._hooks.items():
        if index not in slots:
            continue
        total = slots[index]
        for number in sorted(hooks, key=lambda n: n if n != RETAIN else math.inf):
            hook = hooks[number]
            is_tensor = isinstance(total.value, BaseTensor)
            answer = hook(total.value if is_tensor else make(total.value))
            total.owned = False  # the hook may have kept what it saw
            if answer is not None:
                if answer.shape != total.value.shape:
                    raise ShapeError("hook", expected=f"a gradient of shape {total.value.shape}", got=str(answer.shape))
                total.value = answer if is_tensor else answer.data


def _accumulate(leaf: BaseTensor, total: _Sum, create_graph: bool) -> None:
    """Add a finished gradient to ``leaf.grad``, as torch does: in place, or out of place under ``create_graph``."""
    value = total.value
    if create_graph:
        leaf.grad = value if leaf.grad is None else leaf.grad + value
    elif isinstance(value, BaseTensor):
        state.recorder.accumulate(leaf, value, total.owned)
    elif leaf.grad is None:
        if value.dtype != leaf.data.dtype:
            value = value.astype(leaf.data.dtype)
        elif not total.owned:
            value = value.copy()
        leaf.grad = leaf._make(namespace(leaf.data).asarray(value))
    else:
        leaf.grad.data += value
        leaf.grad._version.value += 1


def _root_gradient(who: str, tensor: BaseTensor, gradient: Any, as_tensors: bool) -> Any:
    """The gradient to start from: ones for a scalar, else what the user gave, checked."""
    xp = namespace(tensor.data)
    if gradient is None:
        if tensor.data.size != 1:
            raise GraphError(
                who,
                expected="a tensor with one element, or a gradient of its shape",
                got=f"shape {tensor.data.shape} and no gradient",
                hint="Reduce the tensor first, for example with .sum() or .mean(), or pass the gradient.",
            )
        with on_device_of(tensor.data):
            value = xp.ones_like(tensor.data)
        return tensor._make(value) if as_tensors else value
    if not isinstance(gradient, BaseTensor):
        raise DTypeError(who, expected="the gradient as a Tensor", got=type(gradient).__name__)
    if gradient.data.shape != tensor.data.shape:
        raise ShapeError(who, expected=f"a gradient of shape {tensor.data.shape}", got=str(gradient.data.shape))
    check_same_device(who, tensor.data, gradient.data)
    return gradient if as_tensors else gradient.data


def _sequence(values: Any) -> list[Any]:
    return list(values) if isinstance(values, (tuple, list)) else [values]


def _roots(who: str, tensors: list[Any], gradients: Any, as_tensors: bool) -> list[tuple[Edge, Any]]:
    given = [None] * len(tensors) if gradients is None else _sequence(gradients)
    if len(given) != len(tensors):
        raise ArgumentError(who, expected=f"one gradient for each of {len(tensors)} tensors", got=str(len(given)))
    roots = []
    for tensor, gradient in zip(tensors, given):
        if watchers:
            check_root(who, tensor)
        edge = tensor._gradient_edge()
        if edge is None:
            raise GraphError(
                who,
                expected="a tensor that requires a gradient",
                got="one made without recording, or from tensors that require none",
                hint="Set requires_grad=True on an input, and do not compute it under no_grad.",
            )
        roots.append((edge, _root_gradient(who, tensor, gradient, as_tensors)))
    return roots


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False
) -> None:
    """Accumulate d(sum of tensors)/d(leaf) into ``grad`` of every leaf that requires one.

    tensors: a tensor or a sequence of them. grad_tensors: the gradients to start from, of the same shapes; may be left
    out for tensors with one element (then 1). retain_graph: keep what forward saved, for another backward (default:
    as create_graph). create_graph: record the pass itself, so that gradients can be differentiated again.

    Raises GraphError (nothing to differentiate, graph freed, saved array overwritten), ShapeError. Source:
    torch.autograd.backward.
    """
    retain = create_graph if retain_graph is None else retain_graph
    roots = _roots("backward", _sequence(tensors), grad_tensors, create_graph or state.recorder is not None)
    with set_grad_enabled(create_graph), ignore_float_errors():
        _run(roots, retain, create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the outputs with respect to the inputs, as a tuple; no leaf's ``grad`` is touched.

    outputs, inputs: a tensor or a sequence of them; inputs may be results inside the graph. grad_outputs: one gradient
    an output (default 1 for scalars). allow_unused: None for inputs that the outputs do not depend on, instead of an
    error. Raises GraphError, ShapeError. Source: torch.autograd.grad.
    """
    wanted_inputs = _sequence(inputs)
    retain = create_graph if retain_graph is None else retain_graph
    roots = _roots("grad", _sequence(outputs), grad_outputs, create_graph or state.recorder is not None)
    edges = []
    for i, tensor in enumerate(wanted_inputs):
        edge = tensor._gradient_edge()
        if edge is None:
            raise GraphError("grad", expected="inputs that require a gradient", got=f"input {i}, which requires none")
        edges.append(edge)
    wanted: dict[Edge, Any] = dict.fromkeys(edges)
    with set_grad_enabled(create_graph), ignore_float_errors():
        _run(roots, retain, create_graph, wanted)
    gradients = []
    for i, (edge, tensor) in enumerate(zip(edges, wanted_inputs)):
        value = wanted[edge]
        if value is None and not allow_unused:
            raise GraphError(
                "grad",
                expected="outputs that depend on every input",
                got=f"input {i}, which was not used",
                hint="Pass allow_unused=True to get None for it.",
            )
        if value is not None and not isinstance(value, BaseTensor):
            value = tensor._make(namespace(tensor.data).asarray(value))
        gradients.append(value)
    return tuple(gradients)
