"""Rows of a table, and images of another size."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError

WORDS = np.array([[0, 3, 3], [4, 0, 3]])


ON_PURPOSE = "the gradient is not the derivative, on purpose"
UNSCALED = "torch leaves the scale out of the second order"


def embedded(name: str, words: np.ndarray = WORDS, **options: Any) -> Case:
    second: Any = UNSCALED if "scale_grad_by_freq" in options else True
    if not words.size:
        second = "torch cannot do it"
    return Case(
        f"embedding: {name}",
        lambda d: (words.copy(), d.normal(5, 3)),
        lambda m, i, w: m.nn.functional.embedding(i, w, **options),
        gradcheck=ON_PURPOSE if options else True,
        second_order=second,
    )


def shortened(name: str, **options: Any) -> Case:
    """max_norm writes into the table, so that it cannot be a leaf that is differentiated; it comes back too."""

    def call(m: Any, i: Any, w: Any, x: Any) -> Any:
        table = w.clone()
        return m.nn.functional.embedding(i, table, **options) + x * 0, table

    return Case(
        f"embedding: {name}",
        lambda d: (WORDS.copy(), d.normal(5, 3), d.normal(3)),
        call,
        constant=(1,),
        second_order="0",
    )


def resized(name: str, shape: tuple[int, ...], **options: Any) -> Case:
    return Case(
        f"interpolate: {name}",
        lambda d: (d.normal(*shape),),
        lambda m, x: m.nn.functional.interpolate(x, **options),
    )


IMAGE = (2, 3, 4, 5)
FLOATS = "float32 numbers of the pixels in torch"
INTERPOLATE = [
    resized("nearest, larger", IMAGE, size=(7, 9)),
    resized("nearest, smaller", IMAGE, size=3),
    resized("nearest, factor 2", IMAGE, scale_factor=2),
    resized("nearest, odd factor", IMAGE, scale_factor=1.7),
    resized("nearest, odd factor recomputed", IMAGE, scale_factor=1.7, recompute_scale_factor=True),
    resized("nearest-exact, larger", IMAGE, size=(7, 9), mode="nearest-exact"),
    resized("nearest-exact, smaller", IMAGE, size=(3, 2), mode="nearest-exact"),
    resized("nearest, sequences", (2, 3, 7), size=5),
    resized("nearest, volumes", (1, 2, 3, 4, 5), size=(2, 5, 9)),
    resized("area", IMAGE, size=(3, 2), mode="area"),
    resized("area, sequences", (2, 3, 7), size=3, mode="area"),
    resized("area, volumes", (1, 2, 3, 4, 5), size=(2, 3, 2), mode="area"),
    resized("linear", (2, 3, 7), size=10, mode="linear"),
    resized("linear, align corners", (2, 3, 7), size=4, mode="linear", align_corners=True),
    resized("linear, to one", (2, 3, 7), size=1, mode="linear", align_corners=True),
    resized("trilinear", (1, 2, 3, 4, 5), size=(4, 3, 7), mode="trilinear"),
    resized("trilinear, align corners", (1, 2, 3, 4, 5), scale_factor=2, mode="trilinear", align_corners=True),
    *[
        resized(f"{mode}, {what}", IMAGE, mode=mode, **options)
        for mode in ("bilinear", "bicubic")
        for what, options in (
            ("larger", {"size": (7, 9)}),
            ("smaller", {"size": (3, 2)}),
            ("align corners", {"size": (7, 3), "align_corners": True}),
            ("factor", {"scale_factor": (1.7, 0.6)}),
            ("factor recomputed", {"scale_factor": (1.7, 0.6), "recompute_scale_factor": True}),
            ("antialias, smaller", {"size": (2, 3), "antialias": True}),
            ("antialias, larger", {"size": (7, 9), "antialias": True}),
            ("antialias, align corners", {"size": (2, 3), "antialias": True, "align_corners": True}),
            ("empty batch", {"size": (3, 2)}),
        )
    ],
]
INTERPOLATE = [
    resized(case.name.removeprefix("interpolate: "), (0, 3, 4, 5), size=(3, 2), mode=case.name.split()[1].rstrip(","))
    if "empty batch" in case.name
    else case
    for case in INTERPOLATE
]


def interpolate(m: Any, *shape: int, **options: Any) -> Any:
    return m.nn.functional.interpolate(m.ones(shape), **options)


def embed(m: Any, words: Any, table: Any, **options: Any) -> Any:
    return m.nn.functional.embedding(words, table, **options)


OPERATIONS = [
    Operation(
        "embedding",
        [
            embedded("words"),
            embedded("one word", np.array(3)),
            embedded("no words", np.zeros((0, 2), np.int64)),
            embedded("padding_idx", padding_idx=3),
            embedded("negative padding_idx", padding_idx=-2),
            embedded("scale_grad_by_freq", scale_grad_by_freq=True),
            embedded("both", padding_idx=0, scale_grad_by_freq=True),
            shortened("max_norm", max_norm=0.8),
            shortened("max_norm, norm_type 1", max_norm=0.8, norm_type=1.0),
        ],
        [
            Bad("out of range", lambda m: embed(m, m.tensor([5]), m.ones(5, 2)), r"^embedding: .*5", ArgumentError),
            Bad("negative", lambda m: embed(m, m.tensor([-1]), m.ones(5, 2)), r"^embedding: .*-1", ArgumentError),
            Bad("floats", lambda m: embed(m, m.ones(2), m.ones(5, 2)), r"^embedding: .*float32", DTypeError),
            Bad("table", lambda m: embed(m, m.tensor([1]), m.ones(5)), r"^embedding: .*\(5,\)", ShapeError),
            Bad("padding", lambda m: embed(m, m.tensor([1]), m.ones(5, 2), padding_idx=5), r"^embedding: .*5"),
            Bad("sparse", lambda m: embed(m, m.tensor([1]), m.ones(5, 2), sparse=True), r"^embedding: .*sparse"),
            Bad("a list", lambda m: embed(m, [1], m.ones(5, 2)), r"^embedding: .*list", DTypeError),
        ],
    ),
    Operation(
        "interpolate",
        INTERPOLATE,
        [
            Bad("neither", lambda m: interpolate(m, 1, 1, 4), r"^interpolate: .*neither", ArgumentError),
            Bad("both", lambda m: interpolate(m, 1, 1, 4, size=2, scale_factor=2), r"^interpolate: .*both"),
            Bad("mode", lambda m: interpolate(m, 1, 1, 4, size=2, mode="sharp"), r"^interpolate: .*'sharp'"),
            Bad("axes", lambda m: interpolate(m, 4, 4, size=2), r"^interpolate: .*\(4, 4\)", ShapeError),
            Bad("mode's axes", lambda m: interpolate(m, 1, 1, 4, size=2, mode="bilinear"), r"^interpolate: .*bilinear"),
            Bad("sizes", lambda m: interpolate(m, 1, 1, 4, 4, size=(2, 2, 2)), r"^interpolate: .*\(2, 2, 2\)"),
            Bad("size 0", lambda m: interpolate(m, 1, 1, 4, size=0), r"^interpolate: .*0", ShapeError),
            Bad("a fraction", lambda m: interpolate(m, 1, 1, 4, size=1.5), r"^interpolate: .*1\.5", DTypeError),
            Bad("factor", lambda m: interpolate(m, 1, 1, 4, scale_factor=-1.0), r"^interpolate: .*-1"),
            Bad("corners", lambda m: interpolate(m, 1, 1, 4, size=2, align_corners=True), r"^interpolate: .*nearest"),
            Bad("antialias", lambda m: interpolate(m, 1, 1, 4, size=2, antialias=True), r"^interpolate: .*antialias"),
        ],
    ),
]
