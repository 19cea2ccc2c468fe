"""The wider range of losses: absolute and Huber's, Kullback-Leibler, binary cross entropy; weights everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError

REDUCTIONS = ("mean", "sum", "none")


def loss(name: str, what: str, inputs: Any, constant: tuple[int, ...] = (), check: Any = True, **options: Any) -> Case:
    """A case of two inputs and options; a third input is a weight, a fourth a pos_weight, by name."""

    def call(m: Any, x: Any, target: Any, weight: Any = None, pos_weight: Any = None) -> Any:
        given = {"weight": weight, "pos_weight": pos_weight}
        named = {key: value for key, value in given.items() if value is not None}
        return getattr(m.nn.functional, name)(x, target, **named, **options)

    return Case(f"{name}: {what}", inputs, call, constant=constant, gradcheck=check)


def differences(name: str, weighted: bool = True, **options: Any) -> list[Case]:
    """Both sides differentiated, every reduction, any shape, perhaps weights."""
    label = "".join(f", {key} {value}" for key, value in options.items())
    cases = [
        loss(name, f"{reduction}{label}", lambda d: (d.distinct(3, 4), d.normal(3, 4)), reduction=reduction, **options)
        for reduction in REDUCTIONS
    ]
    cases += [
        loss(name, f"{what}{label}", lambda d, s=shape: (d.distinct(*s), d.normal(*s)), **options)
        for what, shape in (("images", (2, 3, 4, 5)), ("0-d", ()))
    ]
    if weighted:
        cases += [
            loss(
                name,
                f"weight, {reduction}{label}",
                lambda d: (d.distinct(3, 4), d.normal(3, 4), d.positive(3, 4)),
                (2,),
                reduction=reduction,
                **options,
            )
            for reduction in REDUCTIONS
        ]
    return cases


def bad(name: str, weighted: bool, *more: Bad) -> list[Bad]:
    """Shapes, reductions and types that do not fit."""

    def call(m: Any, x: Any, y: Any, **options: Any) -> Any:
        return getattr(m.nn.functional, name)(x, y, **options)

    shape = [
        Bad(
            "weight's shape",
            lambda m: call(m, m.ones(2), m.ones(2), weight=m.ones(3)),
            rf"^{name}: .*\(3,\)",
            ShapeError,
        )
    ]
    return [
        Bad("reduction", lambda m: call(m, m.ones(2), m.ones(2), reduction="max"), rf"^{name}: .*'max'", ArgumentError),
        Bad("integers", lambda m: call(m, m.arange(2), m.ones(2)), rf"^{name}: .*int64", DTypeError),
        Bad("a list", lambda m: call(m, m.ones(2), [1.0, 2.0]), rf"^{name}: .*list", DTypeError),
        Bad("shapes", lambda m: call(m, m.ones(2), m.ones(3)), rf"^{name}: .*\(2,\).*\(3,\)", ShapeError),
        *(shape if weighted else []),
        *more,
    ]


def scalar(name: str, option: str, value: Any) -> Bad:
    return Bad(
        f"{option} {value}",
        lambda m: getattr(m.nn.functional, name)(m.ones(2), m.ones(2), **{option: value}),
        rf"^{name}: .*{option}.*{value}",
    )


def probabilities(d: Any) -> tuple[Any, ...]:
    return (d.simplex(3, 4) * 0.9 + 0.02, d.simplex(3, 4))


AT = "the kink of the absolute value"
SMALL = np.array([[0.5, -0.5, 0.0], [1.0, -1.0, 2.0]])

KL = [
    *[
        loss("kl_div", reduction, lambda d: (d.normal(3, 4), d.simplex(3, 4)), reduction=reduction)
        for reduction in (*REDUCTIONS, "batchmean")
    ],
    loss("kl_div", "log target", lambda d: (d.normal(3, 4), d.normal(3, 4)), reduction="batchmean", log_target=True),
    loss(
        "kl_div",
        "target 0",
        lambda d: (d.normal(2, 3), np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])),
        (1,),
        reduction="sum",
    ),
    loss("kl_div", "images", lambda d: (d.normal(2, 3, 2, 2), d.simplex(2, 3, 2, 2)), reduction="batchmean"),
]
BCE = [
    *[loss("binary_cross_entropy", reduction, probabilities, reduction=reduction) for reduction in REDUCTIONS],
    loss("binary_cross_entropy", "weight", lambda d: (*probabilities(d), d.positive(3, 4)), (1, 2)),
    loss("binary_cross_entropy", "weight of the columns", lambda d: (*probabilities(d), d.positive(4)), (1, 2)),
    loss(
        "binary_cross_entropy",
        "at 0 and 1",
        lambda d: (np.array([0.0, 1.0, 0.0, 1.0, 1e-14]), np.array([0.0, 0.0, 1.0, 1.0, 1.0])),
        (1,),
        "the gradient is torch's there",
        reduction="none",
    ),
]
LOGITS = [
    *[
        loss(
            "binary_cross_entropy_with_logits",
            reduction,
            lambda d: (d.normal(3, 4), d.simplex(3, 4)),
            reduction=reduction,
        )
        for reduction in REDUCTIONS
    ],
    loss(
        "binary_cross_entropy_with_logits",
        "weight, pos_weight",
        lambda d: (d.normal(3, 4), d.simplex(3, 4), d.positive(3, 1), d.positive(4)),
        (2, 3),
    ),
    loss(
        "binary_cross_entropy_with_logits",
        "far out",
        lambda d: (np.array([-800.0, 800.0, -800.0, 800.0]), np.array([0.0, 0.0, 1.0, 1.0])),
        (1,),
        "flat",
        reduction="none",
    ),
    loss("binary_cross_entropy_with_logits", "at 0", lambda d: (np.zeros(3), np.array([0.0, 0.5, 1.0])), (1,)),
]
# Where torch's second derivative by the input at 0 and 1 is a division by 0.
BCE[-1] = replace(BCE[-1], second_order="a pole")


def outside(m: Any) -> Any:
    return m.nn.functional.binary_cross_entropy(m.tensor([0.5, 1.5]), m.ones(2))


OPERATIONS = [
    Operation(
        "l1_loss",
        [
            *differences("l1_loss"),
            loss("l1_loss", "equal", lambda d: (np.ones(3), np.ones(3)), check=AT),
        ],
        bad("l1_loss", True),
    ),
    Operation(
        "smooth_l1_loss",
        [
            *differences("smooth_l1_loss", weighted=False),
            *differences("smooth_l1_loss", weighted=False, beta=0.4),
            loss("smooth_l1_loss", "beta 0", lambda d: (d.distinct(3, 4), d.normal(3, 4)), beta=0.0),
            loss("smooth_l1_loss", "at the seam", lambda d: (SMALL, np.zeros((2, 3))), beta=1.0, reduction="none"),
        ],
        bad("smooth_l1_loss", False, scalar("smooth_l1_loss", "beta", -1.0), scalar("smooth_l1_loss", "beta", "x")),
    ),
    Operation(
        "huber_loss",
        [
            *differences("huber_loss"),
            *differences("huber_loss", weighted=False, delta=0.4),
            loss("huber_loss", "at the seam", lambda d: (SMALL, np.zeros((2, 3))), delta=1.0, reduction="none"),
        ],
        bad("huber_loss", True, scalar("huber_loss", "delta", 0.0), scalar("huber_loss", "delta", "x")),
    ),
    Operation(
        "mse_loss, weight",
        [case for case in differences("mse_loss") if "weight" in case.name],
        bad("mse_loss", True),
    ),
    Operation(
        "kl_div",
        KL,
        bad(
            "kl_div",
            False,
            Bad(
                "batch of nothing",
                lambda m: m.nn.functional.kl_div(m.tensor(1.0), m.tensor(1.0), reduction="batchmean"),
                r"^kl_div: .*batchmean",
                ShapeError,
            ),
        ),
    ),
    Operation(
        "binary_cross_entropy",
        BCE,
        bad("binary_cross_entropy", True, Bad("outside", outside, r"^binary_cross_entropy: .*1\.5", ArgumentError)),
    ),
    Operation(
        "binary_cross_entropy_with_logits",
        LOGITS,
        bad(
            "binary_cross_entropy_with_logits",
            True,
            Bad(
                "pos_weight",
                lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(2), pos_weight=m.ones(3)),
                r"pos_weight.*\(3,\)",
                ShapeError,
            ),
        ),
    ),
]
