"""The graph behind a tensor, as Graphviz draws it: operations, what flows between them, parameters by name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd.base import BaseTensor
from minidl.errors import ArgumentError, DTypeError, GraphError

__all__ = ["graph"]


def graph(
    output: Any, parameters: Iterable[tuple[str, Tensor]] | None = None, path: str | os.PathLike[str] | None = None
) -> str:
    """The graph that made a tensor, in Graphviz's language: boxes are operations, arrows carry the shapes that flow.

    output: a tensor with a graph, such as the loss, or a sequence of them; before or after backward. parameters:
    pairs (name, tensor), such as ``model.named_parameters()``, to call the leaves by their names; others are called
    "leaf". path: where to write it, too: ``.dot`` or ``.gv`` as text; ``.svg``, ``.png`` or ``.pdf`` drawn by the
    program ``dot``. Returns the text. Raises GraphError (no graph), ArgumentError (``dot`` is missing, or an unknown
    ending), DTypeError.
    """
    outputs = list(output) if isinstance(output, (tuple, list)) else [output]
    for tensor in outputs:
        if not isinstance(tensor, BaseTensor):
            raise DTypeError("plot.graph", expected="a Tensor or several", got=type(tensor).__name__)
        if tensor._edge is None:
            raise GraphError(
                "plot.graph", expected="the result of a recorded operation", got="a leaf, or a result under no_grad"
            )
    names = {id(tensor): name for name, tensor in parameters or ()}
    text = "\n".join(["digraph {", *_HEAD, *_lines(outputs, names), "}"]) + "\n"
    if path is not None:
        _write(text, Path(path))
    return text


_HEAD = [
    '  graph [rankdir=TB, fontname="Helvetica"]',
    '  node [shape=box, style="filled,rounded", fillcolor="#EDEDED", fontname="Helvetica", fontsize=11]',
    '  edge [fontname="Helvetica", fontsize=9, color="#555555"]',
]
_LEAF, _OUTPUT = "#BFD9EC", "#CDE8D5"  # fill colours of leaves and of what the graph ends in


def _shape(shape: Any) -> str:
    return " × ".join(map(str, shape)) if len(shape) else "scalar"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _lines(outputs: list[Any], names: dict[int, str]) -> list[str]:
    """A line for every operation, leaf and output, and one for every arrow; without recursion, however deep it is."""
    lines: list[str] = []
    numbers: dict[int, str] = {}
    stack: list[Any] = []

    def place(target: Any) -> str:
        """The identifier of an operation or a leaf, which gets its line when it is first met."""
        known = numbers.get(id(target))
        if known is not None:
            return known
        numbers[id(target)] = identifier = f"n{len(numbers)}"
        if isinstance(target, BaseTensor):
            label = f"{names.get(id(target), 'leaf')}\n{_shape(target.data.shape)}"
            lines.append(f'  {identifier} [label={_quoted(label)}, fillcolor="{_LEAF}"]')
        else:
            lines.append(f"  {identifier} [label={_quoted(target.name)}]")
            stack.append(target)
        return identifier

    for i, tensor in enumerate(outputs):
        label = f"{'output' if len(outputs) == 1 else f'output {i}'}\n{_shape(tensor.data.shape)}"
        lines.append(f'  out{i} [label={_quoted(label)}, fillcolor="{_OUTPUT}"]')
        lines.append(f"  {place(tensor._edge[0])} -> out{i}")
    while stack:
        node = stack.pop()
        for edge, shape in zip(node._edges, node._input_shapes):
            if edge is not None:
                lines.append(f"  {place(edge[0])} -> {place(node)} [label={_quoted(_shape(shape))}]")
    return lines


def _write(text: str, path: Path) -> None:
    ending = path.suffix.lower()
    if ending in (".dot", ".gv"):
        path.write_text(text, encoding="utf-8")
        return
    if ending not in (".svg", ".png", ".pdf"):
        raise ArgumentError("plot.graph", expected="a path that ends in .dot, .gv, .svg, .png or .pdf", got=str(path))
    program = shutil.which("dot")
    if program is None:
        raise ArgumentError(
            "plot.graph",
            expected=f"the program dot, to draw {path.name}",
            got="none installed",
            hint="Install Graphviz, or write a .dot file and draw it elsewhere.",
        )
    drawn = subprocess.run([program, f"-T{ending[1:]}"], input=text.encode(), capture_output=True, check=True)
    path.write_bytes(drawn.stdout)
