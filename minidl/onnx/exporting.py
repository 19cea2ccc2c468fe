"""``export``: a forward pass in evaluation mode, traced and written as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad, state
from minidl.backend.arrays import namespace
from minidl.errors import ArgumentError, DTypeError, ExtraError, GraphError
from minidl.nn import Module
from minidl.onnx.elements import ELEMENTS
from minidl.onnx.layers import LAYERS
from minidl.onnx.tracing import Graph, Node, Tracer

__all__ = ["export"]

_WHO = "onnx.export"
_OPSETS = range(18, 22)

# The lengths that may vary: for every input the axes and what each is called.
Axes = dict[str, dict[int, str]]


def export(
    model: Module,
    args: Tensor | tuple[Tensor, ...],
    f: str | os.PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamic_axes: Mapping[str, Mapping[int, str] | Sequence[int]] | None = None,
) -> None:
    """Write a model as an ONNX file that computes what its forward computes in evaluation mode.

    The forward is run on ``args`` and its operations are written down, so that any module can be exported whose
    operations have a form in ONNX; what Python decides on the way is fixed. Parameters and buffers keep the names of
    the state_dict, and the model its training mode.

    model: the module; args: example inputs, one tensor or a tuple, of at least one element each; f: the file;
    input_names, output_names: default "input" and "output", numbered where there are several; opset_version: 18
    (default) to 21; dynamic_axes: which axes may have another length than in the example, and what it is called, as
    {"input": {0: "batch"}} or {"input": [0]}; the forward then runs a second time, with other lengths, to see what
    depends on them. Raises GraphError, which names operation, layer and shapes, where an operation has no form,
    ArgumentError (also where the forward depends on a length that may vary), DTypeError, and ExtraError without the
    package onnx. Source: torch.onnx.export.
    """
    onnx = _library()
    opset = _OPSETS[0] if opset_version is None else opset_version
    if opset not in _OPSETS:
        raise ArgumentError(_WHO, expected=f"opset_version {_OPSETS[0]} to {_OPSETS[-1]}", got=repr(opset_version))
    if not isinstance(model, Module):
        raise DTypeError(_WHO, expected="a Module", got=type(model).__name__)
    if state.recorder is not None:
        raise GraphError(_WHO, expected="a call outside a captured step", got="one inside")
    examples = args if isinstance(args, (tuple, list)) else (args,)
    for example in examples:
        if not isinstance(example, Tensor):
            raise DTypeError(_WHO, expected="args as a Tensor or a tuple of them", got=type(example).__name__)
        if not example.numel():
            raise ArgumentError(_WHO, expected="example inputs of at least one element", got=f"shape {example.shape}")
    inputs = dict(zip(_names("input_names", input_names, len(examples), "input"), examples))
    graph, outputs = _trace(model, inputs, output_names)
    taken = {*(name for name, _ in model.named_parameters()), *(name for name, _ in model.named_buffers())}
    if clash := taken & {*inputs, *outputs}:
        raise ArgumentError(_WHO, expected="names of inputs and outputs that no parameter has", got=sorted(clash)[0])
    shapes: dict[str, list[Any]] = {name: list(tensor.shape) for name, tensor in {**inputs, **outputs}.items()}
    axes, declared = _axes(dynamic_axes or {}, inputs, outputs)
    if any(axes.values()):
        lengths = {symbol: inputs[name].shape[axis] for name in axes for axis, symbol in axes[name].items()}
        factors = {symbol: factor for factor, symbol in enumerate(lengths, 2)}
        others = {name: _longer(tensor, axes[name], factors) for name, tensor in inputs.items()}
        other_graph, other_outputs = _trace(model, others, output_names)
        _merge(graph, other_graph)
        for name, tensor in outputs.items():
            both = list(zip(tensor.shape, other_outputs[name].shape))
            for axis in (i for i, (first, second) in enumerate(both) if first != second):
                likely = [s for s in lengths if both[axis] == (lengths[s], lengths[s] * factors[s])]
                declared[name].setdefault(axis, likely[0] if likely else f"{name}_axis_{axis}")
    for name, symbols in declared.items():
        for axis, symbol in symbols.items():
            shapes[name][axis] = symbol
    Path(f).write_bytes(_file(onnx, graph, {**inputs, **outputs}, shapes, list(inputs), opset))


def _library() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ExtraError(_WHO, "onnx", "onnx") from error
    return onnx


def _names(argument: str, given: Sequence[str] | None, count: int, usual: str) -> list[str]:
    if given is None:
        return [usual] if count == 1 else [f"{usual}_{i}" for i in range(count)]
    names = list(given)
    if len(names) != count or len({*names}) != count or not all(isinstance(name, str) and name for name in names):
        raise ArgumentError(_WHO, expected=f"{argument} as {count} different names", got=repr(given))
    return names


# -- running the model -------------------------------------------------------------------------------------------------


def _trace(
    model: Module, inputs: dict[str, Tensor], output_names: Sequence[str] | None
) -> tuple[Graph, dict[str, Tensor]]:
    """The graph of one forward, and its outputs by name."""
    copies = {name: tensor.detach().clone() for name, tensor in inputs.items()}  # forward may write into them
    tracer = Tracer(model, copies, {**ELEMENTS, **LAYERS}, output_names or ())
    with _evaluation(model, tracer), no_grad():
        state.recorder = tracer
        try:
            result = model(*copies.values())
        finally:
            state.recorder = None
    results = result if isinstance(result, (tuple, list)) else (result,)
    if not all(isinstance(value, Tensor) for value in results):
        got = ", ".join(type(value).__name__ for value in results)
        raise DTypeError(_WHO, expected="a model that returns a Tensor or a tuple of them", got=got)
    if not any(map(tracer.varies, results)):
        got = "one that comes from elsewhere, such as .data"
        raise GraphError(_WHO, expected="a result computed from the inputs by operations", got=got)
    names = _names("output_names", output_names, len(results), "output")
    for name, value in zip(names, results):
        source = tracer.name(value)
        tracer.graph.nodes.append(Node("Identity", tracer.graph.unique(f"{name}.Identity"), (source,), name, {}, name))
    return tracer.graph, dict(zip(names, results))


@contextmanager
def _evaluation(model: Module, tracer: Tracer) -> Iterator[None]:
    """Every module in evaluation mode, and the tracer told which of them runs; all as it was afterwards."""

    def enter(module: Any, name: str) -> None:
        tracer.layers.append((name, module))

    def leave(*_: Any) -> None:
        tracer.layers.pop()

    modules = list(model.named_modules())
    training = [(module, module.training) for _, module in modules]
    hooks = []
    try:
        for name, module in modules:
            module.training = False  # not eval(), which forgets what the warning of a forgotten one looks at
            hooks.append(
                module.register_forward_pre_hook(lambda module, _, name=name: enter(module, name), prepend=True)
            )
            hooks.append(module.register_forward_hook(leave))
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training:
            module.training = mode


# -- lengths that vary -------------------------------------------------------------------------------------------------


def _axes(dynamic_axes: Mapping[str, Any], inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> tuple[Axes, Axes]:
    """The axes that vary of the inputs, and of inputs and outputs."""
    every = {**inputs, **outputs}
    declared: Axes = {name: {} for name in every}
    lengths: dict[str, int] = {}
    for name, given in dynamic_axes.items():
        if name not in every:
            raise ArgumentError(_WHO, expected=f"dynamic_axes of {', '.join(every)}", got=repr(name))
        ndim = len(every[name].shape)
        items = given.items() if isinstance(given, Mapping) else [(axis, f"{name}_axis_{axis}") for axis in given]
        for axis, symbol in items:
            if not hasattr(axis, "__index__") or not -ndim <= axis < ndim or not isinstance(symbol, str) or not symbol:
                raise ArgumentError(
                    _WHO, expected=f"axes of {name} (it has {ndim}) and their names", got=f"{axis!r}: {symbol!r}"
                )
            declared[name][axis % ndim] = symbol
            length = every[name].shape[axis]
            if name in inputs and lengths.setdefault(symbol, length) != length:
                raise ArgumentError(
                    _WHO, expected=f'one length of all axes called "{symbol}"', got=f"{lengths[symbol]} and {length}"
                )
    return {name: declared[name] for name in inputs}, declared


def _longer(tensor: Tensor, axes: dict[int, str], factors: dict[str, int]) -> Tensor:
    """The example repeated along the axes that vary: longer, with elements as good as before."""
    array = tensor.data
    for axis, symbol in axes.items():
        array = namespace(array).concatenate([array] * factors[symbol], axis)
    return Tensor(array)


def _merge(graph: Graph, other: Graph) -> None:
    """Make the graph right for lengths of both traces; ArgumentError where they differ in more than new shapes."""
    for i, node in enumerate(graph.nodes):
        twin = other.nodes[i] if i < len(other.nodes) else node
        same = node[:5] == twin[:5] and len(graph.nodes) == len(other.nodes)
        for name in node.inputs if same else ():
            if name in graph.constants and name not in graph.reshaped:
                one, two = graph.constants[name], other.constants[name]
                same &= one is two or (one.dtype == two.dtype and one.shape == two.shape and bool((one == two).all()))
            elif name in graph.reshaped:
                same &= _merge_shapes(graph, other, name)
        if not same:
            raise ArgumentError(
                _WHO,
                expected="a forward that does the same whatever the lengths of dynamic_axes",
                got=f"{node.call} for the example, and {twin.call} for other lengths",
                hint="Name fewer axes, or use operations that do not look at the shape.",
            )


def _merge_shapes(graph: Graph, other: Graph, name: str) -> bool:
    """A new shape that is right for both traces: 0 for a length that is kept, -1 for one that is worked out."""
    pairs = list(zip(graph.constants[name].tolist(), other.constants[name].tolist()))
    before = list(zip(graph.reshaped[name], other.reshaped[name]))
    shape = [first if first == second else -1 for first, second in pairs]
    if shape.count(-1) > 1:
        shape = [0 if n == -1 and pair in before[i : i + 1] else n for i, (n, pair) in enumerate(zip(shape, pairs))]
    graph.constants[name] = np.asarray(shape, np.int64)
    return shape.count(-1) <= 1 and len(before) == len(other.reshaped[name])


# -- the file ----------------------------------------------------------------------------------------------------------


def _file(
    onnx: Any, graph: Graph, tensors: dict[str, Tensor], shapes: dict[str, Any], inputs: list[str], opset: int
) -> bytes:
    """The graph as bytes, checked by the package onnx."""
    helper = onnx.helper

    def attribute(value: Any) -> Any:
        return helper.np_dtype_to_tensor_dtype(value) if isinstance(value, np.dtype) else value

    nodes = [
        helper.make_node(
            node.kind, node.inputs, [node.output], node.name, **{k: attribute(v) for k, v in node.attributes.items()}
        )
        for node in graph.nodes
    ]
    values = {
        name: helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(tensor.dtype), shapes[name])
        for name, tensor in tensors.items()
    }
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    outputs = [value for name, value in values.items() if name not in inputs]
    content = helper.make_graph(nodes, "minidl", [values[name] for name in inputs], outputs, initializers)
    imports = [helper.make_opsetid("", opset)]
    # The oldest format that knows the opset: runtimes refuse newer ones than their own.
    version = helper.find_min_ir_version_for(imports)
    model = helper.make_model(content, opset_imports=imports, producer_name="minidl", ir_version=version)
    data = model.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    return data
