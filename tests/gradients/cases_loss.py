"""Losses: every reduction, class weights, ignored targets, smoothing, probabilities, images and single samples."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gradients.case import Bad, Case, Draw, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError

REDUCTIONS = ("mean", "sum", "none")


def targets(d: Draw, classes: int, shape: tuple[int, ...], ignored: int | None) -> np.ndarray:
    """Class indices, about a third of them ``ignored``."""
    target = d.integers(0, classes, *shape)
    return target if ignored is None else np.where(d.rng.random(shape) < 0.35, ignored, target)


def indices(
    function: str, name: str, shape: tuple[int, ...], weighted: bool = False, ignored: int | None = None, **options: Any
) -> Case:
    """Logits (N, C, ...), or (C,), against class indices (N, ...), or ()."""
    classes, places = (shape[0], ()) if len(shape) == 1 else (shape[1], (shape[0], *shape[2:]))

    def inputs(d: Draw) -> tuple[np.ndarray, ...]:
        x = d.normal(*shape)
        return (x, targets(d, classes, places, ignored), *([d.positive(classes)] if weighted else []))

    def call(m: Any, x: Any, target: Any, weight: Any = None) -> Any:
        return getattr(m.nn.functional, function)(x, target, weight=weight, **options)

    return Case(f"{function}: {name}", inputs, call, constant=(2,))


def probabilities(name: str, shape: tuple[int, ...], weighted: bool = False, **options: Any) -> Case:
    """Logits against class probabilities of the same shape, which get gradients too."""

    def inputs(d: Draw) -> tuple[np.ndarray, ...]:
        axis = 0 if len(shape) == 1 else 1
        weight = [d.positive(shape[axis])] if weighted else []
        return (d.normal(*shape), d.simplex(*shape, axis=axis), *weight)

    def call(m: Any, x: Any, target: Any, weight: Any = None) -> Any:
        return m.nn.functional.cross_entropy(x, target, weight=weight, **options)

    return Case(f"cross_entropy: probabilities, {name}", inputs, call, constant=(2,))


def both_losses(function: str) -> list[Case]:
    """What cross entropy and the negative log-likelihood have in common."""
    return [
        *[indices(function, f"(N, C), {r}", (5, 4), reduction=r) for r in REDUCTIONS],
        *[indices(function, f"weights, {r}", (5, 4), weighted=True, reduction=r) for r in REDUCTIONS],
        *[indices(function, f"ignored, {r}", (9, 4), ignored=-100, reduction=r) for r in REDUCTIONS],
        *[
            indices(function, f"ignored class 1, {r}", (9, 4), ignored=1, ignore_index=1, reduction=r)
            for r in REDUCTIONS
        ],
        *[indices(function, f"images, {r}", (2, 3, 4, 5), reduction=r) for r in REDUCTIONS],
        *[indices(function, f"(N, C, L), {r}", (2, 3, 4), reduction=r) for r in REDUCTIONS],
        *[indices(function, f"no batch, {r}", (4,), reduction=r) for r in REDUCTIONS],
        *[
            indices(function, f"images, weights, ignored, {r}", (2, 3, 4, 5), True, -7, ignore_index=-7, reduction=r)
            for r in REDUCTIONS
        ],
        indices(function, "batch of 1", (1, 10)),
        indices(function, "one class", (3, 1), reduction="sum"),
        indices(function, "empty batch, none", (0, 4), reduction="none"),
        indices(function, "empty batch, sum", (0, 4), reduction="sum"),
        indices(function, "no batch, weights", (4,), weighted=True),
        Case(
            f"{function}: all ignored",
            lambda d: (d.normal(3, 4), np.full(3, -100)),
            lambda m, x, t: getattr(m.nn.functional, function)(x, t),
            gradcheck="0 / 0",
            second_order="0 / 0",
        ),
        Case(
            f"{function}: all ignored, sum",
            lambda d: (d.normal(3, 4), np.full(3, -100)),
            lambda m, x, t: getattr(m.nn.functional, function)(x, t, reduction="sum"),
        ),
    ]


SMOOTH = [
    *[indices("cross_entropy", f"smoothing 0.1, {r}", (5, 4), label_smoothing=0.1, reduction=r) for r in REDUCTIONS],
    *[
        indices("cross_entropy", f"smoothing 0.3, weights, {r}", (6, 4), True, label_smoothing=0.3, reduction=r)
        for r in REDUCTIONS
    ],
    *[
        indices(
            "cross_entropy",
            f"smoothing 0.2, weights, ignored, {r}",
            (9, 4),
            True,
            -100,
            label_smoothing=0.2,
            reduction=r,
        )
        for r in REDUCTIONS
    ],
    *[
        indices(
            "cross_entropy",
            f"smoothing 0.2, images, weights, ignored, {r}",
            (2, 3, 4, 5),
            True,
            -100,
            label_smoothing=0.2,
            reduction=r,
        )
        for r in REDUCTIONS
    ],
    indices("cross_entropy", "smoothing 1", (5, 4), label_smoothing=1.0),
    indices("cross_entropy", "smoothing, no batch", (4,), label_smoothing=0.1),
]

PROBABILITIES = [
    *[probabilities(r, (5, 4), reduction=r) for r in REDUCTIONS],
    *[probabilities(f"weights, {r}", (5, 4), weighted=True, reduction=r) for r in REDUCTIONS],
    *[probabilities(f"images, {r}", (2, 3, 4, 5), reduction=r) for r in REDUCTIONS],
    *[
        probabilities(f"smoothing, weights, {r}", (5, 4), weighted=True, label_smoothing=0.2, reduction=r)
        for r in REDUCTIONS
    ],
    probabilities("no batch", (4,)),
    probabilities("empty batch, sum", (0, 4), reduction="sum"),
]

LARGE = [
    Case(
        "cross_entropy: large logits",
        lambda d: (d.normal(5, 4) * 300, d.integers(0, 4, 5)),
        lambda m, x, t: m.nn.functional.cross_entropy(x, t),
        gradcheck="saturated",
        float32=1e-3,
    ),
    Case(
        "cross_entropy: minus infinity beside the target",
        lambda d: (np.array([[0.5, -np.inf, 1.0], [1.0, 2.0, -np.inf]]), np.array([0, 1])),
        lambda m, x, t: m.nn.functional.cross_entropy(x, t),
        gradcheck="infinite",
        second_order="infinite",
    ),
    Case(
        "cross_entropy: logits from a product",
        lambda d: (d.normal(6, 5), d.normal(4, 5), d.integers(0, 4, 6)),
        lambda m, x, w, t: m.nn.functional.cross_entropy(m.nn.functional.linear(x, w), t),
    ),
]


def mse(name: str, x: tuple[int, ...], y: tuple[int, ...], zero_by_zero: bool = False, **options: Any) -> Case:
    """Two tensors, both differentiated."""
    sense: Any = "0 / 0" if zero_by_zero else True
    return Case(
        f"mse_loss: {name}",
        lambda d: (d.normal(*x), d.normal(*y)),
        lambda m, a, b: m.nn.functional.mse_loss(a, b, **options),
        gradcheck=sense,
        second_order=sense,
    )


def broadcast_by_mistake(m: Any) -> Any:
    """(4, 1) against (4,) gives (4, 4): allowed with a warning, as in torch; here the warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return m.nn.functional.mse_loss(m.zeros(4, 1), m.zeros(4))


