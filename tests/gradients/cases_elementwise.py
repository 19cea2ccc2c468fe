"""The wider range of functions of one element, limits that are tensors, and every in-place form."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError

# name -> how its inputs are drawn
FUNCTIONS = {
    "log1p": "positive",
    "expm1": "normal",
    "rsqrt": "positive",
    "square": "normal",
    "reciprocal": "nonzero",
    "floor": "normal",
    "erf": "normal",
}
EXTREME = np.array([-np.inf, -20.0, -1e-12, -0.0, 0.0, 1e-12, 0.3, 20.0, np.inf, np.nan])
FLAT = "its gradient is 0 everywhere"


def unary(name: str, draw: str) -> list[Case]:
    """A function of one element in all shapes, at extreme values, as a method, of integers."""

    def call(m: Any, x: Any) -> Any:
        return getattr(m, name)(x)

    second: Any = FLAT if name == "floor" else True
    cases = [
        Case(f"{name}: {what}", lambda d, s=shape: (getattr(d, draw)(*s),), call, second_order=second)
        for what, shape in {
            "images": (2, 3, 4, 5),
            "one axis": (17,),
            "0-d": (),
            "empty": (0, 3),
        }.items()
    ]
    none = "values only"
    no: dict[str, Any] = {"gradcheck": none, "second_order": none}
    return [
        *cases,
        Case(
            f"{name}: method", lambda d: (getattr(d, draw)(3, 4),), lambda m, x: getattr(x, name)(), second_order=second
        ),
        Case(f"{name}: extreme", lambda d: (EXTREME.copy(),), lambda m, x: (call(m, x.detach()), x * 1.0), **no),
        Case(
            f"{name}: of integers",
            lambda d: (d.normal(3), d.integers(-3, 4, 3)),
            lambda m, x, i: (call(m, i), x * 1.0),
            **no,
        ),
    ]


def bad_unary(name: str) -> list[Bad]:
    """No tensors."""
    return [
        Bad("a list", lambda m: getattr(m, name)([1.0]), rf"^{name}: .*list", DTypeError),
        Bad("an array", lambda m: getattr(m, name)(np.ones(2)), rf"^{name}: .*ndarray", DTypeError),
        Bad("None", lambda m: getattr(m, name)(None), rf"^{name}: .*None", DTypeError),
        Bad("a number", lambda m: getattr(m, name)(1.0), rf"^{name}: .*float", DTypeError),
    ]


# name of the in-place method -> arguments, and how the tensor is drawn
IN_PLACE: dict[str, tuple[tuple[Any, ...], str]] = {
    **{f"{name}_": ((), draw) for name, draw in FUNCTIONS.items()},
    "exp_": ((), "normal"),
    "log_": ((), "positive"),
    "sqrt_": ((), "positive"),
    "abs_": ((), "nonzero"),
    "neg_": ((), "normal"),
    "sign_": ((), "nonzero"),
    "sin_": ((), "normal"),
    "cos_": ((), "normal"),
    "sigmoid_": ((), "normal"),
    "tanh_": ((), "normal"),
    "relu_": ((), "nonzero"),
    "add_": ((2.5,), "normal"),
    "sub_": ((2.5,), "normal"),
    "mul_": ((2.5,), "normal"),
    "div_": ((2.5,), "normal"),
    "pow_": ((3,), "nonzero"),
    "clamp_": ((-1.0, 1.0), "distinct"),
    "cumsum_": ((1,), "normal"),
    "tril_": ((1,), "normal"),
    "triu_": ((), "normal"),
    "squeeze_": ((0,), "normal"),
    "unsqueeze_": ((1,), "normal"),
    "transpose_": ((1, -1), "normal"),
    "swapaxes_": ((0, 2), "normal"),
}


def in_place(name: str) -> list[Case]:
    """The method on a result of an operation, and what follows from what it returns."""
    arguments, draw = IN_PLACE[name]

    def call(m: Any, x: Any) -> Any:
        y = x * 1.25
        z = getattr(y, name)(*arguments)
        assert z is y
        return y * 1.5

    flat: Any = FLAT if name in ("floor_", "sign_") else True
    return [Case(f"{name}: in place", lambda d: (getattr(d, draw)(1, 3, 4),), call, second_order=flat)]


def leaf(m: Any, name: str) -> Any:
    """The method on a leaf that requires a gradient."""
    return getattr(m.ones(1, 3, 4).requires_grad_(True), name)(*IN_PLACE[name][0])


def view(m: Any, name: str) -> Any:
    """The method on a view inside the graph."""
    x = m.ones(1, 3, 4).requires_grad_(True) * 2
    return getattr(x[:, 1:], name)(*IN_PLACE[name][0])


def saved(m: Any, name: str) -> Any:
    """Backward through a product whose factor the method overwrote."""
    x = m.full((1, 3, 4), 0.5).requires_grad_(True)
    y = x * 1.0
    z = y * y
    getattr(y, name)(*IN_PLACE[name][0])
    z.sum().backward()


def integers(m: Any, name: str) -> Any:
    """The method on integers, where its result does not fit or has no meaning."""
    return getattr(m.ones(1, 3, 4, dtype=m.int64), name)(*IN_PLACE[name][0])


VIEWS = ("squeeze_", "unsqueeze_", "transpose_", "swapaxes_")
TO_FLOAT = (
    "exp_",
    "log_",
    "sqrt_",
    "log1p_",
    "expm1_",
    "rsqrt_",
    "reciprocal_",
    "erf_",
    "sin_",
    "cos_",
    "tanh_",
    "div_",
)

WRITES = Operation(
    "in-place methods",
    [case for name in IN_PLACE for case in in_place(name)],
    [
        *[Bad(f"{name}: a leaf", lambda m, n=name: leaf(m, n), rf"^{name}: .*leaf", GraphError) for name in IN_PLACE],
        *[
            Bad(f"{name}: a view", lambda m, n=name: view(m, n), rf"^{name}: .*view", GraphError)
            for name in IN_PLACE
            if name not in VIEWS
        ],
        *[
            Bad(f"{name}: what backward needs", lambda m, n=name: saved(m, n), r"^Mul: .*in-place", GraphError)
            for name in IN_PLACE
            if name not in VIEWS
        ],
        *[
            Bad(f"{name}: integers", lambda m, n=name: integers(m, n), rf"^{name}: .*int64.*float32", DTypeError)
            for name in TO_FLOAT
        ],
        Bad("cumsum_: axis", lambda m: m.ones(2).cumsum_(1), r"^cumsum: .*1"),
        Bad("t_: axes", lambda m: m.ones(2, 3, 4).t_(), r"^t_: .*3, 4", ShapeError),
    ],
)

LIMITS = Operation(
    "clamp by tensors",
    [
        Case(
            f"clamp by tensors: {what}",
            lambda d, s=shapes: tuple(d.distinct(*shape) + 0.01 * i for i, shape in enumerate(s)),
            lambda m, x, *limits, f=f: f(m, x, *limits),
        )
        for what, shapes, f in (
            ("both", ((3, 4), (3, 4), (3, 4)), lambda m, x, low, high: m.clamp(x, low, high)),
            ("below", ((3, 4), (4,)), lambda m, x, low: x.clamp(min=low)),
            ("above, broadcast", ((3, 4), (3, 1)), lambda m, x, high: x.clamp(max=high)),
            ("crossed", ((3, 4), (3, 4), (3, 4)), lambda m, x, low, high: m.clamp(x, high + 0.5, low)),
        )
    ]
    + [
        Case(
            "clamp by tensors: NaN",
            lambda d: (np.array([np.nan, 1.0, 2.0]), np.array([0.0, np.nan, 3.0])),
            lambda m, x, low: (m.clamp(x.detach(), low.detach()), x * 1.0),
            gradcheck="NaN",
            second_order="NaN",
        ),
    ],
    [
        Bad("no limit", lambda m: m.clamp(m.ones(2)), r"^clamp: .*neither", ArgumentError),
        Bad("a tensor and a number", lambda m: m.clamp(m.ones(2), m.ones(2), 1.0), r"^clamp: .*float", DTypeError),
        Bad("a string", lambda m: m.clamp(m.ones(2), "x"), r"^clamp: .*str", DTypeError),
        Bad("shapes", lambda m: m.clamp(m.ones(2), m.ones(3)), r"\(2,\) and \(3,\)", ShapeError),
    ],
)

OPERATIONS = [
    *[Operation(name, unary(name, draw), bad_unary(name)) for name, draw in FUNCTIONS.items()],
    LIMITS,
    WRITES,
]
