"""The core can be read in an afternoon: which files it is made of, that the list is complete, and how long it is.

``CORE`` is what the project is about: the tensor, the engine, the ten layers it is named for and their modules, SGD and
Adam. ``GROUND`` is what the core stands on in a training step: elementary operations, the tree of modules, the making
of tensors. Below both lie ``errors``, ``backend`` and ``kernels``, where speed is the subject; beside them what a
training step does not touch: further operations, layers and optimizers, and tools that find mistakes. A step that runs
code of any other file makes the list incomplete, and the test fails. Two counts are held: of all lines, and of lines of
code, which leaves out docstrings, comments and blank lines.
"""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import minidl
from minidl import Tensor

PACKAGE = Path(minidl.__file__).parent

CORE = {
    "tensor": [
        "_tensor/__init__.py",
        "_tensor/conversions.py",
        "_tensor/description.py",
        "_tensor/graph.py",
        "_tensor/methods.py",
        "_tensor/operators.py",
        "_tensor/tensor.py",
        "_tensor/writing.py",
    ],
    "engine": ["autograd/base.py", "autograd/engine.py", "autograd/function.py", "autograd/modes.py"],
    "layers": [
        "nn/activation.py",
        "nn/conv.py",
        "nn/dropout.py",
        "nn/loss.py",
        "nn/normalization.py",
        "nn/pooling.py",
        "ops/activation.py",
        "ops/conv.py",
        "ops/dropout.py",
        "ops/loss.py",
        "ops/loss_regression.py",
        "ops/normalization.py",
        "ops/pooling.py",
        "ops/windows.py",
    ],
    "SGD and Adam": ["optim/adam.py", "optim/optimizer.py", "optim/sgd.py"],
}
GROUND = {
    "elementary operations": [
        "ops/arithmetic.py",
        "ops/broadcasting.py",
        "ops/indexing.py",
        "ops/keywords.py",
        "ops/matmul.py",
        "ops/promotion.py",
        "ops/reduction.py",
        "ops/shape.py",
    ],
    "modules": [
        "nn/arguments.py",
        "nn/containers.py",
        "nn/init.py",
        "nn/linear.py",
        "nn/module.py",
        "nn/parameter.py",
        "nn/shape.py",
        "nn/tree.py",
    ],
    "making tensors": ["_factories.py", "_tensor/drawing.py"],
    "optimizers": ["optim/counters.py", "optim/gathered.py", "optim/settings.py"],
}

# What is reached, rounded up a little: whoever adds to the core takes something else out of it, or says here why not.
MOST_LINES = {"core": 3850, "core and ground": 6650}
MOST_CODE = {"core": 2750, "core and ground": 4650}

# Of the tensor's classes, these are its wider range; a training step needs none of them.
WIDER = {"InPlace", "Making", "Mathematics", "Protocols"}

STEP = """
import json, sys
from pathlib import Path

import minidl
from minidl import nn

package = Path(minidl.__file__).parent
seen = set()

def look(frame, event, argument):
    if event == "call" and frame.f_code.co_name != "<module>":
        seen.add(frame.f_code.co_filename)

sys.setprofile(look)
net = nn.Sequential(
    nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2),
    nn.Conv2d(4, 4, 3), nn.LeakyReLU(0.1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 10),
)
images, labels = minidl.randn(2, 3, 8, 8), minidl.tensor([1, 2])
for optimizer in (minidl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), minidl.optim.Adam(net.parameters())):
    for _ in range(2):
        optimizer.zero_grad()
        scores = net(images)
        loss = nn.CrossEntropyLoss()(scores, labels) + nn.MSELoss()(scores, minidl.zeros(2, 10))
        loss.backward()
        optimizer.step()
loss.item()
sys.setprofile(None)
print(json.dumps([str(Path(f).relative_to(package)) for f in seen if Path(f).is_relative_to(package)]))
"""


def files_of(parts: dict[str, list[str]]) -> list[str]:
    """The files of all parts."""
    return [file for files in parts.values() for file in files]


def lines_of(file: str) -> int:
    """How many lines a file has."""
    return len((PACKAGE / file).read_text(encoding="utf-8").splitlines())


def code_of(source: str) -> int:
    """How many lines hold code: no docstrings, no comments, no blank lines."""
    strings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    none = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {line for token in tokens if token.type not in none for line in range(token.start[0], token.end[0] + 1)}
    return len(code - strings)


def complaints(ran: list[str], listed: list[str]) -> list[str]:
    """The files that ran above the kernels, and are on no list."""
    below = ("backend/", "kernels/")
    return sorted(file for file in ran if not file.startswith(below) and file not in listed)


@pytest.fixture(scope="module")
def ran() -> list[str]:
    """The files of the package of which a training step runs some function."""
    child = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True, env=os.environ)
    files: list[str] = json.loads(child.stdout.splitlines()[-1])
    return files


def test_a_training_step_runs_nothing_else(ran: list[str]) -> None:
    assert complaints(ran, files_of(CORE) + files_of(GROUND)) == []


@pytest.mark.parametrize("missing", ["ops/conv.py", "autograd/engine.py", "optim/adam.py", "nn/tree.py"])
def test_a_file_that_is_not_listed_is_noticed(ran: list[str], missing: str) -> None:
    listed = [file for file in files_of(CORE) + files_of(GROUND) if file != missing]
    assert complaints(ran, listed) == [missing]


def test_the_lists_hold_no_file_twice_and_none_that_a_step_leaves_alone(ran: list[str]) -> None:
    listed = files_of(CORE) + files_of(GROUND)
    assert len(set(listed)) == len(listed)
    # The tensor's other methods are read with it; the package's own file and its conversions run no function here.
    assert set(listed) - set(ran) == {"_tensor/__init__.py", "_tensor/conversions.py", "_tensor/methods.py"}


def test_the_tensor_is_listed_whole() -> None:
    homes = {
        cls.__name__: Path(sys.modules[cls.__module__].__file__ or "").relative_to(PACKAGE).as_posix()
        for cls in Tensor.__mro__
        if cls is not object
    }
    assert {name for name, home in homes.items() if home not in files_of(CORE)} == WIDER


@pytest.mark.parametrize("name", MOST_LINES)
def test_the_core_stays_small(name: str) -> None:
    files = files_of(CORE) + (files_of(GROUND) if name != "core" else [])
    lines = sum(map(lines_of, files))
    code = sum(code_of((PACKAGE / file).read_text(encoding="utf-8")) for file in files)
    for count, most in ((lines, MOST_LINES[name]), (code, MOST_CODE[name])):
        assert count <= most, f"{name}: {lines} lines, {code} of code"
        assert count > most - 200, f"{name}: only {lines} lines, {code} of code; lower the bound"


def test_lines_of_code_are_counted() -> None:
    function = 'def f():\n    """One."""\n    return """a\nb"""\n'  # a string of two lines that is no docstring
    assert code_of('"""Two\nlines."""\n\nx = (1,\n     2)  # two lines\n# a comment\n\n\n' + function) == 5
