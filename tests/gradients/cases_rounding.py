"""Whole numbers, remainders, angles, logarithms to other bases, logic, and steps that come together."""

from __future__ import annotations

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError

STEPS = "a function of steps"
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.25, -1e-9, 3.0])
SPECIAL = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan])

ROUNDING = [
    case
    for name in ("ceil", "floor", "trunc", "round")
    for case in (
        Case(
            f"{name}: halves",
            lambda d: (HALVES.copy(),),
            lambda m, x, n=name: getattr(m, n)(x) + x,
            gradcheck=STEPS,
        ),
        Case(
            f"{name}: method, zeros and infinities",
            lambda d: (SPECIAL.copy(),),
            lambda m, x, n=name: getattr(x, n)(),
            gradcheck=STEPS,
        ),
        Case(
            f"{name}: integers, in place",
            lambda d: (d.normal(3, 4), d.integers(-5, 5, 2, 3)),
            lambda m, x, i, n=name: (getattr(m, n)(i), getattr(x * 3, n + "_")() + x),
        ),
    )
]
ROUNDING += [
    Case(
        f"round: decimals {decimals}",
        lambda d: (d.normal(4, 5) * 100,),
        lambda m, x, n=decimals: m.round(x, decimals=n) + x.round(decimals=n),
        gradcheck=STEPS,
    )
    for decimals in (2, 0, -1)
]

REMAINDERS = [
    case
    for name in ("remainder", "fmod")
    for case in (
        Case(
            f"{name}: tensors of all signs",
            lambda d: (d.nonzero(4, 5) * 5, d.nonzero(4, 5)),
            lambda m, x, y, n=name: getattr(m, n)(x, y),
        ),
        Case(
            f"{name}: broadcast",
            lambda d: (d.nonzero(2, 1, 3) * 5, d.positive(4, 1)),
            lambda m, x, y, n=name: getattr(x, n)(y),
        ),
        Case(f"{name}: a number", lambda d: (d.nonzero(3, 4) * 5,), lambda m, x, n=name: getattr(x, n)(-1.25)),
        Case(
            f"{name}: zero, infinity, NaN",
            lambda d: (SPECIAL.copy(), np.array([2.0, 2.0, 0.0, 2.0, 3.0, 1.0])),
            lambda m, x, y, n=name: (getattr(m, n)(x, y), getattr(m, n)(y.detach(), x.detach())),
            gradcheck="NaN",
            second_order="NaN",
        ),
        Case(
            f"{name}: integers",
            lambda d: (d.normal(2), d.integers(-9, 9, 3, 4), d.integers(1, 5, 4)),
            lambda m, x, i, j, n=name: (getattr(m, n)(i, j), getattr(m, n)(i, -j), getattr(i, n)(3), x * 1.0),
        ),
    )
]
REMAINDERS += [
    Case(
        "remainder: a number first",
        lambda d: (d.nonzero(3, 4),),
        lambda m, x: 7.3 % x,
        twin=lambda m, x: m.remainder(m.full_like(x, 7.3), x),  # torch has no derivative of the other
    ),
    Case("remainder: %, %=", lambda d: (d.nonzero(3, 4) * 5, d.positive(3, 4)), lambda m, x, y: _modulo(x, y)),
]


def _modulo(x, y):  # type: ignore[no-untyped-def]
    z = x * 1
    z %= y
    return z + x % 2


