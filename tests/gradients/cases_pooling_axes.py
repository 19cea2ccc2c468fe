"""Pooling along one axis, adaptive max pooling along one and two, with indices."""

from __future__ import annotations

from typing import Any

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError

TIES = "ties: the first wins"


def pool(name: str, what: str, shape: tuple[int, ...], *arguments: Any, draw: str = "distinct", **options: Any) -> Case:
    """A case of a shape and options."""
    return Case(
        f"{name}: {what}",
        lambda d: (getattr(d, draw)(*shape),),
        lambda m, x: getattr(m.nn.functional, name)(x, *arguments, **options),
        gradcheck=TIES if draw == "ties" else True,
    )


def bad(name: str, shape: tuple[int, ...], wrong: tuple[int, ...], *good: Any) -> list[Bad]:
    """What all of them refuse."""

    def call(m: Any, x: Any, *arguments: Any, **options: Any) -> Any:
        return getattr(m.nn.functional, name)(x, *arguments, **options)

    return [
        Bad("axes", lambda m: call(m, m.ones(wrong), *good), rf"^{name}: .*{len(wrong) * '[^,]*,?'}", ShapeError),
        Bad("integers", lambda m: call(m, m.ones(shape).long(), *good), rf"^{name}: .*int64", DTypeError),
        Bad("size 0", lambda m: call(m, m.ones(shape), 0), rf"^{name}: .*0", ArgumentError),
        Bad("a fraction", lambda m: call(m, m.ones(shape), 1.5), rf"^{name}: .*1\.5", DTypeError),
        Bad("too many numbers", lambda m: call(m, m.ones(shape), (2, 2, 2)), rf"^{name}: .*\(2, 2, 2\)"),
        Bad("nothing", lambda m: call(m, m.ones(*shape[:-1], 0), *good), rf"^{name}: ", ShapeError),
        Bad("a list", lambda m: call(m, [1.0], *good), rf"^{name}: .*list", DTypeError),
    ]


MAX1D = [
    pool("max_pool1d", "plain", (2, 3, 8), 2),
    pool("max_pool1d", "stride, padding", (2, 3, 9), 3, 2, 1, draw="negative"),
    pool("max_pool1d", "dilation, ceil", (2, 3, 10), 3, stride=2, dilation=2, ceil_mode=True),
    pool("max_pool1d", "indices", (2, 3, 9), 3, 2, 1, return_indices=True, draw="negative"),
    pool("max_pool1d", "indices, ties", (2, 3, 9), (3,), (1,), return_indices=True, draw="ties"),
    pool("max_pool1d", "no batch, indices", (3, 8), 2, return_indices=True),
    pool("max_pool1d", "empty batch", (0, 3, 8), 2),
]
AVG1D = [
    pool("avg_pool1d", "plain", (2, 3, 8), 2),
    pool("avg_pool1d", "stride, padding", (2, 3, 9), 3, 2, 1),
    pool("avg_pool1d", "padding does not count", (2, 3, 9), 3, 2, 1, count_include_pad=False),
    pool("avg_pool1d", "ceil", (2, 3, 10), (3,), 3, ceil_mode=True),
    pool("avg_pool1d", "no batch", (3, 8), 2),
    pool("avg_pool1d", "empty batch", (0, 3, 8), 2),
]
ADAPTIVE_AVG1D = [
    pool("adaptive_avg_pool1d", "even", (2, 3, 8), 4),
    pool("adaptive_avg_pool1d", "uneven", (2, 3, 7), (3,)),
    pool("adaptive_avg_pool1d", "larger than it was", (2, 3, 3), 5),
    pool("adaptive_avg_pool1d", "no batch", (3, 7), 2),
    pool("adaptive_avg_pool1d", "empty batch", (0, 3, 7), 2),
]
ADAPTIVE_MAX1D = [
    pool("adaptive_max_pool1d", "even", (2, 3, 8), 4),
    pool("adaptive_max_pool1d", "uneven, indices", (2, 3, 7), 3, return_indices=True),
    pool("adaptive_max_pool1d", "ties, indices", (2, 3, 7), (3,), True, draw="ties"),
    pool("adaptive_max_pool1d", "larger than it was", (2, 3, 3), 5),
    pool("adaptive_max_pool1d", "no batch", (3, 7), 2, return_indices=True),
    pool("adaptive_max_pool1d", "empty batch", (0, 3, 7), 2),
]
ADAPTIVE_MAX2D = [
    pool("adaptive_max_pool2d", "even", (2, 3, 4, 6), 2),
    pool("adaptive_max_pool2d", "uneven, indices", (2, 3, 7, 5), (3, 2), return_indices=True),
    pool("adaptive_max_pool2d", "ties, indices", (2, 3, 7, 5), (3, 4), True, draw="ties"),
    pool("adaptive_max_pool2d", "None keeps", (2, 3, 4, 5), (None, 2)),
    pool("adaptive_max_pool2d", "negative", (2, 3, 4, 5), 2, draw="negative"),
    pool("adaptive_max_pool2d", "no batch", (3, 4, 5), 2, return_indices=True),
    pool("adaptive_max_pool2d", "empty batch", (0, 3, 4, 5), 2),
]

OPERATIONS = [
    Operation(
        "max_pool1d",
        MAX1D,
        [
            *bad("max_pool1d", (2, 3, 8), (8,), 2),
            Bad("padding", lambda m: m.nn.functional.max_pool1d(m.ones(1, 1, 8), 2, padding=2), r"^max_pool1d: .*half"),
            Bad("window", lambda m: m.nn.functional.max_pool1d(m.ones(1, 1, 8), 9), r"^max_pool1d: .*9", ShapeError),
            Bad("stride", lambda m: m.nn.functional.max_pool1d(m.ones(1, 1, 8), 2, 0), r"^max_pool1d: .*stride.*0"),
        ],
    ),
    Operation(
        "avg_pool1d",
        AVG1D,
        [
            *bad("avg_pool1d", (2, 3, 8), (8,), 2),
            Bad("padding", lambda m: m.nn.functional.avg_pool1d(m.ones(1, 1, 8), 2, padding=2), r"^avg_pool1d: .*half"),
        ],
    ),
    Operation("adaptive_avg_pool1d", ADAPTIVE_AVG1D, bad("adaptive_avg_pool1d", (2, 3, 8), (8,), 2)),
    Operation("adaptive_max_pool1d", ADAPTIVE_MAX1D, bad("adaptive_max_pool1d", (2, 3, 8), (8,), 2)),
    Operation("adaptive_max_pool2d", ADAPTIVE_MAX2D, bad("adaptive_max_pool2d", (2, 3, 8, 8), (8, 8), 2)),
]
