"""Activations: at kinks, far out, in place, and softmax along every axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import DTypeError

KINK = "no derivative at 0: torch takes 0 (ReLU) or the slope (leaky ReLU)"
AT_ZERO = np.array([[-1.0, -0.0, 0.0, 1e-30, 2.0]])


def pointwise(name: str, *arguments: Any, label: str = "", kink: bool = False, **options: Any) -> list[Case]:
    """An activation of one tensor in all shapes."""

    def call(m: Any, x: Any) -> Any:
        return getattr(m.nn.functional, name)(x, *arguments, **options)

    prefix = f"{name}: {label}, " if label else f"{name}: "
    cases = [
        Case(f"{prefix}{what}", lambda d, s=shape: (d.nonzero(*s),), call)
        for what, shape in {
            "images": (2, 3, 4, 5),
            "features": (3, 7),
            "one axis": (17,),
            "0-d": (),
            "empty": (0, 3, 4, 5),
        }.items()
    ]
    if kink:
        cases.append(Case(f"{prefix}at 0", lambda d: (AT_ZERO.copy(),), call, gradcheck=KINK))
    cases.append(
        Case(f"{prefix}0-d in an expression", lambda d: (d.nonzero(),), lambda m, x: call(m, x * 1.5) * 3.0 + 1.0)
    )
    return [
        *cases,
        Case(
            f"{prefix}far out",
            lambda d: (np.array([-1000.0, -30.0, 0.5, 30.0, 1000.0]),),
            call,
            gradcheck=name == "relu" or "flat",
        ),
        Case(
            f"{prefix}infinity",
            lambda d: (np.array([-np.inf, np.inf, 1.0]),),
            call,
            gradcheck="infinite",
            second_order="infinite",
        ),
        # What gradient a NaN gets is left open (ReLU: none here, all of it in torch); that it stays NaN is not.
        Case(
            f"{prefix}NaN",
            lambda d: (np.array([np.nan, 1.0]),),
            lambda m, x: (call(m, x.detach()), x * 1.0),
            gradcheck="NaN",
        ),
    ]


def in_place(name: str, *arguments: Any) -> Case:
    """``inplace=True`` on a result of another operation; what was there before is not needed."""
    return Case(
        f"{name}: in place",
        lambda d: (d.nonzero(2, 3, 4, 5),),
        lambda m, x: getattr(m.nn.functional, name)(x + 1e-3, *arguments, inplace=True),
    )


def bad_pointwise(name: str) -> list[Bad]:
    """No tensors."""
    return [
        Bad("a list", lambda m: getattr(m.nn.functional, name)([1.0]), rf"^{name}: .*list", DTypeError),
        Bad("an array", lambda m: getattr(m.nn.functional, name)(np.ones(2)), rf"^{name}: .*ndarray", DTypeError),
        Bad("None", lambda m: getattr(m.nn.functional, name)(None), rf"^{name}: .*None", DTypeError),
        Bad("a number", lambda m: getattr(m.nn.functional, name)(1.0), rf"^{name}: .*float", DTypeError),
    ]


def softmaxes(name: str) -> list[Case]:
    """Every axis, large and equal logits."""

    def along(dim: int) -> Any:
        return lambda m, x: getattr(m.nn.functional, name)(x, dim)

    return [
        *[
            Case(f"{name}: dim {dim} of 4", lambda d: (d.normal(2, 3, 4, 5),), along(dim))
            for dim in (0, 1, 2, 3, -1, -3)
        ],
        *[Case(f"{name}: dim {dim} of 2", lambda d: (d.normal(4, 6),), along(dim)) for dim in (0, 1)],
        Case(f"{name}: one axis", lambda d: (d.normal(6),), along(0)),
        Case(f"{name}: three axes", lambda d: (d.normal(2, 3, 4),), along(1)),
        Case(f"{name}: one class", lambda d: (d.normal(4, 1),), along(1), gradcheck="constant", second_order="0"),
        Case(f"{name}: empty batch", lambda d: (d.normal(0, 4),), along(1)),
        Case(f"{name}: large logits", lambda d: (d.normal(3, 4) * 400,), along(1), gradcheck="saturated", float32=1e-3),
        Case(f"{name}: large equal offset", lambda d: (d.normal(3, 4) + 1e4,), along(1), float32=5e-3),
        Case(
            f"{name}: minus infinity",
            lambda d: (np.array([[0.5, -np.inf, 1.0]]),),
            along(1),
            gradcheck="infinite",
            second_order="infinite",
        ),
        Case(f"{name}: method", lambda d: (d.normal(4, 6),), lambda m, x: getattr(x, name)(1)),
        Case(f"{name}: of the library", lambda d: (d.normal(4, 6),), lambda m, x: getattr(m, name)(x, dim=-2)),
    ]


def bad_softmax(name: str) -> list[Bad]:
    """Axes that are not there, and integers."""
    return [
        Bad("axis 2 of 2", lambda m: getattr(m.nn.functional, name)(m.zeros(2, 3), 2), rf"^{name}: .*2"),
        Bad("axis -3 of 2", lambda m: getattr(m.nn.functional, name)(m.zeros(2, 3), -3), rf"^{name}: .*-3"),
        Bad(
            "integers",
            lambda m: getattr(m.nn.functional, name)(m.zeros(2, 3, dtype=m.int64), 1),
            rf"^{name}: .*int64",
            DTypeError,
        ),
        Bad("a string", lambda m: getattr(m.nn.functional, name)(m.zeros(2, 3), "x"), rf"^{name}: .*('x'|str)"),
        Bad("a list", lambda m: getattr(m.nn.functional, name)([1.0], 0), rf"^{name}: .*list", DTypeError),
    ]


OPERATIONS = [
    Operation("relu", [*pointwise("relu", kink=True), in_place("relu")], bad_pointwise("relu")),
    Operation(
        "leaky_relu",
        [
            *pointwise("leaky_relu", kink=True),
            *pointwise("leaky_relu", 0.3, label="slope 0.3", kink=True),
            *pointwise("leaky_relu", label="slope 0", kink=True, negative_slope=0.0),
            *pointwise("leaky_relu", label="slope -0.5", kink=True, negative_slope=-0.5),
            in_place("leaky_relu", 0.2),
        ],
        [
            *bad_pointwise("leaky_relu"),
            Bad("slope a string", lambda m: m.nn.functional.leaky_relu(m.zeros(2), "x"), r"^leaky_relu: .*('x'|str)"),
        ],
    ),
    Operation("functional.tanh", pointwise("tanh", label="functional"), bad_pointwise("tanh")),
    Operation("functional.sigmoid", pointwise("sigmoid", label="functional"), bad_pointwise("sigmoid")),
    Operation("softmax", softmaxes("softmax"), bad_softmax("softmax")),
    Operation("log_softmax", softmaxes("log_softmax"), bad_softmax("log_softmax")),
]