def bad_indices(function: str) -> list[Bad]:
    """Targets out of range, shapes that do not fit, unknown reductions."""

    def call(x: tuple[int, ...], target: list[Any], **options: Any) -> Any:
        return lambda m: getattr(m.nn.functional, function)(m.zeros(*x), m.tensor(target), **options)

    return [
        Bad("target 4 of 4 classes", call((2, 4), [1, 4]), rf"^{function}: .*4", (ArgumentError, IndexError)),
        Bad("target -1", call((2, 4), [1, -1]), rf"^{function}: .*-1", (ArgumentError, IndexError)),
        Bad(
            "ignored elsewhere",
            call((2, 4), [1, -100], ignore_index=0),
            rf"^{function}: .*-100",
            (ArgumentError, IndexError),
        ),
        Bad("number of targets", call((2, 4), [1, 2, 3]), rf"^{function}: .*3", ShapeError),
        Bad("unknown reduction", call((2, 4), [1, 2], reduction="average"), rf"^{function}: .*average", ArgumentError),
        Bad("images against vectors", call((2, 4, 3, 3), [1, 2]), rf"^{function}: .*", ShapeError),
        Bad("0-d input", call((), 1), rf"^{function}: .*", ShapeError),
        Bad(
            "weight's length",
            lambda m: getattr(m.nn.functional, function)(m.zeros(2, 4), m.tensor([1, 2]), weight=m.ones(3)),
            rf"^{function}: .*weight.*",
            ShapeError,
        ),
        Bad(
            "integer input",
            lambda m: getattr(m.nn.functional, function)(m.zeros(2, 4, dtype=m.int64), m.tensor([1, 2])),
            rf"^{function}: .*int64",
            DTypeError,
        ),
        Bad(
            "a list as target",
            lambda m: getattr(m.nn.functional, function)(m.zeros(2, 4), [1, 2]),
            rf"^{function}: .*list",
            DTypeError,
        ),
    ]


