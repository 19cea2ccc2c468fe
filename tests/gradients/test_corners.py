"""Corners of the arguments, against torch: what the table of cases has no row for, with integers and bools as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import minidl
from gradients import checks
from gradients.case import Case, Draw

ARRAYS: dict[str, Callable[[Draw], np.ndarray]] = {
    "x": lambda d: d.normal(3, 4),
    "v": lambda d: d.normal(5),
    "z": lambda d: d.normal(2, 3, 6),
    "s": lambda d: d.normal(),
    "e": lambda d: d.normal(0, 3),
    "i": lambda d: d.integers(-3, 4, 3, 4),
    "b": lambda d: d.booleans(3, 4),
}


def case(name: str, letters: str, call: Callable[..., Any]) -> Case:
    """The letters say which of ARRAYS the call gets after the library."""

    def inputs(draw: Draw) -> Sequence[np.ndarray]:
        return [ARRAYS[letter](draw) for letter in letters]

    return Case(name, inputs, call)


def written(index: Any, value: Any = 7.0) -> Callable[..., Any]:
    """A copy with x[index] = value, by assignment."""

    def call(m: Any, x: Any) -> Any:
        y = x * 1
        y[tuple(m.tensor(i) if isinstance(i, (np.ndarray, np.generic)) else i for i in index)] = value
        return y

    return call


def changed(change: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A copy after a change in place, and what the change gave back."""

    def call(m: Any, x: Any) -> Any:
        y = x * 1
        return change(m, y), y

    return call


def in_place(operator: str, other: Any) -> Callable[..., Any]:
    def call(m: Any, x: Any) -> Any:
        y = alias = x.clone()
        scope = {"y": y, "other": other}
        exec(f"y {operator} other", scope)
        return scope["y"], alias

    return call


INDEXING = [
    case("a tensor without axes beside an index array", "x", lambda m, x: x[m.tensor(1), m.tensor([0, 2, 0])]),
    case("a tensor without axes behind an index array", "x", lambda m, x: x[m.tensor([0, 2, 0]), m.tensor(1)]),
    case("written beside an index array", "x", written((np.int64(1), np.array([0, 3])))),
    case("written into integers", "i", written((np.int64(1), np.array([0, 3])), 7)),
    case("a range", "x", lambda m, x: x[range(2)]),
    case("a tuple in a tuple", "x", lambda m, x: x[(0, 2), :]),
]
CHANGES = [
    case("relu_ of integers", "i", changed(lambda m, y: m.nn.functional.relu(y, inplace=True))),
    *[case(f"//= {other}", "i", in_place("//=", other)) for other in (2, -2)],
    case("//= of floats", "x", lambda m, x: in_place("//=", 0.3)(m, x.detach())),
    case("**=", "i", in_place("**=", 2)),
    *[case(f"{name} of integers", "i", in_place(name, 5)) for name in ("&=", "|=", "^=")],
    case("numbers before & | ^", "ib", lambda m, i, b: (6 & i, 6 | i, 6 ^ i, True & b, True | b, True ^ b)),
    case("lt, le, gt, ge as methods", "xi", lambda m, x, i: (x.lt(i), x.le(0.5), x.gt(i), i.ge(1))),
]


@pytest.mark.parametrize("case", [*INDEXING, *CHANGES], ids=lambda case: case.name)
def test_corner(case: Case) -> None:
    assert checks.forward(case) <= case.forward
    if any(np.asarray(array).dtype.kind == "f" for array in case.inputs(Draw(case.name))):
        outputs = checks.Run(minidl, case, case.inputs(Draw(case.name))).smooth_outputs
        assert not outputs or checks.first_order(case) <= case.gradient


def assign(x: Any, index: Any, value: Any) -> None:
    x[index] = value


REFUSED: list[tuple[str, Callable[[Any], Any], str]] = [
    ("None as value", lambda x: assign(x, 0, None), "^indexing: .*value.*None"),
    ("a step below 0", lambda x: assign(x, slice(None, None, -1), 1.0), "^indexing: .*step above 0.*flip"),
    ("a list of lists", lambda x: x[[[0, 1], [1, 2]]], r"^indexing: .*tuple\(index\)"),
    ("bytes as index", lambda x: x[minidl.tensor([1, 0, 1], dtype=minidl.uint8)], r"^indexing: .*uint8.*\.bool\(\)"),
    ("fill_ with many values", lambda x: x.fill_(minidl.ones(4)), "^fill_: .*copy_"),
    ("integers into bools", lambda x: (x > 0).add_(2), "^add_: .*bool.*int64"),
    ("floats into integers", lambda x: in_place("//=", 2.5)(None, x.long()), "^div_: .*int64.*float32"),
]


@pytest.mark.parametrize(("call", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(call: Callable[[Any], Any], says: str) -> None:
    with pytest.raises((minidl.ArgumentError, minidl.DTypeError, minidl.ShapeError), match=says):
        call(minidl.tensor(np.random.default_rng(0).standard_normal((3, 4))))
