"""The floors of the house: who may import whom, read from the import statements of every file."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import minidl

PACKAGE = Path(minidl.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# From the ground up; rooms of one floor do not import one another.
FLOORS = (
    ("errors",),
    ("backend",),
    ("kernels",),
    ("autograd",),
    ("ops",),
    ("_tensor",),
    ("_factories",),
    ("nn", "optim", "data", "linalg"),
    ("fusion", "gpu_capture", "tape"),
    ("models", "capture", "utils"),
    ("train", "plot", "onnx"),
    ("_config",),
    ("__init__",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# Third parties that only some rooms may import, by path inside the package. All others (torch, ...): nobody.
ALLOWED: dict[str, tuple[str, ...]] = {
    "numpy": ("backend", "kernels", "_tensor", "_factories", "data", "train", "plot", "onnx", "_config"),
    "numba": ("kernels/cpu", "_config"),
    "llvmlite": ("kernels/cpu", "_config"),
    "cupy": ("backend",),
    "cupy_backends": ("backend",),
    "cuda": ("backend",),  # NVIDIA's cuda.pathfinder, which finds cuBLAS
    # Extras: imported where they are needed, so that the package works without them.
    "tqdm": ("train",),
    "matplotlib": ("plot", "train"),
    "sklearn": ("plot", "train"),
    "safetensors": ("train",),
    "PIL": ("plot", "train", "data"),
    "torchvision": ("data",),
    "onnx": ("onnx",),
}
EXTRAS = ("tqdm", "matplotlib", "sklearn", "safetensors", "PIL", "torchvision", "onnx", "cupy", "cupy_backends", "cuda")


class Import(NamedTuple):
    """One imported module: its dotted name, the line, whether it stands inside a function, and whether as a string."""

    module: str
    line: int
    late: bool
    dynamic: bool = False


def imports_of(source: str, path: Path) -> Iterator[Import]:
    """Every import of a file, also under ``if TYPE_CHECKING`` and inside functions and classes."""
    tree = ast.parse(source, str(path))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        late = id(node) in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, late)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            for alias in node.names:
                # ``from minidl import nn`` imports the room nn; ``from minidl.nn import Linear`` the room nn too
                yield Import(f"{node.module}.{alias.name}", node.lineno, late)
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
                yield Import(str(node.args[0].value), node.lineno, late, dynamic=True)


def room_of(path: Path) -> str:
    """The room a file belongs to: a folder of the package, or a file in it."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def complaints(source: str, path: Path) -> list[str]:
    """What a file does that the house forbids."""
    found = []
    room, place = room_of(path), path.relative_to(PACKAGE).as_posix()
    if room not in LEVEL:
        return [f"{place}: the room {room} is on no floor"]
    for module, line, late, dynamic in imports_of(source, path):
        where = f"{place}:{line}"
        parts = module.split(".")
        if parts[0] == "minidl":
            target = parts[1] if len(parts) > 1 else "__init__"
            if target not in LEVEL:
                target = "__init__"  # a public name taken from the top of the house
            if target != room and LEVEL[target] >= LEVEL[room]:
                found.append(f"{where}: {room} imports {target}, which is not below it")
            # a room may ask for a part of its own that can be missing, by name
            if late and not (dynamic and target == room):
                found.append(f"{where}: {module} is imported inside a function")
        elif parts[0] not in sys.stdlib_module_names:
            allowed = ALLOWED.get(parts[0], ())
            if room != "__init__" and not any(place.startswith((f"{a}/", f"{a}.py")) for a in allowed):
                found.append(f"{where}: {parts[0]} may not be imported here")
            if room == "__init__":
                found.append(f"{where}: the top imports only from the house")
            if parts[0] in EXTRAS and not late and parts[0] not in ("cupy", "cupy_backends", "cuda"):
                found.append(f"{where}: {parts[0]} is an extra: import it where it is needed")
            if late and not dynamic and parts[0] not in EXTRAS:
                found.append(f"{where}: {parts[0]} is imported inside a function")
        elif late:
            found.append(f"{where}: {module} is imported inside a function")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_down(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8"), path) == []


def test_plain_kernels_know_no_other_dialect() -> None:
    for path in (PACKAGE / "kernels" / "plain").glob("*.py"):
        for module, line, *_ in imports_of(path.read_text(encoding="utf-8"), path):
            assert not module.startswith("minidl.kernels.cpu"), f"{path.name}:{line}"


@pytest.mark.parametrize(
    ("place", "statement", "complaint"),
    [
        ("ops/conv.py", "from minidl import nn", "nn, which is not below"),
        ("ops/conv.py", "from minidl._tensor import Tensor", "_tensor, which is not below"),
        ("ops/conv.py", "import minidl.nn.functional", "nn, which is not below"),
        ("ops/conv.py", "import minidl", "__init__, which is not below"),
        ("ops/conv.py", "import numpy as np", "numpy may not"),
        ("autograd/engine.py", "from numpy import zeros", "numpy may not"),
        (
            "autograd/engine.py",
            "if TYPE_CHECKING:\n    from minidl._tensor import Tensor",
            "_tensor, which is not below",
        ),
        ("nn/linear.py", "from minidl.optim import SGD", "optim, which is not below"),
        ("optim/sgd.py", "from minidl.nn import Parameter", "nn, which is not below"),
        ("data/loader.py", "from minidl.nn import Module", "nn, which is not below"),
        ("kernels/plain/conv.py", "import numba", "numba may not"),
        ("kernels/cpu/conv.py", "import cupy", "cupy may not"),
        ("train/loop.py", "import torch", "torch may not"),
        ("train/loop.py", "import tqdm", "an extra"),
        ("train/loop.py", "def f():\n    from minidl import nn", "inside a function"),
        ("train/loop.py", "def f():\n    import json", "inside a function"),
        ("plot/curves.py", "from minidl.train import history", "train, which is not below"),
        ("nn/linear.py", "import importlib\nimportlib.import_module('torch')", "torch may not"),
        ("cellar/wine.py", "import os", "on no floor"),
    ],
)
def test_the_rules_can_be_broken(place: str, statement: str, complaint: str) -> None:
    assert any(complaint in found for found in complaints(statement, PACKAGE / place))


@pytest.mark.parametrize(
    ("place", "statement"),
    [
        ("ops/conv.py", "from minidl import kernels"),
        ("backend/gpu.py", "import cupy"),
        ("train/loop.py", "def f():\n    import tqdm"),
        ("train/loop.py", "from minidl.nn import Module"),
        ("nn/conv.py", "from minidl.nn.module import Module"),
    ],
)
def test_the_rules_allow(place: str, statement: str) -> None:
    assert complaints(statement, PACKAGE / place) == []
