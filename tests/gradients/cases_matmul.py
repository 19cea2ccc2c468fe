"""Matrix products in every combination of one to four axes, and linear."""

from __future__ import annotations

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import DTypeError, ShapeError

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((3, 4), (4, 5)),
    ((1, 4), (4, 1)),
    ((4,), (2, 4, 5)),
    ((2, 3, 4), (4,)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((1, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (3, 4, 5)),
    ((2, 2, 3, 4), (2, 2, 4, 5)),
    ((2, 1, 3, 4), (1, 3, 4, 5)),
    ((2, 2, 3, 4), (4, 5)),
    ((3, 4), (2, 2, 4, 5)),
    ((4,), (2, 2, 4, 5)),
    ((2, 2, 3, 4), (4,)),
    ((3, 0), (0, 5)),
    ((0, 4), (4, 5)),
    ((0, 3, 4), (4, 5)),
    ((0, 3, 4), (0, 4, 5)),
    ((17, 33), (33, 9)),
]

OPERATIONS = [
    Operation(
        "matmul",
        [
            *[
                Case(
                    f"matmul: {left} @ {right}",
                    lambda d, a=left, b=right: (d.normal(*a), d.normal(*b)),
                    lambda _, x, y: x @ y,
                )
                for left, right in SHAPES
            ],
            Case("matmul: function", lambda d: (d.normal(3, 4), d.normal(4, 5)), lambda m, x, y: m.matmul(x, y)),
            Case("matmul: method", lambda d: (d.normal(3, 4), d.normal(4, 5)), lambda _, x, y: x.matmul(y)),
            Case("matmul: x @ x.T", lambda d: (d.normal(3, 4),), lambda _, x: x @ x.transpose(0, 1)),
            Case(
                "matmul: three factors",
                lambda d: (d.normal(2, 3), d.normal(3, 4), d.normal(4, 2)),
                lambda _, x, y, z: x @ y @ z,
            ),
        ],
        [
            Bad("inner axes", lambda m: m.zeros(2, 3) @ m.zeros(4, 5), r"^matmul: .*3.*4", ShapeError),
            Bad("vectors", lambda m: m.zeros(2) @ m.zeros(3), r"^matmul: .*2.*3", ShapeError),
            Bad("batches", lambda m: m.zeros(2, 3, 4) @ m.zeros(3, 4, 5), r"^matmul: .*2.*3", ShapeError),
            Bad("0-d", lambda m: m.zeros(2, 3) @ m.tensor(1.0), r"^matmul: .*", ShapeError),
            Bad("a number", lambda m: m.zeros(2, 3) @ 2.0, r"float", TypeError),
            Bad(
                "two dtypes",
                lambda m: m.zeros(2, 3) @ m.zeros(3, 2, dtype=m.float64),
                r"^matmul: .*float32.*float64",
                DTypeError,
            ),
        ],
    ),
    Operation(
        "linear",
        [
            Case(
                "linear: (N, F)",
                lambda d: (d.normal(3, 4), d.normal(5, 4), d.normal(5)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: no bias",
                lambda d: (d.normal(3, 4), d.normal(5, 4)),
                lambda m, x, w: m.nn.functional.linear(x, w),
            ),
            Case(
                "linear: one axis",
                lambda d: (d.normal(4), d.normal(5, 4), d.normal(5)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: three axes",
                lambda d: (d.normal(2, 3, 4), d.normal(5, 4), d.normal(5)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: four axes",
                lambda d: (d.normal(2, 2, 3, 4), d.normal(5, 4), d.normal(5)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: empty batch",
                lambda d: (d.normal(0, 4), d.normal(5, 4), d.normal(5)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: batch of 1",
                lambda d: (d.normal(1, 4), d.normal(5, 4), d.normal(5)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: one feature",
                lambda d: (d.normal(3, 1), d.normal(1, 1), d.normal(1)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: wide",
                lambda d: (d.normal(7, 130), d.normal(33, 130), d.normal(33)),
                lambda m, x, w, b: m.nn.functional.linear(x, w, b),
            ),
            Case(
                "linear: shared weight",
                lambda d: (d.normal(3, 4), d.normal(4, 4)),
                lambda m, x, w: m.nn.functional.linear(m.nn.functional.linear(x, w), w),
            ),
        ],
        [
            Bad(
                "features",
                lambda m: m.nn.functional.linear(m.zeros(3, 4), m.zeros(5, 6)),
                r"^linear: .*4.*6|^linear: .*6.*4",
                ShapeError,
            ),
            Bad(
                "weight's axes",
                lambda m: m.nn.functional.linear(m.zeros(3, 4), m.zeros(2, 4, 1)),
                r"^linear: .*weight",
                ShapeError,
            ),
            Bad(
                "bias's length",
                lambda m: m.nn.functional.linear(m.zeros(3, 4), m.zeros(5, 4), m.zeros(4)),
                r"^linear: .*bias",
                ShapeError,
            ),
            Bad(
                "bias's axes",
                lambda m: m.nn.functional.linear(m.zeros(3, 4), m.zeros(5, 4), m.zeros(1, 5)),
                r"^linear: .*bias",
                ShapeError,
            ),
            Bad(
                "0-d input",
                lambda m: m.nn.functional.linear(m.tensor(1.0), m.zeros(5, 1)),
                r"^linear: .*input",
                ShapeError,
            ),
            Bad(
                "two dtypes",
                lambda m: m.nn.functional.linear(m.zeros(3, 4), m.zeros(5, 4, dtype=m.float64)),
                r"^linear: .*float32.*float64|^linear: .*float64.*float32",
                DTypeError,
            ),
            Bad(
                "integer input",
                lambda m: m.nn.functional.linear(m.zeros(3, 4, dtype=m.int64), m.zeros(5, 4)),
                r"^linear: .*int64",
                DTypeError,
            ),
            Bad(
                "a NumPy array",
                lambda m: m.nn.functional.linear(np.zeros((3, 4)), m.zeros(5, 4)),
                r"^linear: .*ndarray",
                DTypeError,
            ),
        ],
    ),
]
