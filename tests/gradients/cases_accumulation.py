"""Products, running sums, log-sum-exp, and the norms of vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from gradients.cases_reduction import bad_axes
from minidl.errors import ArgumentError, DTypeError, ShapeError

POLE = "torch takes 0 where the norm has no derivative"
INFINITE = "infinite"


def many(name: str, draw: str, rows: list[tuple[str, tuple[int, ...], Any]], **options: Any) -> list[Case]:
    """Cases of one input each: what, shape, call."""
    return [
        Case(f"{name}: {what}", lambda d, s=shape: (getattr(d, draw)(*s),), call, **options)
        for what, shape, call in rows
    ]


ZEROS = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0], [1.5, -2.0, 4.0]])

PROD = [
    *many(
        "prod",
        "nonzero",
        [
            ("all", (2, 3), lambda m, x: m.prod(x)),
            ("dim 0", (2, 3, 4), lambda m, x: x.prod(0)),
            ("dim -1, keepdim", (2, 3, 5), lambda m, x: x.prod(dim=-1, keepdim=True)),
            ("odd length", (7, 2), lambda m, x: x.prod(0)),
            ("0-d", (), lambda m, x: x.prod()),
            ("0-d, dim", (), lambda m, x: x.prod(-1)),
            ("empty", (0, 3), lambda m, x: x.prod(0)),
            ("empty batch", (0, 3), lambda m, x: x.prod(1)),
        ],
    ),
    Case("prod: one zero, two zeros, none", lambda d: (ZEROS.copy(),), lambda m, x: x.prod(1)),
    Case("prod: zeros, all", lambda d: (ZEROS[:2].copy(),), lambda m, x: x.prod()),
    Case(
        "prod: integers",
        lambda d: (d.normal(2), d.integers(1, 4, 2, 3)),
        lambda m, x, i: (i.prod(1), i.prod(dtype=m.float64).to(x.dtype), x * 1.0),
    ),
]

CUMSUM = [
    *many(
        "cumsum",
        "normal",
        [
            ("dim 0", (3, 4), lambda m, x: m.cumsum(x, 0)),
            ("dim 1 of images", (2, 3, 4, 5), lambda m, x: x.cumsum(dim=1)),
            ("dim -1", (3, 5), lambda m, x: x.cumsum(-1)),
            ("0-d", (), lambda m, x: x.cumsum(0)),
            ("empty", (0, 3), lambda m, x: x.cumsum(0)),
        ],
    ),
    Case("cumsum: integers", lambda d: (d.normal(2), d.integers(0, 9, 2, 3)), lambda m, x, i: (i.cumsum(1), x * 1.0)),
    Case("cumsum: bool", lambda d: (d.normal(2), d.booleans(2, 3)), lambda m, x, i: (i.cumsum(1), x * 1.0)),
    Case(
        "cumsum: to float",
        lambda d: (d.normal(2), d.integers(0, 9, 2, 3)),
        lambda m, x, i: (i.cumsum(1, dtype=m.float64).to(x.dtype), x * 1.0),
    ),
]

LOGSUMEXP = [
    *many(
        "logsumexp",
        "normal",
        [
            ("dim 1", (3, 4), lambda m, x: m.logsumexp(x, 1)),
            ("dims 0 and 2, keepdim", (2, 3, 4), lambda m, x: x.logsumexp((0, 2), keepdim=True)),
            ("all dims", (2, 3), lambda m, x: x.logsumexp(dim=(0, 1))),
            ("0-d", (), lambda m, x: x.logsumexp(0)),
            ("large", (3, 4), lambda m, x: (x * 400 + 1000).logsumexp(1)),
            ("empty batch", (0, 3), lambda m, x: x.logsumexp(1)),
        ],
    ),
    Case("logsumexp: empty sum", lambda d: (d.normal(2, 0),), lambda m, x: x.logsumexp(1), gradcheck=INFINITE),
    Case(
        "logsumexp: infinities",
        lambda d: (np.array([[-np.inf, 1.0], [-np.inf, -np.inf], [np.inf, 1.0]]),),
        lambda m, x: (x.detach().logsumexp(1), x * 1.0),
        gradcheck=INFINITE,
        second_order=INFINITE,
    ),
    Case(
        "logsumexp: gradient of nothing",
        lambda d: (np.array([[-np.inf, 1.0], [-np.inf, -np.inf]]),),
        lambda m, x: x.logsumexp(1),
        gradcheck=INFINITE,
        second_order=INFINITE,
    ),
    Case(
        "logsumexp: integers",
        lambda d: (d.normal(2), d.integers(0, 9, 2, 3)),
        lambda m, x, i: (i.logsumexp(1), x * 1.0),
    ),
]

ORDERS: list[Any] = [2, 1, 3, 1.5, 0.5, -1.5, float("inf"), -float("inf")]
VECTOR = [
    *[
        Case(
            f"linalg.vector_norm: order {p}",
            lambda d: (d.nonzero(3, 4, 2),),
            lambda m, x, p=p: m.linalg.vector_norm(x, p, (0, 2)),
            gradcheck=True if abs(p) != float("inf") else "only where the maximum is unique",
        )
        for p in ORDERS
    ],
    *many(
        "linalg.vector_norm",
        "nonzero",
        [
            ("all", (3, 4), lambda m, x: m.linalg.vector_norm(x)),
            ("dim -1, keepdim", (3, 4), lambda m, x: m.linalg.vector_norm(x, 3, dim=-1, keepdim=True)),
            ("empty", (0, 3), lambda m, x: m.linalg.vector_norm(x, dim=0)),
        ],
    ),
    Case(
        "linalg.vector_norm: 0-d",
        lambda d: (d.nonzero(),),
        lambda m, x: m.linalg.vector_norm(x),
        second_order="it is 0, but for rounding",
    ),
    Case(
        "linalg.vector_norm: order 0",
        lambda d: (d.ties(4, 5),),
        lambda m, x: m.linalg.vector_norm(x, 0, 1) + x[:, 0],
        gradcheck="steps",
    ),
    *[
        Case(
            f"linalg.vector_norm: zeros, order {p}",
            lambda d: (np.array([[0.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]),),
            lambda m, x, p=p: m.linalg.vector_norm(x, p, 1),
            gradcheck=POLE,
            second_order=POLE,
        )
        for p in (1, 2, 3)
    ],
]

MATRIX: list[Case] = [
    Case(
        f"linalg.matrix_norm: {o}, {what}",
        lambda d, s=shape: (d.distinct(*s) * 0.5 + d.normal(*s),),
        lambda m, x, o=o, kw=kw: m.linalg.matrix_norm(x, o, **kw),
        gradcheck=True,
    )
    for o in ("fro", "nuc", 2, -2, 1, -1, float("inf"), -float("inf"))
    for what, shape, kw in (
        ("a matrix", (4, 3), {}),
        ("matrices, other axes", (3, 2, 4), {"dim": (2, 0), "keepdim": True}),
    )
]

LINALG = [
    *many(
        "linalg.norm",
        "nonzero",
        [
            ("default", (2, 3, 4), lambda m, x: m.linalg.norm(x)),
            ("default over an axis", (2, 3, 4), lambda m, x: m.linalg.norm(x, dim=1)),
            ("default over two axes", (2, 3, 4), lambda m, x: m.linalg.norm(x, dim=(0, 1))),
            ("a vector, order 1", (5,), lambda m, x: m.linalg.norm(x, 1)),
            ("a matrix, order 1", (5, 2), lambda m, x: m.linalg.norm(x, 1)),
            ("a matrix, fro", (5, 2), lambda m, x: m.linalg.norm(x, "fro", keepdim=True)),
            ("order 3 over an axis", (2, 3), lambda m, x: m.linalg.norm(x, 3, 0)),
            ("nuclear over axes", (2, 3, 4), lambda m, x: m.linalg.norm(x, "nuc", (2, 1))),
        ],
    )
]

NORM = [
    *many(
        "norm",
        "nonzero",
        [
            ("all", (2, 3), lambda m, x: m.norm(x)),
            ("p 1, dim", (2, 3, 4), lambda m, x: x.norm(1, 1)),
            ("p 3, dims, keepdim", (2, 3, 4), lambda m, x: x.norm(p=3, dim=(0, -1), keepdim=True)),
            ("fro, dim", (2, 3), lambda m, x: x.norm("fro", dim=1)),
            ("nuc", (4, 3), lambda m, x: x.norm("nuc")),
            ("0-d", (), lambda m, x: x.norm()),
        ],
    )
]

NORMALIZE = [
    *many(
        "normalize",
        "nonzero",
        [
            ("default", (3, 4), lambda m, x: m.nn.functional.normalize(x)),
            ("p 1, dim 2", (2, 3, 4), lambda m, x: m.nn.functional.normalize(x, p=1.0, dim=2)),
            ("p 3, dims", (2, 3, 4), lambda m, x: m.nn.functional.normalize(x, 3.0, (0, 1))),
            ("large eps", (3, 4), lambda m, x: m.nn.functional.normalize(x, eps=10.0)),
        ],
    )
]

COSINE = [
    Case(
        f"cosine_similarity: {what}",
        lambda d, a=a, b=b: (d.nonzero(*a), d.nonzero(*b)),
        lambda m, x, y, kw=kw: m.nn.functional.cosine_similarity(x, y, **kw),
    )
    for what, a, b, kw in (
        ("default", (3, 4), (3, 4), {}),
        ("dim -1", (2, 3, 4), (2, 3, 4), {"dim": -1}),
        ("broadcast", (3, 1, 4), (5, 4), {"dim": 2}),
        ("dim 0", (3, 4), (3, 4), {"dim": 0, "eps": 0.1}),
    )
]

INF = float("inf")
OPERATIONS = [
    Operation(
        "prod",
        PROD,
        [*bad_axes("prod", several=False), Bad("a list", lambda m: m.prod([1.0]), r"^prod: .*list", DTypeError)],
    ),
    Operation(
        "cumsum",
        CUMSUM,
        [*bad_axes("cumsum", several=False), Bad("None", lambda m: m.cumsum(m.ones(2), None), r"^cumsum: .*None")],
    ),
    Operation("logsumexp", LOGSUMEXP, bad_axes("logsumexp")),
    Operation(
        "linalg.vector_norm",
        VECTOR,
        [
            Bad("a list", lambda m: m.linalg.vector_norm([1.0]), r"^linalg.vector_norm: .*list", DTypeError),
            Bad("integers", lambda m: m.linalg.vector_norm(m.arange(3)), r"^linalg.vector_norm: .*int64", DTypeError),
            Bad("order", lambda m: m.linalg.vector_norm(m.ones(3), "x"), r"^linalg.vector_norm: .*'x'", DTypeError),
            Bad("axis", lambda m: m.linalg.vector_norm(m.ones(3), 2, 1), r"^linalg.vector_norm: .*1", ArgumentError),
            Bad("nothing", lambda m: m.linalg.vector_norm(m.ones(0), INF), r"^linalg.vector_norm: .*inf", ShapeError),
        ],
    ),
    Operation(
        "linalg.matrix_norm",
        MATRIX,
        [
            Bad("order", lambda m: m.linalg.matrix_norm(m.ones(2, 2), 3), r"^linalg.matrix_norm: .*3", ArgumentError),
            Bad("a vector", lambda m: m.linalg.matrix_norm(m.ones(2)), r"^linalg.matrix_norm: .*\(2,\)", ShapeError),
            Bad("one axis", lambda m: m.linalg.matrix_norm(m.ones(2, 2), dim=1), r"^linalg.matrix_norm: .*pair"),
            Bad("an axis twice", lambda m: m.linalg.matrix_norm(m.ones(2, 2), dim=(0, 0)), r"^linalg.matrix_norm: "),
            Bad("integers", lambda m: m.linalg.matrix_norm(m.ones(2, 2).long()), r"int64", DTypeError),
        ],
    ),
    Operation(
        "linalg.norm",
        LINALG,
        [
            Bad("order without dim", lambda m: m.linalg.norm(m.ones(2, 2, 2), 1), r"^linalg.norm: .*2, 2, 2"),
            Bad("fro of a vector", lambda m: m.linalg.norm(m.ones(2), "fro"), r"^linalg.norm: .*fro", ArgumentError),
            Bad("a list", lambda m: m.linalg.norm([1.0]), r"^linalg.norm: .*list", DTypeError),
            Bad("integers", lambda m: m.linalg.norm(m.arange(3)), r"^linalg.norm: .*int64", DTypeError),
        ],
    ),
    Operation(
        "norm",
        NORM,
        [
            Bad("a string", lambda m: m.norm(m.ones(2), "max"), r"^norm: .*'max'", ArgumentError),
            Bad("nuc of a vector", lambda m: m.norm(m.ones(2), "nuc"), r"^norm: ", (ArgumentError, ShapeError)),
            Bad("a list", lambda m: m.norm([1.0]), r"^norm: .*list", DTypeError),
            Bad("integers", lambda m: m.norm(m.arange(3)), r"^norm: .*int64", DTypeError),
            Bad("axis", lambda m: m.norm(m.ones(2), dim=1), r"^norm: .*1", ArgumentError),
        ],
    ),
    Operation(
        "normalize",
        NORMALIZE,
        [
            Bad("axis", lambda m: m.nn.functional.normalize(m.ones(2)), r"^normalize: .*1", ArgumentError),
            Bad("eps", lambda m: m.nn.functional.normalize(m.ones(2, 2), eps=-1), r"^normalize: .*-1", ArgumentError),
            Bad("order", lambda m: m.nn.functional.normalize(m.ones(2, 2), p="x"), r"^normalize: .*'x'", DTypeError),
            Bad("integers", lambda m: m.nn.functional.normalize(m.ones(2, 2).long()), r"^normalize: .*int64"),
        ],
    ),
    Operation(
        "cosine_similarity",
        COSINE,
        [
            Bad("shapes", lambda m: m.nn.functional.cosine_similarity(m.ones(2, 3), m.ones(2, 4)), r"^cos.*\(2, 4\)"),
            Bad("axis", lambda m: m.nn.functional.cosine_similarity(m.ones(2), m.ones(2)), r"^cos.*1", ArgumentError),
            Bad("axes", lambda m: m.nn.functional.cosine_similarity(m.ones(2), m.ones(2), (0,)), r"^cos.*\(0,\)"),
            Bad("eps", lambda m: m.nn.functional.cosine_similarity(m.ones(2), m.ones(2), 0, -1.0), r"^cos.*-1"),
            Bad("integers", lambda m: m.nn.functional.cosine_similarity(m.arange(2), m.ones(2), 0), r"^cos.*int64"),
        ],
    ),
]
