"""Batch normalisation of features, sequences and images, in training and evaluation; dropout against its own mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import DTypeError, ShapeError

SHAPES = {"(N, C)": (6, 3), "(N, C, L)": (4, 3, 5), "(N, C, H, W)": (3, 4, 5, 3)}
BUFFERS = (1, 2)


def normalize(
    name: str, shape: tuple[int, ...], affine: bool, offset: float = 0.0, tolerance: float = 5e-5, **options: Any
) -> Case:
    """Input, running mean and variance, weight and bias; the updated buffers are results too."""
    channels = shape[1]

    def inputs(d: Any) -> tuple[np.ndarray, ...]:
        parameters = (d.nonzero(channels), d.normal(channels)) if affine else ()
        return (d.normal(*shape) + offset, d.normal(channels), d.positive(channels), *parameters)

    def call(m: Any, x: Any, mean: Any, variance: Any, *parameters: Any) -> Any:
        y = m.nn.functional.batch_norm(x, mean, variance, *parameters, **options)
        return y, mean, variance

    return Case(f"batch_norm: {name}", inputs, call, constant=BUFFERS, float32=tolerance)


def without_buffers(name: str, shape: tuple[int, ...]) -> Case:
    """Training needs no running statistics."""
    return Case(
        f"batch_norm: {name}",
        lambda d: (d.normal(*shape), d.nonzero(shape[1]), d.normal(shape[1])),
        lambda m, x, w, b: m.nn.functional.batch_norm(x, None, None, w, b, training=True),
        float32=5e-5,
    )


BATCH_NORM = [
    *[normalize(f"training, {axes}", shape, True, training=True) for axes, shape in SHAPES.items()],
    *[normalize(f"training, {axes}, no affine", shape, False, training=True) for axes, shape in SHAPES.items()],
    *[normalize(f"evaluation, {axes}", shape, True, training=False) for axes, shape in SHAPES.items()],
    *[normalize(f"evaluation, {axes}, no affine", shape, False, training=False) for axes, shape in SHAPES.items()],
    *[without_buffers(f"training without buffers, {axes}", shape) for axes, shape in SHAPES.items()],
    normalize("momentum 0.7", (3, 4, 5, 3), True, training=True, momentum=0.7),
    normalize("momentum 0", (3, 4, 5, 3), True, training=True, momentum=0.0),
    normalize("momentum 1", (3, 4), True, training=True, momentum=1.0),
    normalize("eps 0.1", (3, 4, 5, 3), True, training=True, eps=0.1),
    normalize("eps 0.1, evaluation", (3, 4, 5, 3), True, training=False, eps=0.1),
    normalize("batch of 1", (1, 4, 5, 3), True, training=True),
    normalize("batch of 1, evaluation", (1, 4), True, training=False),
    normalize("empty batch, evaluation", (0, 4, 5, 3), True, training=False),
    normalize("empty batch, training", (0, 4, 5, 3), True, training=True),
    normalize("two values a channel", (2, 4), True, training=True, tolerance=2e-3),
    normalize("far from 0", (3, 4, 5, 3), True, offset=50.0, training=True, tolerance=1e-3),
    normalize("17 channels", (3, 17, 4, 5), True, training=True),
    Case(
        "batch_norm: weight without bias",
        lambda d: (d.normal(3, 4, 5, 3), d.nonzero(4)),
        lambda m, x, w: m.nn.functional.batch_norm(x, None, None, w, None, training=True),
        float32=5e-5,
    ),
    Case(
        "batch_norm: constant input",
        lambda d: (d.normal(3, 4, 5, 3), d.nonzero(4), d.normal(4)),
        lambda m, x, w, b: m.nn.functional.batch_norm(x, None, None, w, b, training=True),
        constant=(0,),
        float32=5e-5,
    ),
    Case(
        "batch_norm: frozen weight and bias",
        lambda d: (d.normal(3, 4, 5, 3), d.nonzero(4), d.normal(4)),
        lambda m, x, w, b: m.nn.functional.batch_norm(x, None, None, w, b, training=True),
        constant=(1, 2),
        float32=5e-5,
    ),
]


def bad_norm(
    name: str,
    says: str,
    *shapes: tuple[int, ...] | None,
    error: Any = None,
    x: tuple[int, ...] = (2, 3, 4, 4),
    **options: Any,
) -> Bad:
    """A bad call: shapes of running mean, running variance, weight and bias."""

    def call(m: Any) -> Any:
        tensors = [None if shape is None else m.ones(*shape) for shape in shapes]
        return m.nn.functional.batch_norm(m.ones(*x), *tensors, **options)

    says = rf"^batch_norm: .*{says}"
    return Bad(name, call, says, error) if error else Bad(name, call, says)


BAD_NORM = [
    bad_norm("length of the mean", "running_mean", (4,), (3,), error=ShapeError),
    bad_norm("length of the variance", "running_var", (3,), (4,), error=ShapeError),
    bad_norm("length of the weight", "weight", (3,), (3,), (4,), (3,), error=ShapeError),
    bad_norm("length of the bias", "bias", (3,), (3,), (3,), (2,), error=ShapeError),
    bad_norm("one axis", "", (3,), (3,), x=(3,), error=ShapeError),
    bad_norm("evaluation without buffers", "running_mean|^batch_norm: .*running", None, None, training=False),
    bad_norm(
        "one value a channel", "more than (1|one) value|^batch_norm: .*value", (3,), (3,), x=(1, 3), training=True
    ),
    bad_norm("eps 0 or below", "eps.*-1", (3,), (3,), training=True, eps=-1.0),
    Bad(
        "integers",
        lambda m: m.nn.functional.batch_norm(m.ones(2, 3, dtype=m.int64), m.ones(3), m.ones(3)),
        r"^batch_norm: .*int64",
        DTypeError,
    ),
]


def masked(function: str, name: str, shape: tuple[int, ...], **options: Any) -> Case:
    """Dropout, against a product with the mask that the same generator gives to a tensor of ones."""

    def call(m: Any, x: Any) -> Any:
        return getattr(m.nn.functional, function)(x, generator=m.Generator(5), **options)

    def twin(torch: Any, x: Any) -> Any:
        import minidl

        mask = call(minidl, minidl.ones(*x.shape, dtype=minidl.float64))
        return x * torch.from_numpy(mask.numpy())

    return Case(f"{function}: {name}", lambda d: (d.normal(*shape),), call, twin)


def exact(function: str, name: str, shape: tuple[int, ...], **options: Any) -> Case:
    """Dropout where nothing is left to chance, against torch itself."""
    return Case(
        f"{function}: {name}",
        lambda d: (d.normal(*shape),),
        lambda m, x: getattr(m.nn.functional, function)(x, **options),
    )


def bad_dropout(function: str) -> list[Bad]:
    """Probabilities outside [0, 1] and no tensors."""
    return [
        Bad(
            "p above 1", lambda m: getattr(m.nn.functional, function)(m.zeros(2, 3, 4, 4), 1.5), rf"^{function}: .*1\.5"
        ),
        Bad(
            "p below 0",
            lambda m: getattr(m.nn.functional, function)(m.zeros(2, 3, 4, 4), -0.1),
            rf"^{function}: .*-0\.1",
        ),
        Bad(
            "p is NaN",
            lambda m: getattr(m.nn.functional, function)(m.zeros(2, 3, 4, 4), float("nan")),
            rf"^{function}: .*nan",
        ),
        Bad(
            "p is a string",
            lambda m: getattr(m.nn.functional, function)(m.zeros(2, 3, 4, 4), "x"),
            rf"^{function}: .*(str|'x')",
        ),
        Bad("a list", lambda m: getattr(m.nn.functional, function)([1.0]), rf"^{function}: .*list", DTypeError),
    ]


def dropout_cases(function: str, shapes: dict[str, tuple[int, ...]]) -> list[Case]:
    """What dropout and dropout2d have in common."""
    some = next(iter(shapes.values()))
    return [
        *[masked(function, f"p 0.3, {name}", shape, p=0.3) for name, shape in shapes.items()],
        masked(function, "p 0.5", some),
        masked(function, "p 0.95", some, p=0.95),
        exact(function, "p 0", some, p=0.0),
        exact(function, "p 1", some, p=1.0),
        exact(function, "evaluation", some, p=0.5, training=False),
        exact(function, "empty", (0, *some[1:]), p=0.5),
    ]


IMAGES = {"images": (3, 4, 5, 6), "one channel": (2, 1, 3, 3), "no batch": (3, 5, 6)}

OPERATIONS = [
    Operation("batch_norm", BATCH_NORM, BAD_NORM),
    Operation(
        "dropout", dropout_cases("dropout", {**IMAGES, "features": (5, 7), "one axis": (9,)}), bad_dropout("dropout")
    ),
    Operation(
        "dropout2d",
        dropout_cases("dropout2d", IMAGES),
        [
            *bad_dropout("dropout2d"),
            Bad("two axes", lambda m: m.nn.functional.dropout2d(m.zeros(2, 3)), r"^dropout2d: .*", ShapeError),
        ],
    ),
]
