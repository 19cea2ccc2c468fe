"""Elements at other places: rolled, tiled, gathered, shuffled, as windows; triangles; all modes of pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from gradients.cases_accumulation import many
from minidl.errors import ArgumentError, DTypeError, ShapeError


def functional(name: str, shape: tuple[int, ...], *arguments: Any, **options: Any) -> Any:
    """A bad call of a functional on ones."""
    return lambda m: getattr(m.nn.functional, name)(m.ones(shape), *arguments, **options)


ROLL = many(
    "roll",
    "normal",
    [
        ("flattened", (2, 3), lambda m, x: m.roll(x, 2)),
        ("an axis", (4, 3), lambda m, x: x.roll(1, 0)),
        ("backwards", (4, 3), lambda m, x: x.roll(-2, dims=1)),
        ("two axes", (4, 3, 2), lambda m, x: m.roll(x, (1, -1), (0, -1))),
        ("an axis twice", (4, 3), lambda m, x: m.roll(x, (1, 2), (0, 0))),
        ("further than it is long", (4, 3), lambda m, x: m.roll(x, 9, 0)),
        ("not at all", (4, 3), lambda m, x: m.roll(x, 4, 0)),
        ("empty", (0, 3), lambda m, x: m.roll(x, 1, 0)),
        ("0-d", (), lambda m, x: m.roll(x, 1)),
    ],
)
TILE = many(
    "tile",
    "normal",
    [
        ("one number", (2, 3), lambda m, x: m.tile(x, (2,))),
        ("each axis", (2, 3), lambda m, x: x.tile(2, 3)),
        ("more numbers than axes", (3,), lambda m, x: x.tile((2, 2, 1))),
        ("0-d", (), lambda m, x: x.tile((3,))),
        ("no copies", (2, 3), lambda m, x: x.tile((0, 2))),
        ("no numbers", (2, 3), lambda m, x: x.tile(())),
    ],
)
TRIANGLES = [
    case
    for name in ("tril", "triu")
    for case in many(
        name,
        "normal",
        [
            ("square", (4, 4), lambda m, x, n=name: getattr(m, n)(x)),
            ("wide, above", (3, 5), lambda m, x, n=name: getattr(x, n)(1)),
            ("tall, below", (5, 3), lambda m, x, n=name: getattr(x, n)(diagonal=-2)),
            ("matrices", (2, 3, 4, 4), lambda m, x, n=name: getattr(x, n)(-1)),
            ("far", (3, 3), lambda m, x, n=name: getattr(x, n)(7)),
            ("empty", (0, 3), lambda m, x, n=name: getattr(x, n)()),
        ],
    )
]
BAD_TRIANGLES = [
    Bad("a vector", lambda m: m.tril(m.ones(3)), r"^tril: .*\(3,\)", ShapeError),
    Bad("a fraction", lambda m: m.tril(m.ones(3, 3), 0.5), r"^tril: .*0\.5", DTypeError),
    Bad("a list", lambda m: m.triu([[1.0]]), r"^triu: .*list", DTypeError),
    Bad("bool", lambda m: m.triu(m.ones(3, 3), True), r"^triu: .*True", DTypeError),
]
SHAPES = many(
    "ravel, swapaxes, movedim",
    "normal",
    [
        ("ravel", (2, 3, 4), lambda m, x: m.ravel(x) * x.ravel()),
        ("ravel of a transposed one", (2, 3, 4), lambda m, x: x.transpose(0, 2).ravel()),
        ("ravel, 0-d", (), lambda m, x: x.ravel()),
        ("ravel, empty", (0, 3), lambda m, x: x.ravel()),
        ("swapaxes", (2, 3, 4), lambda m, x: m.swapaxes(x, 0, -1)),
        ("movedim, two axes", (2, 3, 4, 5), lambda m, x: x.movedim((0, 1), (-1, 0))),
        ("movedim, all axes", (2, 3, 4), lambda m, x: m.movedim(x, [0, 1, 2], [2, 0, 1])),
        ("where as a method", (3, 4), lambda m, x: (x * 2).where(x > 0, x * 3)),
    ],
)


def gathered(name: str, shape: tuple[int, ...], dim: int, index: tuple[int, ...]) -> Case:
    """Elements at random places, some several times."""
    length = shape[dim] if shape else 1
    return Case(
        f"gather: {name}",
        lambda d: (d.normal(*shape), d.integers(0, length, *index)),
        lambda m, x, i: m.gather(x, dim, i),
    )


GATHER = [
    gathered("dim 0", (4, 3), 0, (6, 3)),
    gathered("dim 1", (4, 3), 1, (4, 5)),
    gathered("dim -1 of three", (2, 3, 4), -1, (2, 3, 7)),
    gathered("a shorter index", (4, 3, 5), 1, (2, 6, 3)),
    gathered("one axis", (4,), 0, (9,)),
    gathered("0-d", (), 0, ()),
    gathered("an empty index", (4, 3), 0, (0, 3)),
    Case(
        "gather: method",
        lambda d: (d.normal(3, 4), d.integers(0, 4, 3, 2)),
        lambda m, x, i: x.gather(dim=1, index=i),
    ),
]
PADS: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    ("images", (2, 3, 4, 5), (1, 2, 3, 0)),
    ("images, one axis", (2, 4, 5), (2, 3)),
    ("sequences", (3, 6), (4, 1)),
    ("no batch", (3, 4, 5), (1, 1, 2, 2)),
    ("volumes", (2, 3, 4, 5, 3), (1, 0, 2, 1, 0, 3)),
    ("volumes, no batch", (3, 4, 5, 3), (1, 0, 2, 1, 0, 3)),
    ("cut and grow", (2, 3, 4, 5), (-1, 2, 1, -2)),
]
PAD = [
    Case(
        f"pad, mode {mode}: {what}",
        lambda d, s=shape: (d.normal(*s),),
        lambda m, x, mode=mode, w=widths: m.nn.functional.pad(x, w, mode=mode),
    )
    for mode in ("reflect", "replicate", "circular")
    for what, shape, widths in PADS
    if what != "cut and grow" or mode == "replicate"
]
WINDOWS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("plain", (2, 3, 5, 6), {"kernel_size": 2}),
    ("stride", (2, 3, 5, 6), {"kernel_size": (2, 3), "stride": 2}),
    ("padding, dilation", (2, 3, 5, 6), {"kernel_size": 3, "padding": (1, 2), "dilation": (1, 2), "stride": (2, 1)}),
    ("no batch", (3, 5, 6), {"kernel_size": 2}),
    ("empty batch", (0, 3, 5, 6), {"kernel_size": 2}),
]
UNFOLD = [
    *[
        Case(
            f"unfold: {what}",
            lambda d, s=shape: (d.normal(*s),),
            lambda m, x, kw=kw: m.nn.functional.unfold(x, **kw),
        )
        for what, shape, kw in WINDOWS
    ],
    Case(
        "unfold: infinity stays where it is",
        lambda d: (np.array([[[[np.inf, 1.0], [2.0, 3.0], [4.0, 5.0]]]]),),
        lambda m, x: m.nn.functional.unfold(x, (1, 2)),
        gradcheck="infinite",
    ),
]
FOLD = [
    Case(
        f"fold: {what}",
        lambda d, s=shape: (d.normal(*s),),
        lambda m, x, kw=kw: m.nn.functional.fold(x, **kw),
    )
    for what, shape, kw in (
        ("plain", (2, 12, 20), {"output_size": (5, 6), "kernel_size": 2}),
        ("stride, padding", (2, 12, 9), {"output_size": (5, 5), "kernel_size": 2, "stride": 2, "padding": 1}),
        ("dilation", (1, 8, 12), {"output_size": (5, 6), "kernel_size": (2, 2), "dilation": 2}),
        ("no batch", (12, 20), {"output_size": (5, 6), "kernel_size": 2}),
    )
]
SHUFFLE = [
    Case(
        f"pixel_shuffle: {what}",
        lambda d, s=shape: (d.normal(*s),),
        lambda m, x, r=r: m.nn.functional.pixel_shuffle(x, r),
    )
    for what, shape, r in (
        ("by 2", (2, 8, 3, 4), 2),
        ("by 3", (1, 9, 2, 2), 3),
        ("by 1", (1, 2, 2, 2), 1),
        ("no batch", (4, 3, 2), 2),
        ("five axes", (2, 3, 4, 2, 3), 2),
    )
]

OPERATIONS = [
    Operation(
        "roll",
        ROLL,
        [
            Bad("numbers", lambda m: m.roll(m.ones(2, 2), (1, 2), 0), r"^roll: .*\(1, 2\)", ArgumentError),
            Bad("axis", lambda m: m.roll(m.ones(2, 2), 1, 2), r"^roll: .*2", ArgumentError),
            Bad("a fraction", lambda m: m.roll(m.ones(2, 2), 0.5, 0), r"^roll: .*0\.5", DTypeError),
            Bad("no dims", lambda m: m.roll(m.ones(2, 2), (1, 2)), r"^roll: .*None", ArgumentError),
            Bad("a list", lambda m: m.roll([1.0], 1), r"^roll: .*list", DTypeError),
        ],
    ),
    Operation(
        "tile",
        TILE,
        [
            Bad("a fraction", lambda m: m.tile(m.ones(2), (1.5,)), r"^tile: .*1\.5", DTypeError),
            Bad("negative", lambda m: m.tile(m.ones(2), (-1,)), r"^tile: .*-1", ArgumentError),
            Bad("a list", lambda m: m.tile([1.0], (2,)), r"^tile: .*list", DTypeError),
            Bad("a string", lambda m: m.tile(m.ones(2), "x"), r"^tile: .*x", DTypeError),
        ],
    ),
    Operation("tril, triu", TRIANGLES, BAD_TRIANGLES),
    Operation(
        "ravel, swapaxes, movedim",
        SHAPES,
        [
            Bad("a list", lambda m: m.ravel([1.0]), r"^ravel: .*list", DTypeError),
            Bad("axis", lambda m: m.swapaxes(m.ones(2, 2), 0, 2), r"^transpose: .*2", ArgumentError),
            Bad("numbers", lambda m: m.movedim(m.ones(2, 2), (0, 1), 0), r"^movedim: .*0", ArgumentError),
            Bad("an axis twice", lambda m: m.movedim(m.ones(2, 2), (0, 0), (0, 1)), r"^movedim: .*once", ArgumentError),
            Bad("place", lambda m: m.movedim(m.ones(2, 2), 0, 5), r"^movedim: .*5", ArgumentError),
        ],
    ),
    Operation(
        "gather",
        GATHER,
        [
            Bad("out of range", lambda m: m.gather(m.ones(2), 0, m.tensor([2])), r"^gather: .*2", ArgumentError),
            Bad("negative", lambda m: m.gather(m.ones(2), 0, m.tensor([-1])), r"^gather: .*-1", ArgumentError),
            Bad("floats", lambda m: m.gather(m.ones(2), 0, m.ones(2)), r"^gather: .*float32", DTypeError),
            Bad("axes", lambda m: m.gather(m.ones(2, 2), 0, m.tensor([0])), r"^gather: .*\(1,\)", ShapeError),
            Bad("too long", lambda m: m.gather(m.ones(2, 2), 0, m.tensor([[0, 0, 0]])), r"^gather: .*\(1, 3\)"),
            Bad("axis", lambda m: m.gather(m.ones(2), 1, m.tensor([0])), r"^gather: .*1", ArgumentError),
            Bad("sparse", lambda m: m.gather(m.ones(2), 0, m.tensor([0]), sparse_grad=True), r"^gather: .*sparse"),
            Bad("a list", lambda m: m.gather(m.ones(2), 0, [0]), r"^gather: .*list", DTypeError),
        ],
    ),
    Operation(
        "pad, modes",
        PAD,
        [
            Bad("reflect too far", functional("pad", (1, 3, 3), (3, 0), "reflect"), r"^pad: .*2", ShapeError),
            Bad("circular too far", functional("pad", (1, 3, 3), (4, 0), "circular"), r"^pad: .*3", ShapeError),
            Bad("axes", functional("pad", (2, 2), (1, 1, 1, 1), "reflect"), r"^pad: .*\(2, 2\)", ShapeError),
            Bad("mode", functional("pad", (1, 3, 3), (1, 1), "mirror"), r"^pad: .*'mirror'", ArgumentError),
            Bad("value", functional("pad", (1, 3, 3), (1, 1), "reflect", 2.0), r"^pad: .*2\.0", ArgumentError),
            Bad("nothing to repeat", functional("pad", (1, 3, 0), (1, 1), "replicate"), r"^pad: ", ShapeError),
        ],
    ),
    Operation(
        "unfold",
        UNFOLD,
        [
            Bad("axes", functional("unfold", (3, 3), 2), r"^unfold: .*\(3, 3\)", ShapeError),
            Bad("window", functional("unfold", (1, 3, 3, 3), 4), r"^unfold: .*4 x 4", ShapeError),
            Bad("stride", functional("unfold", (1, 3, 3, 3), 2, stride=0), r"^unfold: .*stride.*0", ArgumentError),
            Bad("kernel", functional("unfold", (1, 3, 3, 3), 1.5), r"^unfold: .*1\.5", DTypeError),
            Bad("empty", functional("unfold", (1, 0, 3, 3), 2), r"^unfold: .*0", ShapeError),
        ],
    ),
    Operation(
        "fold",
        FOLD,
        [
            Bad("columns", functional("fold", (1, 12, 19), (5, 6), 2), r"^fold: .*4 \* 5.*19", ShapeError),
            Bad("channels", functional("fold", (1, 13, 20), (5, 6), 2), r"^fold: .*4.*13", ShapeError),
            Bad("axes", functional("fold", (12,), (5, 6), 2), r"^fold: .*\(12,\)", ShapeError),
            Bad("window", functional("fold", (1, 12, 20), (1, 1), 2), r"^fold: .*2 x 2", ShapeError),
            Bad("dilation", functional("fold", (1, 12, 20), (5, 6), 2, dilation=0), r"^fold: .*dilation.*0"),
        ],
    ),
    Operation(
        "pixel_shuffle",
        SHUFFLE,
        [
            Bad("channels", functional("pixel_shuffle", (1, 6, 2, 2), 2), r"^pixel_shuffle: .*6", ShapeError),
            Bad("axes", functional("pixel_shuffle", (4, 4), 2), r"^pixel_shuffle: .*\(4, 4\)", ShapeError),
            Bad("factor 0", functional("pixel_shuffle", (1, 4, 2, 2), 0), r"^pixel_shuffle: .*0", ShapeError),
            Bad("a fraction", functional("pixel_shuffle", (1, 4, 2, 2), 0.5), r"^pixel_shuffle: .*0\.5", DTypeError),
        ],
    ),
]
