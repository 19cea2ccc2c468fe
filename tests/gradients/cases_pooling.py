"""Pooling: padding over negative inputs, ties, ceil_mode, dilation, divisors, indices, uneven and missing batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError

TIES = "ties: the first of equals takes the whole gradient"


def pool(
    function: str,
    name: str,
    shape: tuple[int, ...],
    *arguments: Any,
    draw: str = "distinct",
    gradcheck: Any = True,
    **options: Any,
) -> Case:
    """A case of one image batch, drawn so that maxima are clear unless ``draw`` says otherwise."""
    return Case(
        f"{function}: {name}",
        lambda d: (getattr(d, draw)(*shape),),
        lambda m, x: getattr(m.nn.functional, function)(x, *arguments, **options),
        gradcheck=gradcheck,
    )


def refused(
    function: str,
    name: str,
    says: str,
    *arguments: Any,
    shape: tuple[int, ...] = (2, 3, 8, 8),
    error: Any = None,
    **options: Any,
) -> Bad:
    """A bad call of one image batch."""

    def call(m: Any) -> Any:
        return getattr(m.nn.functional, function)(m.zeros(*shape), *arguments, **options)

    says = rf"^{function}: .*{says}"
    return Bad(name, call, says, error) if error else Bad(name, call, says)


WINDOWS: list[tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = [
    ("2", (2, 3, 6, 8), (2,), {}),
    ("2 on odd sizes", (2, 3, 7, 5), (2,), {}),
    ("3, stride 2", (2, 3, 7, 8), (3, 2), {}),
    ("3, stride 1: overlapping", (2, 3, 6, 5), (3, 1), {}),
    ("(2, 3), stride (1, 2)", (2, 3, 6, 8), ((2, 3),), {"stride": (1, 2)}),
    ("stride larger than the window", (2, 3, 9, 8), (2, 3), {}),
    ("padding", (2, 3, 6, 7), (3, 2, 1), {}),
    ("padding (1, 0)", (2, 3, 6, 7), ((3, 2),), {"padding": (1, 0)}),
    ("ceil_mode", (2, 3, 7, 8), (2,), {"ceil_mode": True}),
    ("ceil_mode, stride 3", (2, 3, 8, 7), (2, 3), {"ceil_mode": True}),
    ("ceil_mode, padding", (2, 3, 6, 8), (3, 2, 1), {"ceil_mode": True}),
    ("ceil_mode, the last window would start in the padding", (2, 3, 5, 7), (2, 2, 1), {"ceil_mode": True}),
    ("ceil_mode, window 3, stride 4", (1, 2, 6, 10), (3, 4, 1), {"ceil_mode": True}),
    ("ceil_mode, window larger than the image", (2, 3, 1, 5), (2,), {"ceil_mode": True}),
    ("window of 1", (2, 3, 4, 5), (1,), {}),
    ("window is the image", (2, 3, 4, 5), ((4, 5),), {}),
    ("whole row", (2, 3, 4, 5), ((1, 5),), {}),
    ("batch of 1", (1, 1, 4, 5), (2,), {}),
    ("empty batch", (0, 3, 4, 5), (2,), {}),
    ("no batch", (3, 4, 5), (2,), {}),
    ("no batch, padding", (3, 4, 5), (3, 2, 1), {"ceil_mode": True}),
    ("19 channels", (2, 19, 4, 4), (2,), {}),
]


def window_cases(function: str) -> list[Case]:
    """What max and average pooling have in common."""
    return [pool(function, name, shape, *arguments, **options) for name, shape, arguments, options in WINDOWS]


def window_refusals(function: str) -> list[Bad]:
    """What max and average pooling both refuse."""
    return [
        refused(function, "window 0", "kernel_size.*0", 0),
        refused(function, "stride 0", "stride.*0", 2, 0),
        refused(function, "negative stride", "stride.*-2", 2, (1, -2)),
        refused(function, "negative padding", "padding.*-1", 2, 2, -1),
        refused(function, "padding above half the window", "padding.*2", 3, 2, 2),
        refused(function, "padding above half the window in one axis", "padding.*1", (1, 3), 1, (1, 1)),
        refused(function, "window larger than the image", "9", 9, error=ShapeError),
        refused(function, "three sizes", "kernel_size", (2, 2, 2)),
        refused(function, "a fraction", r"kernel_size.*2\.5", 2.5),
        refused(function, "two axes", "", 2, shape=(8, 8), error=ShapeError),
        refused(function, "five axes", "", 2, shape=(1, 1, 1, 8, 8), error=ShapeError),
        Bad(
            "integers",
            lambda m: getattr(m.nn.functional, function)(m.zeros(1, 1, 4, 4, dtype=m.bool), 2),
            rf"^{function}: .*bool",
            DTypeError,
        ),
        Bad(
            "an array",
            lambda m: getattr(m.nn.functional, function)(np.zeros((1, 1, 4, 4)), 2),
            rf"^{function}: .*ndarray",
            DTypeError,
        ),
    ]


MAX = [
    *window_cases("max_pool2d"),
    pool("max_pool2d", "negative inputs under padding", (2, 3, 6, 7), 3, 2, 1, draw="negative"),
    pool(
        "max_pool2d", "negative inputs, padding 1 of window 2", (2, 3, 6, 7), 2, 2, 1, draw="negative", ceil_mode=True
    ),
    pool("max_pool2d", "dilation 2", (2, 3, 8, 9), 2, 2, dilation=2),
    pool("max_pool2d", "dilation (1, 3), padding", (2, 3, 8, 9), 3, 1, 1, dilation=(1, 3)),
    pool("max_pool2d", "dilation, ceil_mode", (2, 3, 8, 9), 3, 3, 1, dilation=2, ceil_mode=True, draw="negative"),
    pool("max_pool2d", "ties", (2, 3, 8, 8), 2, draw="ties", gradcheck=TIES),
    pool("max_pool2d", "ties, overlapping, padding", (2, 3, 8, 8), 3, 1, 1, draw="ties", gradcheck=TIES),
    pool("max_pool2d", "indices", (2, 3, 6, 8), 2, return_indices=True),
    pool("max_pool2d", "indices, padding, stride", (2, 3, 7, 9), 3, 2, 1, return_indices=True, draw="negative"),
    pool(
        "max_pool2d",
        "indices, dilation, ceil_mode",
        (2, 3, 8, 9),
        2,
        2,
        1,
        dilation=2,
        ceil_mode=True,
        return_indices=True,
    ),
    pool("max_pool2d", "indices of ties", (2, 3, 8, 8), 3, 2, 1, return_indices=True, draw="ties", gradcheck=TIES),
    pool("max_pool2d", "indices, no batch", (3, 6, 7), (2, 3), return_indices=True),
    pool("max_pool2d", "indices, empty batch", (0, 3, 6, 7), 2, return_indices=True),
    pool("max_pool2d", "window of 17 x 17", (1, 2, 18, 19), 17, 1, return_indices=True),
    Case(
        "max_pool2d: NaN",
        lambda d: (np.where(d.rng.random((2, 2, 6, 6)) < 0.1, np.nan, d.normal(2, 2, 6, 6)),),
        lambda m, x: m.nn.functional.max_pool2d(x, 3, 2, 1),
        gradcheck="NaN",
    ),
    Case(
        "max_pool2d: minus infinity",
        lambda d: (np.where(d.rng.random((2, 2, 6, 6)) < 0.8, -np.inf, d.normal(2, 2, 6, 6)),),
        lambda m, x: m.nn.functional.max_pool2d(x, 2, return_indices=True),
        gradcheck="infinite values",
    ),
]

AVERAGE = [
    *window_cases("avg_pool2d"),
    pool("avg_pool2d", "padding not counted", (2, 3, 6, 7), 3, 2, 1, count_include_pad=False),
    pool(
        "avg_pool2d", "padding not counted, ceil_mode", (2, 3, 6, 8), 3, 2, 1, ceil_mode=True, count_include_pad=False
    ),
    pool("avg_pool2d", "padding counted, ceil_mode, window past the padding", (1, 2, 7, 6), 4, 3, 2, ceil_mode=True),
    pool("avg_pool2d", "divisor 3", (2, 3, 6, 8), 2, divisor_override=3),
    pool("avg_pool2d", "divisor -2, padding, ceil_mode", (2, 3, 6, 8), 3, 2, 1, ceil_mode=True, divisor_override=-2),
    pool(
        "avg_pool2d",
        "divisor 5, padding not counted",
        (2, 3, 6, 8),
        3,
        2,
        1,
        count_include_pad=False,
        divisor_override=5,
    ),
    pool("avg_pool2d", "negative inputs", (2, 3, 6, 7), 3, 2, 1, draw="negative"),
]

ADAPTIVE = [
    pool("adaptive_avg_pool2d", name, shape, size)
    for name, shape, size in [
        ("to 1", (2, 3, 5, 7), 1),
        ("to (1, 1)", (2, 3, 5, 7), (1, 1)),
        ("divides", (2, 3, 6, 8), (3, 4)),
        ("uneven", (2, 3, 7, 5), (3, 2)),
        ("overlapping windows", (2, 3, 7, 5), (5, 4)),
        ("same size", (2, 3, 4, 5), (4, 5)),
        ("larger than the input", (2, 3, 3, 2), (5, 3)),
        ("None keeps a length", (2, 3, 4, 7), (None, 2)),
        ("None and None", (2, 3, 4, 7), (None, None)),
        ("a number", (2, 3, 7, 8), 3),
        ("batch of 1", (1, 3, 7, 8), (2, 3)),
        ("empty batch", (0, 3, 7, 8), (2, 3)),
        ("no batch", (3, 7, 8), (2, 3)),
    ]
]

OPERATIONS = [
    Operation(
        "max_pool2d",
        MAX,
        [
            *window_refusals("max_pool2d"),
            refused("max_pool2d", "dilation 0", "dilation.*0", 2, dilation=0),
            refused("max_pool2d", "dilated window larger than the image", "", 3, dilation=5, error=ShapeError),
        ],
    ),
    Operation(
        "avg_pool2d",
        AVERAGE,
        [
            *window_refusals("avg_pool2d"),
            refused("avg_pool2d", "divisor 0", "divisor_override.*0", 2, divisor_override=0, error=ArgumentError),
        ],
    ),
    Operation(
        "adaptive_avg_pool2d",
        ADAPTIVE,
        [
            refused("adaptive_avg_pool2d", "size -1", "output_size.*-1", -1),
            refused("adaptive_avg_pool2d", "three sizes", "output_size", (1, 2, 3)),
            refused("adaptive_avg_pool2d", "a fraction", r"output_size.*1\.5", 1.5),
            refused("adaptive_avg_pool2d", "two axes", "", 1, shape=(4, 4), error=ShapeError),
            Bad(
                "integers",
                lambda m: m.nn.functional.adaptive_avg_pool2d(m.zeros(1, 1, 4, 4, dtype=m.int64), 1),
                r"^adaptive_avg_pool2d: .*int64",
                DTypeError,
            ),
        ],
    ),
]
