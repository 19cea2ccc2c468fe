"""Sums, means, variances, extremes and where they stand, over all axes, one or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation

AXES: list[tuple[str, dict[str, Any]]] = [
    ("all", {}),
    ("dim 0", {"dim": 0}),
    ("dim -1", {"dim": -1}),
    ("dim 1, keepdim", {"dim": 1, "keepdim": True}),
    ("dims 0 and 2", {"dim": (0, 2)}),
    ("dims -1 and 0, keepdim", {"dim": (-1, 0), "keepdim": True}),
    ("all dims by name", {"dim": (0, 1, 2)}),
]

TIE = "ties have no derivative: torch shares the gradient among them"


def over_axes(name: str, draw: str = "normal", shape: tuple[int, ...] = (2, 3, 4), **options: Any) -> list[Case]:
    """A reduction over every kind of axes."""
    return [
        Case(
            f"{name}: {axes}",
            lambda d: (getattr(d, draw)(*shape),),
            lambda _, x, kw=kw: getattr(x, name)(**kw),
            **options,
        )
        for axes, kw in AXES
    ]


def bad_axes(name: str, several: bool = True) -> list[Bad]:
    """Axes that are not there, twice there, or no axes."""
    bad = [
        Bad("axis 3 of 3", lambda m: getattr(m.zeros(2, 3, 4), name)(dim=3), rf"^{name}: .*-3.*2.*3"),
        Bad("axis -4 of 3", lambda m: getattr(m.zeros(2, 3, 4), name)(dim=-4), rf"^{name}: .*-3.*2.*-4"),
        Bad("a string", lambda m: getattr(m.zeros(2, 3, 4), name)(dim="x"), rf"^{name}: .*str|^{name}: .*'x'"),
        Bad("a fraction", lambda m: getattr(m.zeros(2, 3, 4), name)(dim=1.0), rf"^{name}: .*(float|1\.0)"),
    ]
    if several:
        bad.append(Bad("an axis twice", lambda m: getattr(m.zeros(2, 3), name)(dim=(1, -1)), rf"^{name}: .*"))
    return bad


def extremes(name: str) -> list[Case]:
    """amax and amin: gradients shared among ties."""
    return [
        *over_axes(name, "distinct"),
        Case(f"{name}: ties, all", lambda d: (d.ties(3, 4),), lambda _, x: getattr(x, name)(), gradcheck=TIE),
        Case(f"{name}: ties, dim", lambda d: (d.ties(3, 4),), lambda _, x: getattr(x, name)(dim=1), gradcheck=TIE),
        Case(
            f"{name}: ties, dims",
            lambda d: (d.ties(3, 4, 2),),
            lambda _, x: getattr(x, name)(dim=(0, 2)),
            gradcheck=TIE,
        ),
        Case(f"{name}: empty batch", lambda d: (d.normal(0, 4),), lambda _, x: getattr(x, name)(dim=1)),
        Case(f"{name}: 0-d", lambda d: (d.normal(),), lambda _, x: getattr(x, name)()),
    ]


def selections(name: str) -> list[Case]:
    """max and min: a number over everything, values and indices along one axis."""
    return [
        Case(f"{name}: all", lambda d: (d.distinct(3, 4),), lambda _, x: getattr(x, name)()),
        Case(f"{name}: all, ties", lambda d: (d.ties(3, 4),), lambda _, x: getattr(x, name)(), gradcheck=TIE),
        Case(f"{name}: dim 0", lambda d: (d.distinct(3, 4, 2),), lambda _, x: getattr(x, name)(0)),
        Case(f"{name}: dim -1", lambda d: (d.distinct(3, 4, 2),), lambda _, x: getattr(x, name)(dim=-1)),
        Case(f"{name}: keepdim", lambda d: (d.distinct(3, 4, 2),), lambda _, x: getattr(x, name)(1, keepdim=True)),
        Case(
            f"{name}: ties",
            lambda d: (d.ties(6, 7),),
            lambda _, x: getattr(x, name)(dim=1),
            gradcheck="ties: the first wins",
        ),
        Case(
            f"{name}: NaN",
            lambda d: (np.array([[1.0, np.nan, 3.0], [2.0, 1.0, 0.0]]),),
            lambda _, x: getattr(x, name)(dim=1),
            gradcheck="NaN",
        ),
        Case(f"{name}: empty batch", lambda d: (d.normal(0, 4),), lambda _, x: getattr(x, name)(dim=1)),
        Case(f"{name}: named result", lambda d: (d.distinct(3, 4),), lambda _, x: getattr(x, name)(dim=1).values),
        Case(f"{name}: function of the library", lambda d: (d.distinct(3, 4),), lambda m, x: getattr(m, name)(x, 1)),
        Case(
            f"{name}: two tensors", lambda d: (d.normal(3, 4), d.normal(3, 4)), lambda m, x, y: getattr(m, name)(x, y)
        ),
    ]


def positions(name: str) -> list[Case]:
    """argmax and argmin: integers, compared exactly; the first of equals."""
    none = "an index has no derivative"
    no = {"gradcheck": none, "second_order": none}
    return [
        Case(f"{name}: all", lambda d: (d.normal(3, 4),), lambda _, x: (getattr(x, name)(), x * 1), **no),
        Case(f"{name}: dim 0", lambda d: (d.normal(3, 4),), lambda _, x: (getattr(x, name)(0), x * 1), **no),
        Case(
            f"{name}: keepdim",
            lambda d: (d.normal(3, 4, 2),),
            lambda _, x: (getattr(x, name)(dim=-2, keepdim=True), x * 1),
            **no,
        ),
        Case(
            f"{name}: ties",
            lambda d: (d.ties(6, 7),),
            lambda _, x: (getattr(x, name)(dim=1), getattr(x, name)(), x * 1),
            **no,
        ),
        Case(
            f"{name}: NaN",
            lambda d: (np.array([[1.0, np.nan, 3.0]]),),
            lambda _, x: (getattr(x, name)(dim=1), x * 1),
            **no,
        ),
        Case(f"{name}: function", lambda d: (d.normal(3, 4),), lambda m, x: (getattr(m, name)(x, dim=1), x * 1), **no),
    ]


def spreads(name: str) -> list[Case]:
    """var and std, with each way of saying what to divide by."""
    return [
        *over_axes(
            name, shape=(3, 5, 4)
        ),  # of two numbers the second derivative of std is 0, and its error all there is
        Case(f"{name}: correction 0", lambda d: (d.normal(3, 4),), lambda _, x: getattr(x, name)(dim=1, correction=0)),
        Case(f"{name}: correction 2", lambda d: (d.normal(3, 4),), lambda _, x: getattr(x, name)(dim=0, correction=2)),
        Case(
            f"{name}: one number",
            lambda d: (d.normal(1, 3),),
            lambda _, x: getattr(x, name)(dim=0),
            gradcheck="0 / 0",
            second_order="0 / 0",
        ),
        Case(f"{name}: far from 0", lambda d: (d.normal(30) + 1000.0,), lambda _, x: getattr(x, name)(), float32=1e-2),
        Case(f"{name}: function", lambda d: (d.normal(3, 4),), lambda m, x: getattr(m, name)(x, 1)),
    ]


OPERATIONS = [
    Operation(
        "sum",
        [
            *over_axes("sum"),
            Case("sum: empty", lambda d: (d.normal(0, 3),), lambda _, x: x.sum()),
            Case("sum: empty axis", lambda d: (d.normal(0, 3),), lambda _, x: x.sum(0)),
            Case("sum: 0-d", lambda d: (d.normal(),), lambda _, x: x.sum()),
            Case("sum: list of dims", lambda d: (d.normal(2, 3, 4),), lambda _, x: x.sum([0, 1])),
            Case("sum: function", lambda d: (d.normal(2, 3, 4),), lambda m, x: m.sum(x, dim=1)),
            Case("sum: long", lambda d: (d.normal(3000),), lambda _, x: x.sum(), float32=1e-4),
            Case(
                "sum: integers",
                lambda d: (d.integers(0, 9, 3, 4), d.normal(4)),
                lambda _, x, y: (x.sum(), x.sum(dim=1), y * 1),
            ),
            Case(
                "sum: booleans",
                lambda d: (d.booleans(3, 4), d.normal(4)),
                lambda _, x, y: (x.sum(), x.sum(dim=1), y * 1),
            ),
        ],
        bad_axes("sum"),
    ),
    Operation(
        "mean",
        [
            *over_axes("mean"),
            Case("mean: 0-d", lambda d: (d.normal(),), lambda _, x: x.mean()),
            Case("mean: empty batch", lambda d: (d.normal(0, 3),), lambda _, x: x.mean(dim=1)),
            Case(
                "mean: of nothing",
                lambda d: (d.normal(0),),
                lambda _, x: x.mean(),
                gradcheck="0 / 0",
                second_order="0 / 0",
            ),
            Case("mean: function", lambda d: (d.normal(2, 3),), lambda m, x: m.mean(x, 0)),
        ],
        [*bad_axes("mean"), Bad("integers", lambda m: m.zeros(3, dtype=m.int64).mean(), r"^mean: .*int64")],
    ),
    Operation(
        "var",
        spreads("var"),
        [*bad_axes("var"), Bad("integers", lambda m: m.zeros(3, dtype=m.int64).var(), r"^var: .*int64")],
    ),
    Operation(
        "std",
        [
            *spreads("std"),
            Case(
                "std: equal numbers in one row",
                lambda d: (np.where(np.arange(4)[:, None] == 2, 0.5, d.normal(4, 3)),),
                lambda _, x: x.std(dim=1),
                gradcheck="a root at 0: torch takes 0",
                second_order="a root at 0",
            ),
        ],
        [*bad_axes("std"), Bad("integers", lambda m: m.zeros(3, dtype=m.int64).std(), r"^std: .*int64")],
    ),
    *[
        Operation(
            name,
            extremes(name),
            [*bad_axes(name), Bad("nothing", lambda m, n=name: getattr(m.zeros(0, 3), n)(dim=0), rf"^{name}: .*")],
        )
        for name in ("amax", "amin")
    ],
    *[
        Operation(
            name,
            selections(name),
            [
                *bad_axes(name, several=False),
                Bad("nothing", lambda m, n=name: getattr(m.zeros(0), n)(), rf"^{name}: .*"),
            ],
        )
        for name in ("max", "min")
    ],
    *[
        Operation(
            name,
            positions(name),
            [
                *bad_axes(name, several=False),
                Bad("nothing", lambda m, n=name: getattr(m.zeros(0), n)(), rf"^{name}: .*"),
            ],
        )
        for name in ("argmax", "argmin")
    ],
]
