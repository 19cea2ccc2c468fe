"""Products of matrices and vectors under their own names, einsum, bilinear forms, attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError


def two(name: str, rows: list[tuple[str, tuple[int, ...], tuple[int, ...]]], method: bool = True) -> list[Case]:
    """A product of two operands, as a function and as a method."""
    cases = [
        Case(
            f"{name}: {what}", lambda d, a=a, b=b: (d.normal(*a), d.normal(*b)), lambda m, x, y: getattr(m, name)(x, y)
        )
        for what, a, b in rows
    ]
    _, a, b = rows[0]
    method_case = Case(f"{name}: method", lambda d: (d.normal(*a), d.normal(*b)), lambda m, x, y: getattr(x, name)(y))
    return [*cases, method_case]


def refused(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> list[Bad]:
    """Shapes that fit, of which one then has an axis more, another dtype, is a list, or an odd length."""
    odd = (*b[:-1], b[-1] + 1) if len(b) == 1 else (*b[:-2], b[-2] + 1, b[-1])
    return [
        Bad("an axis too many", lambda m: getattr(m, name)(m.ones(1, *a), m.ones(b)), rf"^{name}: .*", ShapeError),
        Bad("lengths", lambda m: getattr(m, name)(m.ones(a), m.ones(odd)), rf"^{name}: .*", ShapeError),
        Bad(
            "two dtypes", lambda m: getattr(m, name)(m.ones(a), m.ones(b).double()), rf"^{name}: .*float64", DTypeError
        ),
        Bad("a list", lambda m: getattr(m, name)(m.ones(a), [1.0]), rf"^{name}: .*list", DTypeError),
    ]


EQUATIONS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("bA,ab", [(2, 3), (4, 2)]),
    ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("iij->ji", [(3, 3, 2)]),
    ("iji,j->i", [(3, 4, 3), (4,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("i,i", [(4,), (4,)]),
    ("ij,ij->ij", [(2, 3), (2, 3)]),
    ("ij,ij->ij", [(2, 3), (1, 3)]),
    ("ij,jk->ik", [(2, 1), (3, 4)]),
    ("bij,bjk,bkl->bl", [(2, 3, 4), (2, 4, 5), (2, 5, 3)]),
    ("bn,anm,bm->ba", [(2, 5), (3, 5, 4), (2, 4)]),
    ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]),
    ("...a,...b->ab", [(2, 3, 4), (3, 5)]),
    ("i...->...", [(2, 3, 4)]),
    ("...ii->...i", [(2, 3, 3)]),
    (" b ... i , i -> b ...", [(2, 4, 3), (3,)]),
    (",ij->ij", [(), (2, 3)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]),
]

EINSUM = [
    *[
        Case(
            f"einsum: {equation}, {shapes}",
            lambda d, s=shapes: tuple(d.normal(*shape) for shape in s),
            lambda m, *xs, e=equation: m.einsum(e, *xs),
        )
        for equation, shapes in EQUATIONS
    ],
    Case(
        "einsum: operands in a list",
        lambda d: (d.normal(2, 3), d.normal(3, 4)),
        lambda m, x, y: m.einsum("ij,jk->ki", [x, y]),
    ),
    Case(
        "einsum: lists of integers",
        lambda d: (d.normal(2, 3), d.normal(3, 4)),
        lambda m, x, y: m.einsum(x, [0, 1], y, [1, 2], [2, 0]),
    ),
    Case(
        "einsum: lists without a result",
        lambda d: (d.normal(5, 2, 3), d.normal(3, 4)),
        lambda m, x, y: m.einsum(x, [..., 1, 7], y, [7, 0]),
    ),
]

BILINEAR = [
    Case(
        f"bilinear: {what}",
        lambda d, a=a, b=b, bias=bias: (
            d.normal(*a),
            d.normal(*b),
            d.normal(5, 3, 4),
            *([d.normal(5)] if bias else []),
        ),
        lambda m, *xs: m.nn.functional.bilinear(*xs),
    )
    for what, a, b, bias in (
        ("rows", (6, 3), (6, 4), True),
        ("no bias", (6, 3), (6, 4), False),
        ("three axes", (2, 6, 3), (2, 6, 4), True),
        ("vectors", (3,), (4,), True),
        ("empty", (0, 3), (0, 4), True),
    )
]

QKV = ((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7))
MASK = np.array([[True, False, True, True, False, True]] * 3 + [[False] * 6])


def attention(name: str, shapes: Any = QKV, extra: Any = None, **options: Any) -> Case:
    """A case of shapes, perhaps a mask, and options."""

    def inputs(d: Any) -> tuple[Any, ...]:
        return (*(d.normal(*s) for s in shapes), *([] if extra is None else [extra(d)]))

    def call(m: Any, *xs: Any) -> Any:
        return m.nn.functional.scaled_dot_product_attention(*xs, **options)

    def twin(m: Any, *xs: Any) -> Any:
        # Only this of torch's implementations has a second order.
        with m.nn.attention.sdpa_kernel(m.nn.attention.SDPBackend.MATH):
            return call(m, *xs)

    return Case(f"scaled_dot_product_attention: {name}", inputs, call, twin)


ATTENTION = [
    attention("plain"),
    attention("causal", is_causal=True),
    attention("causal, longer query", ((2, 8, 5), (2, 3, 5), (2, 3, 7)), is_causal=True),
    attention("scale", scale=0.3),
    attention("two axes", ((4, 5), (6, 5), (6, 7))),
    attention("bool mask, a blind row", extra=lambda d: MASK),
    attention("added mask", extra=lambda d: d.normal(4, 6)),
    attention("added mask for every head", extra=lambda d: d.normal(2, 3, 4, 6)),
    attention("broadcast batch", ((2, 3, 4, 5), (1, 3, 6, 5), (1, 3, 6, 7))),
    attention("grouped heads", ((2, 6, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7)), enable_gqa=True),
]


def attend(m: Any, q: Any, k: Any, v: Any, **options: Any) -> Any:
    return m.nn.functional.scaled_dot_product_attention(m.ones(q), m.ones(k), m.ones(v), **options)


OPERATIONS = [
    Operation(
        "mm", two("mm", [("matrices", (2, 3), (3, 4)), ("empty", (0, 3), (3, 4))]), refused("mm", (2, 3), (3, 4))
    ),
    Operation(
        "bmm",
        two("bmm", [("matrices", (5, 2, 3), (5, 3, 4)), ("empty", (0, 2, 3), (0, 3, 4))]),
        [
            *refused("bmm", (5, 2, 3), (5, 3, 4)),
            Bad("batches", lambda m: m.bmm(m.ones(5, 2, 3), m.ones(1, 3, 4)), r"^bmm: .*1, 3, 4", ShapeError),
        ],
    ),
    Operation("mv", two("mv", [("matrix", (2, 3), (3,)), ("empty", (2, 0), (0,))]), refused("mv", (2, 3), (3,))),
    Operation("dot", two("dot", [("vectors", (3,), (3,)), ("empty", (0,), (0,))]), refused("dot", (3,), (3,))),
    Operation(
        "outer",
        [
            *two("outer", [("vectors", (2,), (3,)), ("empty", (0,), (3,))]),
            Case(
                "outer: promotion",
                lambda d: (d.normal(3), d.integers(0, 5, 2)),
                lambda m, x, i: m.outer(x, i),
            ),
        ],
        [
            Bad("a matrix", lambda m: m.outer(m.ones(2, 2), m.ones(2)), r"^outer: .*\(2, 2\)", ShapeError),
            Bad("a matrix second", lambda m: m.outer(m.ones(2), m.ones(2, 2)), r"^outer: .*\(2, 2\)", ShapeError),
            Bad("a list", lambda m: m.outer(m.ones(2), [1.0]), r"^outer: .*list", DTypeError),
            Bad("a number", lambda m: m.outer(m.ones(2), 2.0), r"^outer: .*float", DTypeError),
        ],
    ),
    Operation(
        "einsum",
        EINSUM,
        [
            Bad(
                "lengths", lambda m: m.einsum("ij,jk", m.ones(2, 3), m.ones(4, 5)), r"^einsum: .*j.*3 and 4", ShapeError
            ),
            Bad("axes", lambda m: m.einsum("ij", m.ones(2)), r"^einsum: .*\(2,\)", ShapeError),
            Bad("too many axes", lambda m: m.einsum("i", m.ones(2, 3)), r"^einsum: .*\(2, 3\)", ShapeError),
            Bad("operands", lambda m: m.einsum("ij,jk", m.ones(2, 3)), r"^einsum: .*2 operands.*1", ArgumentError),
            Bad("no operand", lambda m: m.einsum("ij"), r"^einsum: .*none", ArgumentError),
            Bad("a digit", lambda m: m.einsum("i1", m.ones(2, 2)), r"^einsum: .*'i1'", ArgumentError),
            Bad("unknown result", lambda m: m.einsum("ij->k", m.ones(2, 2)), r"^einsum: .*k", ArgumentError),
            Bad("result twice", lambda m: m.einsum("ij->ii", m.ones(2, 2)), r"^einsum: .*once", ArgumentError),
            Bad("diagonal", lambda m: m.einsum("ii", m.ones(2, 3)), r"^einsum: .*\(2, 3\)", ShapeError),
            Bad("two dtypes", lambda m: m.einsum("i,i", m.ones(2), m.ones(2).double()), r"^einsum: .*float64"),
            Bad("a list", lambda m: m.einsum("i,i", m.ones(2), 1.0), r"^einsum: .*float", DTypeError),
            Bad("bad lists", lambda m: m.einsum(m.ones(2), [99]), r"^einsum: .*99", ArgumentError),
        ],
    ),
    Operation(
        "bilinear",
        BILINEAR,
        [
            Bad(
                "lengths", lambda m: m.nn.functional.bilinear(m.ones(2, 3), m.ones(2, 4), m.ones(5, 4, 4)), r"^bilinear"
            ),
            Bad("rows", lambda m: m.nn.functional.bilinear(m.ones(2, 3), m.ones(1, 4), m.ones(5, 3, 4)), r"^bilinear"),
            Bad("weight", lambda m: m.nn.functional.bilinear(m.ones(2, 3), m.ones(2, 4), m.ones(3, 4)), r"^bilinear"),
            Bad(
                "bias",
                lambda m: m.nn.functional.bilinear(m.ones(2, 3), m.ones(2, 4), m.ones(5, 3, 4), m.ones(4)),
                r"^bilinear: .*bias.*5.*4",
                ShapeError,
            ),
            Bad("integers", lambda m: m.nn.functional.bilinear(m.arange(3), m.ones(4), m.ones(5, 3, 4)), r"int64"),
        ],
    ),
    Operation(
        "scaled_dot_product_attention",
        ATTENTION,
        [
            Bad("features", lambda m: attend(m, (4, 5), (6, 4), (6, 7)), r"^scaled_dot.*\(6, 4\)", ShapeError),
            Bad("rows", lambda m: attend(m, (4, 5), (6, 5), (5, 7)), r"^scaled_dot.*\(5, 7\)", ShapeError),
            Bad("one axis", lambda m: attend(m, (5,), (6, 5), (6, 7)), r"^scaled_dot.*\(5,\)", ShapeError),
            Bad("batches", lambda m: attend(m, (2, 4, 5), (3, 6, 5), (3, 6, 7)), r"^scaled_dot.*2, 4, 5", ShapeError),
            Bad(
                "mask and causal",
                lambda m: attend(m, (4, 5), (6, 5), (6, 7), attn_mask=m.ones(4, 6), is_causal=True),
                r"^scaled_dot.*both",
                ArgumentError,
            ),
            Bad(
                "mask's shape",
                lambda m: attend(m, (4, 5), (6, 5), (6, 7), attn_mask=m.ones(6, 4)),
                r"^scaled_dot.*\(4, 6\).*\(6, 4\)",
                ShapeError,
            ),
            Bad(
                "mask's dtype",
                lambda m: attend(m, (4, 5), (6, 5), (6, 7), attn_mask=m.ones(4, 6).long()),
                r"^scaled_dot.*int64",
                DTypeError,
            ),
            Bad("heads", lambda m: attend(m, (4, 4, 5), (3, 6, 5), (3, 6, 7), enable_gqa=True), r"^scaled_dot.*divide"),
            Bad("scale", lambda m: attend(m, (4, 5), (6, 5), (6, 7), scale="x"), r"^scaled_dot.*'x'", DTypeError),
            Bad("dropout", lambda m: attend(m, (4, 5), (6, 5), (6, 7), dropout_p=2.0), r"2\.0", ArgumentError),
        ],
    ),
]
