"""Elements picked by place, mask and order; scattered, repeated; integers as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from gradients.cases_accumulation import many
from minidl.errors import ArgumentError, DTypeError, ShapeError

MASKED = [
    Case(
        f"masked_fill: {what}",
        lambda d, s=shape, n=mask: (d.normal(*s), d.booleans(*n)),
        lambda m, x, mask, v=value: x.masked_fill(mask, v),
    )
    for what, shape, mask, value in (
        ("a number", (3, 4), (3, 4), 2.5),
        ("a mask of fewer axes", (2, 3, 4), (4,), -1),
        ("an input of fewer axes", (4,), (3, 4), True),
        ("empty", (0, 3), (0, 3), 1.0),
        ("0-d", (), (), 3.0),
    )
]
MASKED += [
    Case(
        "masked_fill: a tensor",
        lambda d: (d.normal(3, 4), d.booleans(3, 4), d.normal()),
        lambda m, x, mask, v: m.masked_fill(x, mask, v),
        twin=lambda m, x, mask, v: x.masked_fill(mask, v),
    ),
    Case(
        "masked_fill: integers and bool",
        lambda d: (d.normal(2), d.integers(0, 9, 2, 3), d.booleans(2, 3)),
        lambda m, x, i, mask: (i.masked_fill(mask, 7.0), mask.masked_fill(mask, 0), x * 1.0),
    ),
    Case(
        "masked_select: broadcast",
        lambda d: (d.normal(3, 1), d.booleans(3, 4)),
        lambda m, x, mask: m.masked_select(x, mask),
    ),
    Case(
        "masked_select: nothing",
        lambda d: (d.normal(3, 4), np.zeros((3, 4), bool)),
        lambda m, x, mask: x.masked_select(mask),
    ),
]
PLACES = [
    *many(
        "select, narrow, unbind",
        "normal",
        [
            ("select", (3, 4, 2), lambda m, x: m.select(x, 1, 2)),
            ("select from the end", (3, 4), lambda m, x: x.select(-1, -4)),
            ("narrow", (3, 5, 2), lambda m, x: m.narrow(x, 1, 1, 3)),
            ("narrow from the end", (5, 2), lambda m, x: x.narrow(0, -2, 2)),
            ("narrow to nothing", (5, 2), lambda m, x: x.narrow(0, 5, 0)),
            ("unbind", (3, 4), lambda m, x: m.unbind(x)),
            ("unbind, last axis", (2, 1, 3), lambda m, x: x.unbind(-1)),
        ],
    ),
    *[
        Case(
            f"index_select: {what}",
            lambda d, s=shape, i=index, n=length: (d.normal(*s), d.integers(0, n, *i)),
            lambda m, x, i, dim=dim: m.index_select(x, dim, i),
        )
        for what, shape, dim, length, index in (
            ("dim 0, some twice", (3, 4), 0, 3, (7,)),
            ("dim -1 of three", (2, 3, 4), -1, 4, (2,)),
            ("none", (3, 4), 1, 4, (0,)),
            ("an index without axes", (3, 4), 0, 3, ()),
        )
    ],
    Case(
        "nonzero",
        lambda d: (d.normal(2), d.ties(3, 4), d.booleans(5)),
        lambda m, x, t, b: (t.nonzero(), m.nonzero(b), *t.nonzero(as_tuple=True), m.count_nonzero(t), x * 1.0),
    ),
    Case(
        "nonzero: 0-d, empty",
        lambda d: (d.normal(2), d.ties(0, 4)),
        lambda m, x, t: (t.nonzero(), m.ones(()).nonzero(), m.zeros(()).nonzero(), t.count_nonzero(dim=0), x * 1.0),
    ),
]
ORDER = [
    *many(
        "sort, topk",
        "distinct",
        [
            ("sort", (3, 4), lambda m, x: m.sort(x)),
            ("sort, dim 0, descending", (5, 3), lambda m, x: x.sort(dim=0, descending=True)),
            ("sort, middle axis", (2, 5, 3), lambda m, x: x.sort(1).values),
            ("sort, 0-d", (), lambda m, x: x.sort()),
            ("sort, empty", (0, 3), lambda m, x: x.sort(0)),
            ("argsort", (3, 4), lambda m, x: (m.argsort(x), x.argsort(0, descending=True), x * 1.0)),
            ("topk", (3, 6), lambda m, x: m.topk(x, 2)),
            ("topk, smallest, dim 0", (5, 3), lambda m, x: x.topk(3, dim=0, largest=False)),
            ("topk, all", (5,), lambda m, x: x.topk(5)),
            ("topk, none", (5,), lambda m, x: x.topk(0)),
            ("topk, 0-d", (), lambda m, x: x.topk(1)),
        ],
    ),
    Case(
        "sort: equal ones and NaN stay in order",
        lambda d: (np.array([[1.0, 0.0, 1.0, np.nan, 0.0, 1.0], [2.0, np.nan, -np.inf, 2.0, np.inf, 0.0]]),),
        lambda m, x: (*x.sort(stable=True), *x.sort(descending=True, stable=True)),
        gradcheck="NaN",
        second_order="NaN",
    ),
    Case(
        "sort: integers and bool",
        lambda d: (d.normal(2), d.integers(0, 3, 4, 5), d.booleans(6)),
        lambda m, x, i, b: (*m.sort(i, dim=1, stable=True), *m.sort(b, stable=True), i.topk(2).values, x * 1.0),
    ),
]


def placed(what: str, shape: tuple[int, ...], dim: int, index: tuple[int, ...], src: tuple[int, ...]) -> list[Case]:
    """scatter to distinct places, scatter_add to any."""
    length, part = shape[dim], tuple(slice(0, n) for n in index)

    def distinct(d: Any) -> np.ndarray:
        order = d.rng.random((*index[:dim], length, *index[dim + 1 :])).argsort(dim)
        return np.take(order, np.arange(index[dim]), dim)

    return [
        Case(
            f"scatter: {what}",
            lambda d: (d.normal(*shape), distinct(d), d.normal(*src)),
            lambda m, x, i, s: x.scatter(dim, i, s),
            twin=lambda m, x, i, s: x.scatter(dim, i, s[part]),  # torch has no gradient of a longer src
        ),
        Case(
            f"scatter_add: {what}",
            lambda d: (d.normal(*shape), d.integers(0, length, *index), d.normal(*src)),
            lambda m, x, i, s: m.scatter_add(x, dim, i, s),
            twin=lambda m, x, i, s: m.scatter_add(x, dim, i, s[part]),
        ),
    ]


SCATTER = [
    *placed("dim 0", (4, 3), 0, (2, 3), (2, 3)),
    *placed("dim 1, a longer src", (4, 5), 1, (3, 2), (4, 4)),
    *placed("dim -2 of three", (2, 4, 3), 1, (2, 3, 2), (2, 3, 3)),
    *placed("one axis", (5,), 0, (3,), (3,)),
    *placed("an empty index", (4, 3), 0, (0, 3), (2, 3)),
    Case(
        "scatter: a number",
        lambda d: (d.normal(3, 5), d.integers(0, 5, 3, 1)),
        lambda m, x, i: m.scatter(x, 1, i, 2.5),
    ),
    Case(
        "scatter: in place",
        lambda d: (d.normal(3, 5), d.integers(0, 5, 3, 2), d.normal(3, 2)),
        lambda m, x, i, s: (x * 1).scatter_add_(1, i, s).scatter_(1, i[:, :1], -1.0),
    ),
    Case(
        "scatter_add: 0-d",
        lambda d: (d.normal(), np.array(0), d.normal()),
        lambda m, x, i, s: x.scatter_add(0, i, s),
    ),
]
REPEAT = [
    *many(
        "repeat, repeat_interleave, meshgrid",
        "normal",
        [
            ("repeat", (2, 3), lambda m, x: x.repeat(2, 1)),
            ("repeat, more axes", (3,), lambda m, x: x.repeat((2, 1, 2))),
            ("repeat by name", (3,), lambda m, x: x.repeat(repeats=(2, 2))),
            ("repeat, none", (2, 3), lambda m, x: x.repeat(0, 2)),
            ("repeat, 0-d", (), lambda m, x: x.repeat(3)),
            ("interleave", (2, 3), lambda m, x: m.repeat_interleave(x, 2)),
            ("interleave, dim 0", (2, 3), lambda m, x: x.repeat_interleave(3, 0)),
            ("interleave, dim -1", (2, 3, 2), lambda m, x: x.repeat_interleave(repeats=2, dim=-1)),
            ("interleave, 0-d", (), lambda m, x: x.repeat_interleave(2)),
            ("interleave, none", (2, 3), lambda m, x: x.repeat_interleave(0, dim=1)),
        ],
    ),
    Case(
        "meshgrid: ij",
        lambda d: (d.normal(2), d.normal(3), d.normal(4)),
        lambda m, x, y, z: m.meshgrid(x, y, z, indexing="ij"),
    ),
    Case(
        "meshgrid: xy",
        lambda d: (d.normal(2), d.normal(3), d.normal()),
        lambda m, x, y, z: m.meshgrid([x, y, z], indexing="xy"),
    ),
]
HOT = [
    Case(
        "one_hot",
        lambda d: (d.normal(2), d.integers(0, 4, 3, 2)),
        lambda m, x, i: (m.nn.functional.one_hot(i, num_classes=5), x * 1.0),
    ),
    Case(
        "one_hot: classes counted",
        lambda d: (d.normal(2), np.array([2, 0, 3]), np.array(1)),
        lambda m, x, i, j: (m.nn.functional.one_hot(i), m.nn.functional.one_hot(j), x * 1.0),
    ),
]
NEW = [
    Case(
        "new tensors",
        lambda d: (d.normal(2), d.integers(0, 4, 3)),
        lambda m, x, i: (
            x.new_zeros(2, 3),
            i.new_ones((2, 1)),
            i.new_full((2,), 7),
            x.new_full(size=(), fill_value=2),
            x.new_tensor([[1, 2]]),
            i.new_zeros(size=(2,), dtype=m.bool),
            i.type_as(x),
            x * 1.0,
        ),
    ),
    Case(
        "sizes by name",
        lambda d: (d.normal(2, 6),),
        lambda m, x: (
            m.reshape(input=x.view(size=(4, 3)), shape=(3, 4)).permute(dims=(1, 0)).expand(size=(2, 4, 3)),
            m.zeros(size=(2, 1)) + m.ones(size=[1]),
            x.tile(dims=(2, 1)),
            m.broadcast_to(x, size=(3, 2, 6)),
            *x.split(split_size=4, dim=1),
        ),
    ),
]

OPERATIONS = [
    Operation(
        "masked_fill, masked_select",
        MASKED,
        [
            Bad("no bool", lambda m: m.masked_fill(m.ones(2), m.ones(2), 0), r"^masked_fill: .*float32", DTypeError),
            Bad("shapes", lambda m: m.masked_fill(m.ones(2), m.ones(3) > 0, 0), r"^masked_fill: .*\(3,\)", ShapeError),
            Bad("a fraction", lambda m: m.arange(2).masked_fill(m.ones(2) > 0, 0.5), r"^masked_fill: .*0\.5"),
            Bad("NaN", lambda m: m.arange(2).masked_fill(m.ones(2) > 0, float("nan")), r"^masked_fill: .*nan"),
            Bad("a vector", lambda m: m.ones(2).masked_fill(m.ones(2) > 0, m.ones(2)), r"^masked_fill: .*\(2,\)"),
            Bad("a string", lambda m: m.ones(2).masked_fill(m.ones(2) > 0, "x"), r"^masked_fill: .*str", DTypeError),
            Bad(
                "in place, larger", lambda m: m.ones(2).masked_fill_(m.ones(3, 2) > 0, 0), r"^masked_fill_: .*\(3, 2\)"
            ),
            Bad("select: shapes", lambda m: m.masked_select(m.ones(2), m.ones(3) > 0), r"^masked_select: .*\(3,\)"),
            Bad("select: a list", lambda m: m.masked_select(m.ones(2), [True, False]), r"^masked_select: .*list"),
        ],
    ),
    Operation(
        "select, narrow, unbind, index_select, nonzero",
        PLACES,
        [
            Bad("out of range", lambda m: m.ones(2, 3).select(1, 3), r"^select: .*3", ArgumentError),
            Bad("a fraction", lambda m: m.ones(2, 3).select(1, 0.5), r"^select: .*0\.5", DTypeError),
            Bad("no axes", lambda m: m.ones(()).select(0, 0), r"^select: .*none", ShapeError),
            Bad("too long", lambda m: m.ones(2, 3).narrow(1, 2, 2), r"^narrow: .*2 from 2", ArgumentError),
            Bad("negative", lambda m: m.ones(2, 3).narrow(1, 0, -1), r"^narrow: .*-1", ArgumentError),
            Bad("axis", lambda m: m.ones(2).unbind(1), r"^unbind: .*1", ArgumentError),
            Bad("a list", lambda m: m.ones(2).index_select(0, [0]), r"^index_select: .*list", DTypeError),
            Bad("two axes", lambda m: m.ones(2).index_select(0, m.tensor([[0]])), r"^index_select: .*\(1, 1\)"),
            Bad("index", lambda m: m.ones(2).index_select(0, m.tensor([2])), r"^index_select: .*2", ArgumentError),
            Bad("floats", lambda m: m.ones(2).index_select(0, m.ones(1)), r"^index_select: .*float32", DTypeError),
            Bad("nonzero of a list", lambda m: m.nonzero([1]), r"^nonzero: .*list", DTypeError),
        ],
    ),
    Operation(
        "sort, argsort, topk",
        ORDER,
        [
            Bad("axis", lambda m: m.sort(m.ones(2), 1), r"^sort: .*1", ArgumentError),
            Bad("a list", lambda m: m.argsort([1.0]), r"^argsort: .*list", DTypeError),
            Bad("k too large", lambda m: m.topk(m.ones(2), 3), r"^topk: .*3", ArgumentError),
            Bad("k negative", lambda m: m.topk(m.ones(2), -1), r"^topk: .*-1", ArgumentError),
            Bad("k a fraction", lambda m: m.topk(m.ones(2), 1.0), r"^topk: .*1\.0", DTypeError),
        ],
    ),
    Operation(
        "scatter, scatter_add",
        SCATTER,
        [
            Bad("out of range", lambda m: m.scatter(m.ones(2), 0, m.tensor([2]), 1.0), r"^scatter: .*2", ArgumentError),
            Bad("a short src", lambda m: m.scatter(m.ones(3), 0, m.tensor([0, 1]), m.ones(1)), r"^scatter: .*\(1,\)"),
            Bad("dtypes", lambda m: m.scatter(m.ones(2), 0, m.tensor([0]), m.tensor([1])), r"^scatter: .*int64"),
            Bad("a number to add", lambda m: m.scatter_add(m.ones(2), 0, m.tensor([0]), 1.0), r"^scatter_add: .*float"),
            Bad("axes", lambda m: m.scatter_add(m.ones(2), 0, m.tensor([[0]]), m.ones(1)), r"^scatter_add: .*\(1, 1\)"),
            Bad("floats", lambda m: m.scatter_add(m.ones(2), 0, m.ones(1), m.ones(1)), r"^scatter_add: .*float32"),
        ],
    ),
    Operation(
        "repeat, repeat_interleave, meshgrid",
        REPEAT,
        [
            Bad("too few", lambda m: m.ones(2, 3).repeat(2), r"^repeat: .*2", ArgumentError),
            Bad("negative", lambda m: m.ones(2).repeat(-1), r"^repeat: .*-1", ArgumentError),
            Bad("a fraction", lambda m: m.ones(2).repeat(1.5), r"^repeat: .*1\.5", DTypeError),
            Bad("a tensor", lambda m: m.repeat_interleave(m.ones(2), m.tensor([1, 2])), r"^repeat_int.*Tensor"),
            Bad("below 0", lambda m: m.repeat_interleave(m.ones(2), -1), r"^repeat_int.*-1", ArgumentError),
            Bad("order", lambda m: m.meshgrid(m.ones(2), indexing="yx"), r"^meshgrid: .*'yx'", ArgumentError),
            Bad("a matrix", lambda m: m.meshgrid(m.ones(2, 2)), r"^meshgrid: .*\(2, 2\)", ShapeError),
        ],
    ),
    Operation(
        "one_hot",
        HOT,
        [
            Bad("floats", lambda m: m.nn.functional.one_hot(m.ones(2)), r"^one_hot: .*float32", DTypeError),
            Bad("classes", lambda m: m.nn.functional.one_hot(m.arange(3), 2), r"^one_hot: .*2", ArgumentError),
            Bad("no classes", lambda m: m.nn.functional.one_hot(m.arange(3), 0), r"^one_hot: .*0", ArgumentError),
            Bad("negative", lambda m: m.nn.functional.one_hot(m.tensor([-1]), 2), r"^one_hot: .*-1", ArgumentError),
            Bad("empty", lambda m: m.nn.functional.one_hot(m.arange(0)), r"^one_hot: .*empty", ArgumentError),
        ],
    ),
    Operation(
        "new tensors, sizes by name",
        NEW,
        [
            Bad("negative", lambda m: m.ones(1).new_zeros(-1), r"^new_zeros: .*-1", ShapeError),
            Bad("a fraction", lambda m: m.ones(1).new_ones(0.5), r"^new_ones: .*0\.5", DTypeError),
            Bad("both", lambda m: m.ones(4).reshape(2, shape=(2, 2)), r"^reshape: .*both", ArgumentError),
            Bad("both, no tensor", lambda m: m.zeros(2, size=(2,)), r"^zeros: .*both", ArgumentError),
        ],
    ),
]
