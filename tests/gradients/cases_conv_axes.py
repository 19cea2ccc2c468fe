"""Convolution along one axis and three, and the transposed convolution."""

from __future__ import annotations

from typing import Any

from gradients.case import Bad, Case, Operation
from minidl.errors import ArgumentError, DTypeError, ShapeError


def conv(
    name: str, what: str, x: tuple[int, ...], weight: tuple[int, ...], bias: int | None = None, **options: Any
) -> Case:
    """A case of shapes and options; ``bias``: its length, for a case with one."""
    return Case(
        f"{name}: {what}",
        lambda d: (d.normal(*x), d.normal(*weight), *([d.normal(bias)] if bias else [])),
        lambda m, *tensors: getattr(m.nn.functional, name)(*tensors, **options),
    )


def refused(
    name: str, what: str, says: str, x: tuple[int, ...], weight: tuple[int, ...], error: Any, **options: Any
) -> Bad:
    """A bad call of shapes and options."""
    return Bad(
        what,
        lambda m: getattr(m.nn.functional, name)(m.ones(x), m.ones(weight), **options),
        rf"^{name}: .*{says}",
        error,
    )


def bad(name: str, x: tuple[int, ...], weight: tuple[int, ...]) -> list[Bad]:
    """What all convolutions refuse."""
    function = name
    fewer = (x[0], x[1] + 1, *x[2:])
    return [
        refused(name, "channels", str(x[1] + 1), fewer, weight, ShapeError),
        refused(name, "axes of the input", r"input", (2, 2), weight, ShapeError),
        refused(name, "axes of the weight", r"weight", x, weight[:-1], ShapeError),
        refused(name, "stride 0", r"stride.*0", x, weight, ArgumentError, stride=0),
        refused(name, "dilation 0", r"dilation.*0", x, weight, ArgumentError, dilation=0),
        refused(name, "negative padding", r"padding.*-1", x, weight, ArgumentError, padding=-1),
        refused(name, "groups", r"groups.*3", x, weight, ArgumentError, groups=3),
        refused(name, "a fraction", r"stride.*1\.5", x, weight, DTypeError, stride=1.5),
        refused(name, "numbers", r"stride.*\(1, 1, 1, 1\)", x, weight, DTypeError, stride=(1, 1, 1, 1)),
        Bad(
            "bias",
            lambda m: getattr(m.nn.functional, function)(m.ones(x), m.ones(weight), m.ones(7)),
            rf"^{name}: .*bias.*7",
            ShapeError,
        ),
        Bad(
            "two dtypes",
            lambda m: getattr(m.nn.functional, function)(m.ones(x), m.ones(weight).double()),
            rf"^{name}: .*float64",
            DTypeError,
        ),
        Bad("a list", lambda m: getattr(m.nn.functional, function)([1.0], m.ones(weight)), rf"^{name}: .*list"),
    ]


