"""Elementwise operations: operators with broadcasting, powers, comparisons that select, functions of one argument."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradients.case import Bad, Case, Draw, Operation
from minidl.errors import ShapeError

Inputs = Callable[[Draw], tuple[np.ndarray, ...]]

SHAPES: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("same shape", (2, 3, 4), (2, 3, 4)),
    ("row and column", (3, 1), (1, 4)),
    ("fewer axes on the right", (2, 3, 4), (3, 1)),
    ("fewer axes on the left", (4,), (2, 3, 4)),
    ("0-d on the right", (2, 3), ()),
    ("0-d on the left", (), (2, 3)),
    ("both 0-d", (), ()),
    ("empty", (0, 3), (3,)),
    ("length 1 meets empty", (1, 3), (0, 1)),
    ("images and channels", (2, 3, 4, 5), (1, 3, 1, 1)),
]


def pair(draw: str, left: tuple[int, ...], right: tuple[int, ...]) -> Inputs:
    return lambda d: (getattr(d, draw)(*left), getattr(d, draw)(*right))


def binary(name: str, function: Callable[..., Any], draw: str = "normal", scalar: float = 1.7) -> list[Case]:
    """The shapes of broadcasting, numbers on either side, one tensor on both, a 0-d tensor inside an expression."""

    def both(library: Any, x: Any, y: Any) -> Any:
        return function(x, y)

    cases = [Case(f"{name}: {shape}", pair(draw, left, right), both) for shape, left, right in SHAPES]
    return [
        *cases,
        Case(f"{name}: number on the right", lambda d: (getattr(d, draw)(2, 3),), lambda _, x: function(x, scalar)),
        Case(f"{name}: number on the left", lambda d: (getattr(d, draw)(2, 3),), lambda _, x: function(scalar, x)),
        Case(f"{name}: integer on the right", lambda d: (getattr(d, draw)(2, 3),), lambda _, x: function(x, 2)),
        Case(
            f"{name}: the same tensor twice",
            lambda d: (getattr(d, draw)(2, 3),),
            lambda _, x: function(x, x) + x * x,  # x / x alone has nothing but rounding for a gradient
        ),
        Case(f"{name}: 0-d in an expression", lambda d: (getattr(d, draw)(),), lambda _, x: function(x, 3.0) * x + 1.0),
        Case(
            f"{name}: integer tensor on the right",
            lambda d: (getattr(d, draw)(2, 3), d.integers(1, 4, 2, 3)),
            both,
        ),
    ]


def mismatched(name: str, function: Callable[..., Any]) -> list[Bad]:
    """Shapes that do not broadcast, and right sides that are no numbers."""
    return [
        Bad(
            "lengths 3 and 4",
            lambda m: function(m.zeros(2, 3), m.zeros(2, 4)),
            rf"^{name}: .*(2, 3).*(2, 4)",
            ShapeError,
        ),
        Bad("inner axis", lambda m: function(m.zeros(2, 3, 4), m.zeros(2, 4)), rf"^{name}: .*(2, 4)", ShapeError),
        Bad("lengths 2 and 0", lambda m: function(m.zeros(2), m.zeros(0)), rf"^{name}: .*(0,)", ShapeError),
    ]


def operator_type_errors(symbol: Callable[..., Any]) -> list[Bad]:
    """Operators leave foreign types to Python, which says so in its own words."""
    return [
        Bad("a dictionary", lambda m: symbol(m.zeros(2), {}), "dict", TypeError),
        Bad("None", lambda m: symbol(m.zeros(2), None), "NoneType", TypeError),
    ]


def unary(name: str, draw: str = "normal", shape: tuple[int, ...] = (2, 3, 4), **options: Any) -> list[Case]:
    """A tensor's method of no arguments, on ordinary, 0-d and empty tensors, and as a function of the library."""

    def method(_: Any, x: Any) -> Any:
        return getattr(x, name)()

    return [
        Case(f"{name}: {len(shape)} axes", lambda d: (getattr(d, draw)(*shape),), method, **options),
        Case(f"{name}: 0-d", lambda d: (getattr(d, draw)(),), method, **options),
        Case(
            f"{name}: 0-d in an expression",
            lambda d: (getattr(d, draw)(),),
            lambda _, x: method(_, x) * 3.0 + x,
            **options,
        ),
        Case(f"{name}: empty", lambda d: (getattr(d, draw)(0, 3),), method, **options),
        Case(f"{name}: images", lambda d: (getattr(d, draw)(2, 3, 4, 5),), lambda m, x: getattr(m, name)(x), **options),
    ]


