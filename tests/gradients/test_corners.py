"""Corners of the arguments, against torch: what the table of cases has no row for, with integers and bools as well."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

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


def rounded(mode: str) -> Callable[..., Any]:
    """Quotients of integers, bytes and floats by numbers of either kind."""

    def call(m: Any, x: Any, i: Any) -> Any:
        x = x.detach()
        pairs = [(i, 2.5), (i, -2), (i.byte(), 7), (x, 0), (x, -0.3), (7, i * 2 + 1), (i, i * 2 - 1)]
        return [m.div(m.tensor(a) if isinstance(a, int) else a, b, rounding_mode=mode) for a, b in pairs]

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
ARITHMETIC = [
    *[case(f"rounded division: {mode}", "xi", rounded(mode)) for mode in ("floor", "trunc")],
    case("integers to powers of both signs", "i", lambda m, i: i ** i.flip(0)),
    case("a number to integer powers of both signs", "i", lambda m, i: (2**i, (-1) ** i, 0**i, 1**i)),
    case("sign", "xib", lambda m, x, i, b: ((x / 0 * 0).sign(), i.sign(), b.sign(), (x * float("inf")).sign())),
    case("abs at NaN", "x", lambda m, x: m.where(x > 0, x * float("nan"), x).abs() * 0),
]
REDUCTIONS = [
    case("no axis for any and all", "xb", lambda m, x, b: (x.any(dim=()), b.all(dim=()), b.any(()))),
    case("bytes for any and all", "i", lambda m, i: (i.byte().any(), i.byte().all(0), i.byte().any(1, True))),
    *[
        case(
            f"{name} as {dtype}",
            "xi",
            lambda m, x, i, name=name, dtype=dtype: [
                getattr(v, name)(0, dtype=getattr(m, dtype)) for v in (x.detach(), i, i[:0] if name == "prod" else i)
            ],
        )
        for name in ("cumsum", "prod")
        for dtype in ("int32", "uint8", "float32")
    ],
    case(
        "var with a correction above the number",
        "v",
        lambda m, v: (v.detach().var(correction=9), v.detach().std(correction=9)),
    ),
    case("maximum of a number along its axis", "s", lambda m, s: (*s.max(0), s.argmax(-1))),
]
SHAPES = [
    case("squeeze of no axis", "x", lambda m, x: x.unsqueeze(0).squeeze(())),
    case("flip", "z", lambda m, z: (z.flip(()), z.flip(0, 2), z.flip(-1), m.flip(z, dims=(0, 1)))),
    case("parts of nothing", "e", lambda m, e: (*e.chunk(3), *e.split(0), *e.split(2))),
    case(
        "nothing among what is joined",
        "x",
        lambda m, x: (m.cat([m.zeros(0, dtype=x.dtype), x, x]), m.cat([x[0][:0]] * 2)),
    ),
    case(
        "gather by an index without axes, and by nothing",
        "vx",
        lambda m, v, x: (v.gather(0, m.tensor(3)), x.gather(1, m.zeros(0, 9, dtype=m.int64))),
    ),
    case("triangles of bools", "b", lambda m, b: (b.tril(), b.triu(1))),
    case("a linear layer of one unit", "xz", lambda m, x, z: m.nn.functional.linear(z[..., :4], x[0])),
    *[
        case(
            f"interpolate by a factor that changes no length: {mode}, antialias={smooth}",
            "z",
            lambda m, z, mode=mode, smooth=smooth: m.nn.functional.interpolate(
                z.detach()[None] if smooth else z[None],  # torch's gradient is not that of its forward there
                scale_factor=(1.1, 1.5),
                mode=mode,
                antialias=smooth,
            ),
        )
        for mode in ("bilinear", "bicubic")
        for smooth in (False, True)
    ],
    case("interpolate to the same size", "z", lambda m, z: m.nn.functional.interpolate(z, size=6, mode="linear")),
    case("a circular border that cuts", "z", lambda m, z: m.nn.functional.pad(z, (-1, 2), "circular")),
    case("cosine of short vectors", "xx", lambda m, x, y: m.nn.functional.cosine_similarity(x, y.flip(0), eps=1.9)),
]
FACTORIES = [
    case(
        "wide numbers in a list", "x", lambda m, x: (m.tensor([x.detach()[0, 0], 1.0]), m.tensor([[x.detach()[0, 1]]]))
    ),
    case(
        "arange of tensors", "s", lambda m, s: (m.arange(m.tensor(3)), m.arange(0.5, m.tensor(3)), m.tensor(-1).byte())
    ),
    case("below 0 in bytes", "s", lambda m, s: m.tensor([-1, 255], dtype=m.uint8)),
]


@pytest.mark.parametrize(
    "case", [*FACTORIES, *INDEXING, *CHANGES, *ARITHMETIC, *REDUCTIONS, *SHAPES], ids=lambda case: case.name
)
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
    ("an integer divided by 0", lambda x: x.long() // 0, "^div: .*other than 0"),
    ("bool minus", lambda x: 1 - (x > 0), "^sub: .*bool.*~"),
    ("minus True", lambda x: x - True, "^sub: .*bool"),
    ("a fraction of integers", lambda x: minidl.add(x.long(), x.long(), alpha=0.5), "^add: .*integer as alpha"),
    ("True as alpha", lambda x: minidl.sub(x, x, alpha=True), "^sub: .*alpha.*True"),
    ("numbers too large for bytes", lambda x: minidl.tensor([300], dtype=minidl.uint8), "^tensor: .*fit uint8.*300"),
    ("random integers from randn", lambda x: minidl.randn(2, dtype=minidl.int64), "^randn: .*floating-point.*int64"),
    ("random integers from uniform_", lambda x: x.long().uniform_(), "^uniform_: .*int64"),
    ("eye below 0", lambda x: minidl.eye(-1), "^eye: .*at least 0"),
    ("randperm below 0", lambda x: minidl.randperm(-1), "^randperm: .*at least 0"),
    ("the size of a number's axis", lambda x: x.sum().size(0), "^size: .*at least one axis"),
    ("more cut off than there is", lambda x: minidl.nn.functional.pad(x, (7, -5)), "^pad: .*no more cut off"),
    ("a number too large", lambda x: x.byte() + 300, "^add: .*300"),
    ("two axes for max", lambda x: x.max((0, 1)), "^max: .*one integer"),
    ("two axes for argmin", lambda x: x.argmin((0, 1)), "^argmin: .*one integer"),
    ("an axis that a number lacks", lambda x: x.sum().argmax(1), "^argmax: .*dim between"),
    ("parts of a number", lambda x: x.sum().split(1), "^split: .*at least one axis"),
    ("two axes for unsqueeze", lambda x: x.unsqueeze((0, 1)), "^unsqueeze: .*one integer"),
    ("integers into bools", lambda x: (x > 0).add_(2), "^add_: .*bool.*int64"),
    ("a tensor as diagonal", lambda x: x.tril(x), "^tril: .*diagonal as an integer"),
    ("a tensor as value of full_like", lambda x: minidl.full_like(x, x), r"^full_like: .*a number.*\(3, 4\)"),
    ("None as value of full", lambda x: minidl.full((2,), None), "^full: .*a number.*None"),
    ("a tensor as end of linspace", lambda x: minidl.linspace(0, x, 3), r"^linspace: .*end as a number.*\(3, 4\)"),
    ("a tensor as tolerance", lambda x: x.isclose(x, rtol=x), "^isclose: .*rtol and atol as numbers"),
    ("a tolerance below 0", lambda x: minidl.allclose(x, x, atol=-1.0), "^allclose: .*at least 0.*-1.0"),
    ("floats into integers", lambda x: in_place("//=", 2.5)(None, x.long()), "^div_: .*int64.*float32"),
]


@pytest.mark.parametrize(("call", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(call: Callable[[Any], Any], says: str) -> None:
    with pytest.raises((minidl.ArgumentError, minidl.DTypeError, minidl.ShapeError), match=says):
        call(minidl.tensor(np.random.default_rng(0).standard_normal((3, 4))))


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.float16(2), np.int64(2), np.uint8(2)])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "pow", "lt"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8"])
def test_numbers_of_numpy_count_as_pythons(name: str, number: Any, dtype: str) -> None:
    values = np.array([1, 2, 3], dtype)
    calculate = getattr(operator, name)
    got, expected = calculate(minidl.tensor(values), number), calculate(torch.from_numpy(values), number).numpy()
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got.numpy(), expected)
    chosen = torch.where(torch.tensor([True, False]), number, 1)
    assert minidl.where(minidl.tensor([True, False]), number, 1).dtype == chosen.numpy().dtype
