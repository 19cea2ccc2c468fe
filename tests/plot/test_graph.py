"""The graph as Graphviz text: operations, leaves by name, shapes on the arrows; drawn where ``dot`` is installed."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import pytest

import minidl
from minidl import nn, plot
from minidl.errors import ArgumentError, DTypeError, GraphError

NODE = re.compile(r'^  (\w+) \[label="([^"]*)"')
ARROW = re.compile(r'^  (\w+) -> (\w+)(?: \[label="([^"]*)"\])?$')


def parsed(text: str) -> tuple[dict[str, str], list[tuple[str, str, str | None]]]:
    """The labels of the nodes, and the arrows as (from, to, label) by those labels."""
    lines = text.splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    nodes = {m[1]: m[2] for line in lines if (m := NODE.match(line)) and m[1] not in ("graph", "node", "edge")}
    arrows = [(nodes[m[1]], nodes[m[2]], m[3]) for line in lines if (m := ARROW.match(line))]
    return nodes, arrows


def test_a_small_graph() -> None:
    a, b = minidl.ones(2, 3, requires_grad=True), minidl.ones(3, requires_grad=True)
    nodes, arrows = parsed(plot.graph(((a * b) * minidl.ones(2, 3)).sum(), {"weight": a, "bias": b}.items()))
    assert sorted(nodes.values()) == sorted(["output\\nscalar", "Sum", "Mul", "Mul", "weight\\n2 × 3", "bias\\n3"])
    assert set(arrows) == {
        ("Sum", "output\\nscalar", None),
        ("Mul", "Sum", "2 × 3"),
        ("Mul", "Mul", "2 × 3"),
        ("weight\\n2 × 3", "Mul", "2 × 3"),
        ("bias\\n3", "Mul", "3"),
    }


def test_a_network_with_its_parameters() -> None:
    net = minidl.models.LeNet()
    x, y = minidl.randn(2, 3, 32, 32), minidl.tensor([0, 1])
    nodes, arrows = parsed(plot.graph(nn.functional.cross_entropy(net(x), y), net.named_parameters()))
    for name, parameter in net.named_parameters():
        assert f"{name}\\n{' × '.join(map(str, parameter.shape))}" in nodes.values()
    assert ("Conv2d", "ReLU", "2 × 6 × 28 × 28") in arrows
    assert sum(label == "MaxPool2d" for label in nodes.values()) == 2


def test_a_leaf_used_twice_is_drawn_once_and_a_deep_graph_does_not_overflow() -> None:
    x = minidl.ones(2, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + x
    nodes, arrows = parsed(plot.graph(y))
    assert list(nodes.values()).count("leaf\\n2") == 1
    assert len(nodes) == 3002
    assert len(arrows) == 6001


def test_several_outputs_and_names_with_quotes() -> None:
    x = minidl.ones(2, requires_grad=True)
    nodes, _ = parsed(plot.graph([x * 2, (x * 3).sum()]))
    assert {"output 0\\n2", "output 1\\nscalar"} <= set(nodes.values())
    assert r'label="a \"b\" \\\n2"' in plot.graph(x * 2, [('a "b" \\', x)])


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = minidl.ones(2, requires_grad=True).sum()
    text = plot.graph(loss, path=tmp_path / "g.dot")
    assert (tmp_path / "g.dot").read_text(encoding="utf-8") == text
    with pytest.raises(ArgumentError, match=r"plot.graph: .*g\.jpeg"):
        plot.graph(loss, path=tmp_path / "g.jpeg")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArgumentError, match=r"the program dot, to draw g\.svg.*Graphviz"):
        plot.graph(loss, path=tmp_path / "g.svg")
    # A program of that name which gives back its arguments and its input.
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\necho "$@"\nexec /bin/cat\n')
    dot.chmod(dot.stat().st_mode | stat.S_IXUSR)
    plot.graph(loss, path=tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8") == f"-Tsvg\n{text}"


@pytest.mark.parametrize(
    ("output", "error", "says"),
    [
        (lambda: minidl.ones(2), GraphError, "a leaf"),
        (lambda: minidl.ones(2, requires_grad=True), GraphError, "a leaf"),
        (lambda: (minidl.ones(2, requires_grad=True) * 2).detach(), GraphError, "no_grad"),
        (lambda: 1.0, DTypeError, "float"),
    ],
)
def test_bad_calls(output: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=rf"^plot.graph: .*{says}"):
        plot.graph(output())