ANGLES = [
    case
    for name, draw, shrink in (
        ("sin", "normal", 1.0),
        ("cos", "normal", 1.0),
        ("tan", "positive", 0.6),
        ("asin", "normal", 0.2),
        ("acos", "normal", 0.2),
        ("atan", "normal", 2.0),
        ("sinh", "normal", 1.0),
        ("cosh", "normal", 1.0),
        ("log2", "positive", 1.0),
        ("log10", "positive", 1.0),
    )
    for case in (
        Case(
            f"{name}: images",
            lambda d, r=draw, f=shrink: (getattr(d, r)(2, 3, 4) * f,),
            lambda m, x, n=name: getattr(m, n)(x),
        ),
        Case(
            f"{name}: method, 0-d and integers",
            lambda d, r=draw, f=shrink: (getattr(d, r)() * f, d.integers(0, 1, 3)),
            lambda m, x, i, n=name: (getattr(x, n)(), getattr(i, n)().to(x.dtype)),
        ),
        Case(
            f"{name}: zeros, infinities",
            lambda d: (np.array([0.0, 1.0, np.inf, -np.inf, np.nan, -2.0]),),
            lambda m, x, n=name: (getattr(x.detach(), n)(), x * 1.0),
            gradcheck="infinite",
        ),
    )
]
ATAN2 = [
    Case(
        "atan2: all quadrants",
        lambda d: (d.nonzero(4, 5), d.nonzero(4, 5)),
        lambda m, y, x: m.atan2(y, x),
    ),
    Case("atan2: broadcast", lambda d: (d.nonzero(3, 1), d.nonzero(4)), lambda m, y, x: y.atan2(x)),
    Case(
        "atan2: axes",
        lambda d: (np.array([0.0, 0.0, 1.0, -1.0, -0.0]), np.array([1.0, -1.0, 0.0, 0.0, -1.0])),
        lambda m, y, x: m.atan2(y, x),
        gradcheck="the cut",
    ),
    Case(
        "atan2: integers",
        lambda d: (d.normal(2), d.integers(-3, 3, 4)),
        lambda m, x, i: (m.atan2(i, i + 1).to(x.dtype), x * 1.0),
    ),
]
LOGIC = [
    Case(
        "isinf, isfinite",
        lambda d: (SPECIAL.copy(), d.integers(0, 3, 4)),
        lambda m, x, i: (m.isinf(x), x.isfinite(), m.isfinite(i), i.isinf(), x * 1.0),
        gradcheck="infinite",
    ),
    Case(
        "isclose",
        lambda d: (d.normal(3, 4), np.array([1e-9, 0.0, 2.0, np.nan]), d.integers(0, 2, 4)),
        lambda m, x, y, i: (
            m.isclose(x, x + 1e-7),
            x.isclose(y, rtol=0.5, atol=0.1),
            m.isclose(y, y, equal_nan=True),
            m.isclose(i, i.flip(0)),
            x * 1.0,
        ),
    ),
    *[
        Case(
            f"{name}",
            lambda d: (d.ties(3, 4), d.booleans(4), d.integers(0, 2, 3, 1)),
            lambda m, x, b, i, n=name: (getattr(m, n)(x, b), getattr(i, n)(x), getattr(b, n)(b), x * 1.0),
        )
        for name in ("logical_and", "logical_or", "logical_xor")
    ],
    Case(
        "logical_not",
        lambda d: (d.ties(3, 4), d.booleans(4), d.integers(0, 2, 3)),
        lambda m, x, b, i: (m.logical_not(x), b.logical_not(), i.logical_not(), x * 1.0),
    ),
]
COMBINED = [
    Case(
        "lerp: a number",
        lambda d: (d.normal(3, 4), d.normal(4)),
        lambda m, x, y: (m.lerp(x, y, 0.25), (x * 1).lerp_(y, 0.75)),
    ),
    Case(
        "lerp: a tensor",
        lambda d: (d.normal(3, 4), d.normal(3, 1), d.positive(4)),
        lambda m, x, y, w: x.lerp(y, w),
    ),
    *[
        Case(
            f"{name}: {what}",
            lambda d, s=shapes: (d.normal(*s[0]), d.normal(*s[1]), d.nonzero(*s[2])),
            lambda m, x, y, z, n=name: (
                getattr(m, n)(x, y, z),
                getattr(x, n)(y, z, value=-0.5),
                getattr(x * m.ones(3, 4, dtype=x.dtype), n + "_")(y, z, value=2),
            ),
        )
        for name in ("addcmul", "addcdiv")
        for what, shapes in (("one shape", ((3, 4),) * 3), ("broadcast", ((4,), (3, 1), (1, 4))))
    ],
    Case(
        "addmm",
        lambda d: (d.normal(3, 5), d.normal(3, 4), d.normal(4, 5)),
        lambda m, x, a, b: (m.addmm(x, a, b), x.addmm(a, b, beta=0.5, alpha=-2)),
    ),
    Case(
        "addmm: a row",
        lambda d: (d.normal(5), d.normal(3, 4), d.normal(4, 5)),
        lambda m, x, a, b: m.addmm(x, a, b, alpha=2),
    ),
    Case(
        "addmm: beta 0",
        lambda d: (np.full((3, 1), np.nan), d.normal(3, 4), d.normal(4, 2)),
        lambda m, x, a, b: m.addmm(x, a, b, beta=0),
    ),
    Case(
        "addmm: both 0",
        lambda d: (d.normal(3, 2), d.normal(3, 4), d.normal(4, 2)),
        lambda m, x, a, b: (m.addmm(x, a, b, alpha=0), m.addmm(x, a, b, beta=0, alpha=0)),
    ),
    Case(
        "addmm: alpha 0, NaN",
        lambda d: (d.normal(2), np.full((3, 4), np.nan), d.normal(4, 2)),
        lambda m, x, a, b: (m.addmm(x, a, b, alpha=0), m.addmm(x, a, b, beta=-1, alpha=0)),
        constant=(1, 2),
    ),
]

