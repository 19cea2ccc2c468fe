"""The wider range of activations: smooth ones, and ones made of straight lines and parabolas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from gradients.cases_activation import bad_pointwise, pointwise
from minidl.errors import ArgumentError, DTypeError, ShapeError

# Where these functions bend: torch's one-sided choice there is ours.
BENDS = np.array([[-3.0, -1.0, -0.0, 0.0, 1.0, 3.0, 6.0]])
BEND = "no derivative at the bends: torch's choice is compared instead"


def activation(name: str, *arguments: Any, label: str = "", bends: bool = False, **options: Any) -> list[Case]:
    """An activation in all shapes, far out, at infinity, and where it bends."""
    cases = pointwise(name, *arguments, label=label, **options)
    if name == "mish":  # torch's second derivative is NaN at 1000
        cases = [replace(case, second_order="NaN in torch") if "far out" in case.name else case for case in cases]
    if bends:
        prefix = f"{name}: {label}, " if label else f"{name}: "
        cases.append(
            Case(
                f"{prefix}at its bends",
                lambda d: (BENDS.copy(),),
                lambda m, x: getattr(m.nn.functional, name)(x, *arguments, **options),
                gradcheck=BEND,
                second_order=BEND,
            )
        )
    return cases


def in_place(name: str, *arguments: Any) -> Case:
    """``inplace=True`` on a result of another operation."""
    return Case(
        f"{name}: in place",
        lambda d: (d.nonzero(2, 3, 4),),
        lambda m, x: getattr(m.nn.functional, name)(x * 1.25, *arguments, inplace=True) * 2,
    )


def bad(name: str, *more: tuple[str, tuple[Any, ...], str]) -> list[Bad]:
    """No tensors, and arguments that have no meaning: what, arguments, what the message says."""
    return [
        *bad_pointwise(name),
        *[
            Bad(what, lambda m, a=arguments: getattr(m.nn.functional, name)(m.ones(2), *a), rf"^{name}: .*{says}")
            for what, arguments, says in more
        ],
    ]


def with_weight(name: str, shape: tuple[int, ...], weight: tuple[int, ...]) -> Case:
    return Case(
        f"prelu: {name}",
        lambda d: (d.nonzero(*shape), d.normal(*weight)),
        lambda m, x, w: m.nn.functional.prelu(x, w),
    )


OPERATIONS = [
    Operation(
        "gelu",
        [*activation("gelu"), *activation("gelu", label="tanh", approximate="tanh")],
        bad("gelu", ("approximate", ("exact",), "'exact'")),
    ),
    Operation("silu", [*activation("silu"), in_place("silu")], bad("silu")),
    Operation("mish", [*activation("mish"), in_place("mish")], bad("mish")),
    Operation(
        "softplus",
        [*activation("softplus"), *activation("softplus", 3.0, 1.7, label="beta 3, threshold 1.7")],
        bad("softplus", ("beta 0", (0,), "0"), ("beta", ("x",), "'x'"), ("threshold", (1, None), "None")),
    ),
    Operation("logsigmoid", activation("logsigmoid", bends=True), bad("logsigmoid")),
    Operation(
        "elu",
        [*activation("elu"), *activation("elu", 0.4, label="alpha 0.4", bends=True), in_place("elu", 0.7)],
        bad("elu", ("alpha", ("x",), "'x'")),
    ),
    Operation("selu", [*activation("selu", bends=True), in_place("selu")], bad("selu")),
    Operation(
        "hardtanh",
        [
            *activation("hardtanh", bends=True),
            *activation("hardtanh", -0.9, 3.0, label="-0.9 to 3", bends=True),
            in_place("hardtanh", -0.8, 0.9),
        ],
        bad("hardtanh", ("limits", (1.0, -1.0), r"1\.0 and -1\.0"), ("limit", ("x",), "'x'")),
    ),
    Operation("relu6", [*activation("relu6", bends=True), in_place("relu6")], bad("relu6")),
    Operation("hardswish", [*activation("hardswish", bends=True), in_place("hardswish")], bad("hardswish")),
    Operation(
        "prelu",
        [
            with_weight("one weight", (2, 3, 4, 5), (1,)),
            with_weight("a weight for every channel", (2, 3, 4, 5), (3,)),
            with_weight("features", (4, 3), (3,)),
            with_weight("one axis", (5,), (1,)),
            with_weight("0-d weight", (5, 2), ()),
            with_weight("0-d", (), (1,)),
            with_weight("empty", (0, 3), (3,)),
        ],
        [
            Bad("weights", lambda m: m.nn.functional.prelu(m.ones(2, 3), m.ones(2)), r"^prelu: .*3.*2", ShapeError),
            Bad("a matrix", lambda m: m.nn.functional.prelu(m.ones(2, 3), m.ones(1, 1)), r"^prelu: .*1, 1", ShapeError),
            Bad("dtypes", lambda m: m.nn.functional.prelu(m.ones(2), m.ones(1).double()), r"^prelu: .*float64"),
            Bad("a number", lambda m: m.nn.functional.prelu(m.ones(2), 0.1), r"^prelu: .*float", DTypeError),
        ],
    ),
    Operation(
        "glu",
        [
            Case(
                f"glu: {what}", lambda d, s=shape: (d.normal(*s),), lambda m, x, a=arguments: m.nn.functional.glu(x, *a)
            )
            for what, shape, arguments in (
                ("last axis", (3, 4), ()),
                ("channels", (2, 6, 3, 2), (1,)),
                ("one axis", (6,), (0,)),
                ("empty", (0, 4), ()),
            )
        ],
        [
            Bad("odd", lambda m: m.nn.functional.glu(m.ones(2, 3)), r"^glu: .*\(2, 3\)", ShapeError),
            Bad("axis", lambda m: m.nn.functional.glu(m.ones(2, 4), 2), r"^glu: .*2", ArgumentError),
            Bad("0-d", lambda m: m.nn.functional.glu(m.tensor(1.0)), r"^glu: .*none", ShapeError),
            Bad("integers", lambda m: m.nn.functional.glu(m.arange(4)), r"^glu: .*int64", DTypeError),
        ],
    ),
]