OPERATIONS = [
    Operation(
        "cross_entropy",
        [*both_losses("cross_entropy"), *SMOOTH, *PROBABILITIES, *LARGE],
        [
            *bad_indices("cross_entropy"),
            Bad(
                "smoothing above 1",
                lambda m: m.nn.functional.cross_entropy(m.zeros(2, 4), m.tensor([1, 2]), label_smoothing=1.5),
                r"^cross_entropy: .*label_smoothing.*1\.5",
            ),
            Bad(
                "shape of probabilities",
                lambda m: m.nn.functional.cross_entropy(m.zeros(2, 4), m.zeros(2, 3)),
                r"^cross_entropy: .*3",
                ShapeError,
            ),
            Bad(
                "float target of indices' shape",
                lambda m: m.nn.functional.cross_entropy(m.zeros(2, 4), m.zeros(2)),
                r"^cross_entropy: .*",
                (ShapeError, DTypeError),
            ),
        ],
    ),
    Operation(
        "nll_loss",
        both_losses("nll_loss"),
        [
            *bad_indices("nll_loss"),
            Bad(
                "float target",
                lambda m: m.nn.functional.nll_loss(m.zeros(2, 4), m.zeros(2)),
                r"^nll_loss: .*float32",
                DTypeError,
            ),
        ],
    ),
    Operation(
        "mse_loss",
        [
            *[mse(f"images, {r}", (2, 3, 4, 5), (2, 3, 4, 5), reduction=r) for r in REDUCTIONS],
            *[mse(f"features, {r}", (4, 3), (4, 3), reduction=r) for r in REDUCTIONS],
            mse("0-d", (), ()),
            mse("empty, sum", (0, 3), (0, 3), reduction="sum"),
            mse("empty, mean", (0, 3), (0, 3), zero_by_zero=True),
            Case(
                "mse_loss: constant target",
                lambda d: (d.normal(4, 3), d.normal(4, 3)),
                lambda m, x, y: m.nn.functional.mse_loss(x, y),
                constant=(1,),
            ),
            Case(
                "mse_loss: against itself", lambda d: (d.normal(4, 3),), lambda m, x: m.nn.functional.mse_loss(x, x * 2)
            ),
        ],
        [
            Bad(
                "shapes", lambda m: m.nn.functional.mse_loss(m.zeros(2, 3), m.zeros(3, 2)), r"^mse_loss: .*", ShapeError
            ),
            Bad(
                "shapes that would broadcast to a surprise",
                broadcast_by_mistake,
                r"^mse_loss: .*(4, 1).*(4,)",
                UserWarning,
            ),
            Bad(
                "unknown reduction",
                lambda m: m.nn.functional.mse_loss(m.zeros(2), m.zeros(2), reduction="avg"),
                r"^mse_loss: .*avg",
                ArgumentError,
            ),
            Bad("a list", lambda m: m.nn.functional.mse_loss(m.zeros(2), [0.0, 1.0]), r"^mse_loss: .*list", DTypeError),
        ],
    ),
]