CONV1D = [
    conv("conv1d", "plain", (2, 3, 7), (4, 3, 3), 4),
    conv("conv1d", "no bias, stride", (2, 3, 8), (4, 3, 3), stride=2),
    conv("conv1d", "everything", (2, 4, 11), (6, 2, 3), 6, stride=(2,), padding=2, dilation=3, groups=2),
    conv("conv1d", "same, even kernel", (2, 3, 6), (4, 3, 4), 4, padding="same"),
    conv("conv1d", "same, dilation", (2, 3, 6), (4, 3, 2), 4, padding="same", dilation=3),
    conv("conv1d", "valid", (2, 3, 6), (4, 3, 2), padding="valid"),
    conv("conv1d", "no batch", (3, 6), (4, 3, 3), 4, padding=1),
    conv("conv1d", "empty batch", (0, 3, 6), (4, 3, 3), 4),
    conv("conv1d", "depthwise", (2, 4, 6), (4, 1, 3), groups=4),
]
CONV3D = [
    conv("conv3d", "plain", (2, 2, 4, 3, 5), (3, 2, 2, 2, 3), 3),
    conv("conv3d", "no bias, stride", (1, 2, 5, 4, 4), (3, 2, 3, 2, 2), stride=2),
    conv(
        "conv3d",
        "everything",
        (2, 4, 6, 5, 7),
        (4, 2, 2, 3, 2),
        4,
        stride=(2, 1, 2),
        padding=(1, 2, 0),
        dilation=(2, 1, 3),
        groups=2,
    ),
    conv("conv3d", "same, even kernel", (1, 2, 3, 4, 3), (2, 2, 2, 3, 4), 2, padding="same"),
    conv("conv3d", "no batch", (2, 3, 4, 4), (3, 2, 2, 2, 2), 3),
    conv("conv3d", "empty batch", (0, 2, 3, 4, 4), (3, 2, 2, 2, 2), 3),
    conv("conv3d", "1x1x1", (2, 2, 2, 2, 3), (3, 2, 1, 1, 1), 3),
]
TRANSPOSED = [
    conv("conv_transpose2d", "plain", (2, 3, 4, 5), (3, 4, 3, 3), 4),
    conv("conv_transpose2d", "no bias, stride", (2, 3, 4, 5), (3, 4, 3, 2), stride=2),
    conv("conv_transpose2d", "stride, output padding", (2, 3, 4, 3), (3, 4, 3, 3), 4, stride=2, output_padding=1),
    conv("conv_transpose2d", "padding", (2, 3, 4, 5), (3, 4, 3, 3), 4, padding=(1, 2)),
    conv(
        "conv_transpose2d",
        "everything",
        (2, 4, 4, 3),
        (4, 3, 2, 3),
        6,
        stride=(3, 2),
        padding=(1, 2),
        output_padding=(2, 1),
        groups=2,
        dilation=(2, 3),
    ),
    conv("conv_transpose2d", "output padding by dilation", (1, 2, 3, 3), (2, 2, 2, 2), 2, output_padding=1, dilation=2),
    conv("conv_transpose2d", "no batch", (3, 4, 5), (3, 4, 3, 3), 4),
    conv("conv_transpose2d", "empty batch", (0, 3, 4, 5), (3, 4, 3, 3), 4),
    conv("conv_transpose2d", "1x1", (2, 3, 2, 2), (3, 4, 1, 1), 4),
]

OPERATIONS = [
    Operation(
        "conv1d",
        CONV1D,
        [
            *bad("conv1d", (2, 4, 8), (4, 4, 3)),
            refused("conv1d", "a window too large", r"9", (2, 4, 8), (4, 4, 9), ShapeError),
            refused("conv1d", "padding's name", r"'full'", (2, 4, 8), (4, 4, 3), ArgumentError, padding="full"),
            refused(
                "conv1d", "same with stride", "same", (2, 4, 8), (4, 4, 3), ArgumentError, padding="same", stride=2
            ),
        ],
    ),
    Operation(
        "conv3d",
        CONV3D,
        [
            *bad("conv3d", (2, 4, 5, 5, 5), (4, 4, 3, 3, 3)),
            refused("conv3d", "a window too large", r"6", (2, 4, 5, 5, 5), (4, 4, 6, 3, 3), ShapeError),
        ],
    ),
    Operation(
        "conv_transpose2d",
        TRANSPOSED,
        [
            *bad("conv_transpose2d", (2, 4, 5, 5), (4, 4, 3, 3)),
            refused(
                "conv_transpose2d",
                "output padding",
                r"output_padding.*\(1, 1\)",
                (2, 4, 5, 5),
                (4, 4, 3, 3),
                ArgumentError,
                output_padding=1,
            ),
            refused("conv_transpose2d", "nothing left", r"\(0, 0\)", (2, 4, 2, 2), (4, 4, 1, 1), ShapeError, padding=1),
            refused(
                "conv_transpose2d", "a named padding", r"'same'", (2, 4, 2, 2), (4, 4, 1, 1), DTypeError, padding="same"
            ),
        ],
    ),
]