OPERATIONS = [
    Operation(
        "ceil, floor, trunc, round",
        ROUNDING,
        [
            Bad("bool", lambda m: m.ceil(m.ones(2) > 0), r"^ceil: .*bool", DTypeError),
            Bad("a list", lambda m: m.trunc([1.5]), r"^trunc: .*list", DTypeError),
            Bad("a fraction", lambda m: m.round(m.ones(2), decimals=0.5), r"^round: .*0\.5", DTypeError),
            Bad("integers", lambda m: m.round(m.arange(2), decimals=1), r"^round: .*int64", DTypeError),
        ],
    ),
    Operation(
        "remainder, fmod",
        REMAINDERS,
        [
            Bad("shapes", lambda m: m.remainder(m.ones(2), m.ones(3)), r"^remainder: .*\(3,\)", ShapeError),
            Bad("by 0", lambda m: m.arange(3) % 0, r"^remainder: .*0", ArgumentError),
            Bad("by zeros", lambda m: m.fmod(m.arange(3), m.arange(3)), r"^fmod: .*0", ArgumentError),
            Bad("bool", lambda m: m.remainder(m.ones(2) > 0, m.ones(2) > 0), r"^remainder: .*bool", DTypeError),
            Bad("a list", lambda m: m.fmod(m.ones(2), [1.0]), r"^fmod: .*list", DTypeError),
        ],
    ),
    Operation(
        "sin, cos, tan, their inverses, sinh, cosh, log2, log10",
        ANGLES,
        [
            Bad(name, lambda m, n=name: getattr(m, n)([1.0]), rf"^{name}: .*list", DTypeError)
            for name in ("tan", "asin", "acos", "atan", "sinh", "cosh", "log2", "log10")
        ],
    ),
    Operation(
        "atan2",
        ATAN2,
        [
            Bad("a number", lambda m: m.atan2(m.ones(2), 1.0), r"^atan2: .*float", DTypeError),
            Bad("a list", lambda m: m.atan2([1.0], m.ones(1)), r"^atan2: .*list", DTypeError),
            Bad("shapes", lambda m: m.atan2(m.ones(2), m.ones(3)), r"^atan2: .*\(3,\)", ShapeError),
            Bad("a string", lambda m: m.ones(2).atan2("x"), r"^atan2: .*str", DTypeError),
        ],
    ),
    Operation(
        "isinf, isfinite, isclose, logical_and, ...",
        LOGIC,
        [
            Bad("a list", lambda m: m.isinf([1.0]), r"^isinf: .*list", DTypeError),
            Bad("dtypes", lambda m: m.isclose(m.ones(2), m.arange(2)), r"^isclose: .*int64", DTypeError),
            Bad("shapes", lambda m: m.isclose(m.ones(2), m.ones(3)), r"^isclose: .*\(3,\)", ShapeError),
            Bad("a number", lambda m: m.logical_and(m.ones(2), 1), r"^logical_and: .*int", DTypeError),
            Bad("logic shapes", lambda m: m.logical_or(m.ones(2), m.ones(3)), r"^logical_or: .*\(3,\)", ShapeError),
        ],
    ),
    Operation(
        "lerp, addcmul, addcdiv, addmm",
        COMBINED,
        [
            Bad("integers", lambda m: m.lerp(m.arange(2), m.arange(2), 0.5), r"^lerp: .*int64", DTypeError),
            Bad("a list", lambda m: m.addcmul(m.ones(1), [1.0], m.ones(1)), r"^addcmul: .*list", DTypeError),
            Bad("integers to divide", lambda m: m.addcdiv(m.ones(2), m.arange(2), m.arange(2)), r"^addcdiv: .*int64"),
            Bad("no matrix", lambda m: m.addmm(m.ones(1), m.ones(2), m.ones(2, 1)), r"\(2,\)", ShapeError),
            Bad("inner", lambda m: m.addmm(m.ones(1), m.ones(2, 3), m.ones(2, 1)), r"\(2, 1\)", ShapeError),
            Bad("more axes", lambda m: m.addmm(m.ones(1, 2, 1), m.ones(2, 3), m.ones(3, 1)), r"^addmm: .*\(1, 2, 1\)"),
            Bad("rows", lambda m: m.addmm(m.ones(4, 1), m.ones(2, 3), m.ones(3, 1), beta=0), r"^addmm: .*\(4, 1\)"),
        ],
    ),
]