def unary_bad(name: str) -> list[Bad]:
    """Anything but a tensor is refused by the function."""
    return [
        Bad("a list", lambda m: getattr(m, name)([1.0, 2.0]), rf"^{name}: .*list"),
        Bad("a string", lambda m: getattr(m, name)("x"), rf"^{name}: .*str"),
        Bad("None", lambda m: getattr(m, name)(None), rf"^{name}: .*None"),
        Bad("a NumPy array", lambda m: getattr(m, name)(np.ones(2)), rf"^{name}: .*ndarray"),
    ]


TIE = "a maximum has no derivative where both sides are equal: torch halves the gradient"
EDGE = "no derivative at the edge: torch takes the side that passes"

OPERATIONS = [
    Operation("add", binary("add", operator.add), mismatched("add", operator.add) + operator_type_errors(operator.add)),
    Operation("sub", binary("sub", operator.sub), mismatched("sub", operator.sub) + operator_type_errors(operator.sub)),
    Operation("mul", binary("mul", operator.mul), mismatched("mul", operator.mul) + operator_type_errors(operator.mul)),
    Operation(
        "div",
        binary("div", operator.truediv, draw="nonzero"),
        mismatched("div", operator.truediv) + operator_type_errors(operator.truediv),
    ),
    Operation(
        "neg",
        [
            Case("neg: operator", lambda d: (d.normal(2, 3),), lambda _, x: -x),
            Case("neg: 0-d", lambda d: (d.normal(),), lambda _, x: -x),
            Case("neg: empty", lambda d: (d.normal(0, 2),), lambda _, x: -x),
            Case("neg: function", lambda d: (d.normal(2, 3, 4, 5),), lambda m, x: m.neg(x)),
        ],
        unary_bad("neg"),
    ),
    Operation(
        "pow",
        [
            *binary("pow", operator.pow, draw="positive"),
            *[
                Case(f"pow: x ** {p}", lambda d: (d.nonzero(3, 4),), lambda _, x, p=p: x**p)
                for p in (-2, -1, 0, 1, 2, 3, 4.0)
            ],
            *[
                Case(f"pow: x ** {p} of positive x", lambda d: (d.positive(3, 4),), lambda _, x, p=p: x**p)
                for p in (-0.5, 0.5, 1.5, 2.5)
            ],
            *[
                Case(
                    f"pow: 0 ** {p}",
                    lambda d: (np.array([0.0, 1.0, -2.0]),),
                    lambda _, x, p=p: x**p,
                    gradcheck="checked against torch at the one point that matters",
                )
                for p in (0, 1, 2, 3)
            ],
            Case("pow: 2 ** x", lambda d: (d.normal(3, 4),), lambda _, x: 2**x),
            Case("pow: 0.5 ** x", lambda d: (d.normal(3, 4),), lambda _, x: 0.5**x),
            Case(
                "pow: 0 ** x",
                lambda d: (d.positive(3, 4),),
                lambda _, x: 0**x,
                gradcheck="0 everywhere",
                second_order="0 everywhere; torch has NaN",
            ),
            Case(
                "pow: base 0, exponent a tensor",
                lambda d: (np.array([0.0, 0.0, 2.0]), np.array([2.0, 3.0, 0.5])),
                lambda _, x, y: x**y,
                gradcheck="a base below 0 has no real power",
                second_order="torch has NaN at base 0",
            ),
            Case(
                "pow: negative base, whole exponents",
                lambda d: (np.array([-2.0, -0.5, 3.0]), np.array([2.0, 3.0, -1.0])),
                lambda _, x, y: x**y,
                constant=(1,),
            ),
        ],
        mismatched("pow", operator.pow) + operator_type_errors(operator.pow),
    ),
    Operation(
        "exp",
        [
            *unary("exp"),
            Case(
                "exp: large",
                lambda d: (np.array([-800.0, 0.0, 700.0]),),
                lambda _, x: x.exp(),
                gradcheck="overflow",
                float32=np.inf,
            ),
        ],
        unary_bad("exp"),
    ),
    Operation("log", unary("log", "positive"), unary_bad("log")),
    Operation("sqrt", unary("sqrt", "positive"), unary_bad("sqrt")),
    Operation(
        "abs",
        [
            *unary("abs", "nonzero"),
            Case("abs: at 0", lambda d: (np.array([-1.0, 0.0, 2.0]),), lambda _, x: abs(x), gradcheck=EDGE),
        ],
        unary_bad("abs"),
    ),
    Operation(
        "clamp",
        [
            Case("clamp: both", lambda d: (d.distinct(4, 5),), lambda _, x: x.clamp(-0.51, 0.52)),
            Case("clamp: min", lambda d: (d.distinct(4, 5),), lambda _, x: x.clamp(min=0.0)),
            Case("clamp: max", lambda d: (d.distinct(4, 5),), lambda _, x: x.clamp(max=0.0)),
            Case("clamp: function", lambda d: (d.distinct(2, 3, 4, 5),), lambda m, x: m.clamp(x, 0.01, 2.01)),
            Case(
                "clamp: at the edges",
                lambda d: (np.array([-1.0, 0.0, 0.5, 1.0, 2.0]),),
                lambda _, x: x.clamp(0, 1),
                gradcheck=EDGE,
            ),
            Case("clamp: min above max", lambda d: (d.distinct(4, 5),), lambda _, x: x.clamp(1.0, -1.0)),
            Case("clamp: empty", lambda d: (d.normal(0, 2),), lambda _, x: x.clamp(-1, 1)),
        ],
        [
            Bad("neither bound", lambda m: m.zeros(2).clamp(), r"^clamp: .*(min|max)"),
            Bad("a string", lambda m: m.zeros(2).clamp("0"), r"^clamp: .*str"),
            Bad("a list", lambda m: m.zeros(2).clamp(max=[1.0]), r"^clamp: .*list"),
            Bad("no tensor", lambda m: m.clamp([1.0], 0, 1), r"^clamp: .*list"),
        ],
    ),
    *[
        Operation(
            name,
            [
                *[
                    Case(
                        f"{name}: {shape}",
                        pair("normal", left, right),
                        lambda m, x, y, n=name: getattr(m, n)(x, y),
                    )
                    for shape, left, right in SHAPES
                ],
                Case(
                    f"{name}: method",
                    lambda d: (d.normal(2, 3), d.normal(2, 3)),
                    lambda _, x, y, n=name: getattr(x, n)(y),
                ),
                Case(
                    f"{name}: ties",
                    lambda d: (d.ties(4, 5), d.ties(4, 5)),
                    lambda m, x, y, n=name: getattr(m, n)(x, y),
                    gradcheck=TIE,
                ),
                Case(
                    f"{name}: NaN",
                    lambda d: (np.array([np.nan, 1.0, 2.0]), np.array([1.0, np.nan, 3.0])),
                    lambda m, x, y, n=name: getattr(m, n)(x, y),
                    gradcheck="NaN",
                ),
            ],
            [
                *mismatched(name, lambda x, y, n=name: getattr(x, n)(y)),
                Bad("a list", lambda m, n=name: getattr(m, n)(m.zeros(2), [1.0, 2.0]), rf"^{name}: .*list"),
            ],
        )
        for name in ("maximum", "minimum")
    ],
    Operation(
        "where",
        [
            Case(
                "where: same shape",
                lambda d: (d.booleans(2, 3), d.normal(2, 3), d.normal(2, 3)),
                lambda m, c, x, y: m.where(c, x, y),
            ),
            Case(
                "where: broadcasting",
                lambda d: (d.booleans(3, 1), d.normal(2, 1, 4), d.normal(4)),
                lambda m, c, x, y: m.where(c, x, y),
            ),
            Case("where: number", lambda d: (d.booleans(2, 3), d.normal(2, 3)), lambda m, c, x: m.where(c, x, 0.5)),
            Case(
                "where: number first", lambda d: (d.booleans(2, 3), d.normal(2, 3)), lambda m, c, x: m.where(c, 0.5, x)
            ),
            Case(
                "where: 0-d",
                lambda d: (d.booleans(2, 3), d.normal(), d.normal(2, 3)),
                lambda m, c, x, y: m.where(c, x, y),
            ),
            Case(
                "where: empty",
                lambda d: (d.booleans(0, 3), d.normal(3), d.normal(0, 1)),
                lambda m, c, x, y: m.where(c, x, y),
            ),
            Case(
                "where: a comparison", lambda d: (d.nonzero(2, 3), d.normal(2, 3)), lambda m, x, y: m.where(x > 0, x, y)
            ),
        ],
        [
            Bad("float condition", lambda m: m.where(m.zeros(2), m.zeros(2), m.zeros(2)), r"^where: .*bool.*float32"),
            Bad("shapes", lambda m: m.where(m.zeros(2) > 0, m.zeros(3), m.zeros(2)), r"^where: .*3", ShapeError),
            Bad(
                "condition's shape",
                lambda m: m.where(m.zeros(4) > 0, m.zeros(3), m.zeros(3)),
                r"^where: .*4",
                ShapeError,
            ),
            Bad("a string", lambda m: m.where(m.zeros(2) > 0, m.zeros(2), "0"), r"^where: .*str"),
        ],
    ),
    Operation(
        "tanh",
        [*unary("tanh"), Case("tanh: large", lambda d: (np.array([-900.0, 0.0, 900.0]),), lambda _, x: x.tanh())],
        unary_bad("tanh"),
    ),
    Operation(
        "sigmoid",
        [
            *unary("sigmoid"),
            Case("sigmoid: large", lambda d: (np.array([-900.0, 0.0, 900.0]),), lambda _, x: x.sigmoid()),
        ],
        unary_bad("sigmoid"),
    ),
]
