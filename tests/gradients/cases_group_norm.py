"""Normalisation within one example: layer, group and instance norm."""

from __future__ import annotations

from typing import Any

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError


def norm(
    name: str, what: str, shape: tuple[int, ...], *arguments: Any, affine: tuple[int, ...] | None = None, **options: Any
) -> Case:
    """A case of a shape and arguments; ``affine``: the shape of weight and bias, both differentiated."""

    def call(m: Any, x: Any, weight: Any = None, bias: Any = None) -> Any:
        return getattr(m.nn.functional, name)(x, *arguments, weight=weight, bias=bias, **options)

    def inputs(d: Any) -> tuple[Any, ...]:
        return (d.distinct(*shape), *([d.normal(*affine), d.normal(*affine)] if affine else []))

    return Case(f"{name}: {what}", inputs, call)


def statistics(name: str, training: bool) -> Case:
    """Instance norm with running statistics, which come back beside the result."""

    def call(m: Any, x: Any, mean: Any, variance: Any, weight: Any) -> Any:
        mean, variance = mean.clone(), variance.clone()
        y = m.nn.functional.instance_norm(x, mean, variance, weight, None, training, 0.3, 1e-3)
        return y, mean, variance

    return Case(
        f"instance_norm: {name}",
        lambda d: (d.distinct(2, 3, 4, 2), d.normal(3), d.positive(3), d.normal(3)),
        call,
        constant=(1, 2),
    )


def refused(
    name: str, what: str, says: str, error: Any, shape: tuple[int, ...], *arguments: Any, **options: Any
) -> Bad:
    def call(m: Any) -> Any:
        given = {key: m.ones(value) if isinstance(value, tuple) else value for key, value in options.items()}
        return getattr(m.nn.functional, name)(m.ones(shape), *arguments, **given)

    return Bad(what, call, rf"^{name}: .*{says}", error)


OPERATIONS = [
    Operation(
        "layer_norm",
        [
            norm("layer_norm", "rows", (4, 5), (5,), affine=(5,)),
            norm("layer_norm", "not affine", (4, 5), (5,)),
            norm("layer_norm", "two axes", (3, 4, 5), (4, 5), affine=(4, 5)),
            norm("layer_norm", "a list, eps", (2, 3, 5), [5], affine=(5,), eps=0.1),
            norm("layer_norm", "everything", (3, 4), (3, 4), affine=(3, 4)),
            norm("layer_norm", "images", (2, 3, 4, 5), (3, 4, 5)),
            norm("layer_norm", "empty batch", (0, 5), (5,), affine=(5,)),
        ],
        [
            refused("layer_norm", "last axes", r"\(4,\)", ShapeError, (3, 5), (4,)),
            refused("layer_norm", "no axes", r"\(\)", ShapeError, (3, 5), ()),
            refused("layer_norm", "weight", r"weight.*\(4,\)", ShapeError, (3, 5), (5,), weight=(4,)),
            refused("layer_norm", "eps", r"-1", ArgumentError, (3, 5), (5,), eps=-1),
            refused("layer_norm", "a fraction", r"1\.5", DTypeError, (3, 5), (1.5,)),
            Bad("integers", lambda m: m.nn.functional.layer_norm(m.arange(3), (3,)), r"^layer_norm: .*int64"),
        ],
    ),
    Operation(
        "group_norm",
        [
            norm("group_norm", "images", (2, 6, 3, 2), 3, affine=(6,)),
            norm("group_norm", "one group", (2, 4, 3), 1, affine=(4,)),
            norm("group_norm", "a group for every channel", (2, 4, 3), 4),
            norm("group_norm", "features", (3, 6), 2, affine=(6,), eps=0.01),
            norm("group_norm", "empty batch", (0, 6, 3), 2, affine=(6,)),
        ],
        [
            refused("group_norm", "groups", r"6.*4", ArgumentError, (2, 6, 3), 4),
            refused("group_norm", "groups 0", r"0", ArgumentError, (2, 6, 3), 0),
            refused("group_norm", "one axis", r"\(6,\)", ShapeError, (6,), 2),
            refused("group_norm", "bias", r"bias.*\(3,\)", ShapeError, (2, 6, 3), 2, bias=(3,)),
            refused("group_norm", "a fraction", r"1\.5", DTypeError, (2, 6, 3), 1.5),
        ],
    ),
    Operation(
        "instance_norm",
        [
            norm("instance_norm", "images", (2, 3, 4, 2), affine=(3,)),
            norm("instance_norm", "sequences", (2, 3, 4)),
            norm("instance_norm", "volumes", (2, 3, 2, 2, 2), affine=(3,), eps=0.01),
            statistics("running statistics move", True),
            statistics("running statistics are used", False),
        ],
        [
            refused("instance_norm", "two axes", r"\(2, 3\)", ShapeError, (2, 3)),
            refused("instance_norm", "one pixel", r"\(2, 3, 1\)", ShapeError, (2, 3, 1)),
            refused("instance_norm", "no statistics", r"None", ArgumentError, (2, 3, 4), use_input_stats=False),
            refused("instance_norm", "one statistic", r"one of them", ArgumentError, (2, 3, 4), running_mean=(3,)),
            refused("instance_norm", "weight", r"weight.*\(2,\)", ShapeError, (2, 3, 4), weight=(2,)),
        ],
    ),
]
