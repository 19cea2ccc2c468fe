"""conv2d over what matters: stride, padding, dilation, groups, uneven sizes, empty and missing batches."""

from __future__ import annotations

from typing import Any

from gradients.case import Bad, Case, Operation
from minidl.errors import DTypeError, ShapeError


def conv(name: str, x: tuple[int, ...], weight: tuple[int, ...], bias: bool = True, **options: Any) -> Case:
    """A case of shapes and options."""

    def inputs(d: Any) -> tuple[Any, ...]:
        return (d.normal(*x), d.normal(*weight), *([d.normal(weight[0])] if bias else []))

    def call(m: Any, *tensors: Any) -> Any:
        return m.nn.functional.conv2d(*tensors, **options)

    return Case(f"conv2d: {name}", inputs, call)


def refused(
    name: str,
    says: str,
    x: tuple[int, ...] = (2, 3, 8, 8),
    weight: tuple[int, ...] = (4, 3, 3, 3),
    error: Any = None,
    **options: Any,
) -> Bad:
    """A bad call of shapes and options."""

    def call(m: Any) -> Any:
        return m.nn.functional.conv2d(m.zeros(*x), m.zeros(*weight), **options)

    return Bad(name, call, says, error) if error else Bad(name, call, says)


CASES = [
    conv("plain", (2, 3, 7, 6), (4, 3, 3, 3)),
    conv("no bias", (2, 3, 7, 6), (4, 3, 3, 3), bias=False),
    conv("1x1", (2, 3, 5, 4), (4, 3, 1, 1)),
    conv("1x1, stride 2", (2, 3, 5, 4), (4, 3, 1, 1), stride=2),
    conv("5x5 on 32 x 32", (1, 3, 32, 32), (6, 3, 5, 5)),
    conv("stride 2", (2, 3, 8, 7), (4, 3, 3, 3), stride=2),
    conv("stride (2, 3)", (2, 3, 9, 11), (4, 3, 3, 2), stride=(2, 3)),
    conv("stride larger than the kernel", (2, 3, 9, 11), (4, 3, 2, 2), stride=4),
    conv("padding 1", (2, 3, 5, 6), (4, 3, 3, 3), padding=1),
    conv("padding (2, 0)", (2, 3, 5, 6), (4, 3, 3, 3), padding=(2, 0)),
    conv("padding larger than the kernel", (2, 3, 3, 4), (4, 3, 2, 2), padding=3),
    conv("padding same", (2, 3, 5, 6), (4, 3, 3, 5), padding="same"),
    conv("padding same, even kernel", (2, 3, 5, 6), (4, 3, 2, 4), padding="same"),
    conv("padding same, even kernel, dilation", (2, 3, 7, 6), (4, 3, 2, 3), padding="same", dilation=(3, 2)),
    conv("padding valid", (2, 3, 5, 6), (4, 3, 3, 2), padding="valid", stride=2),
    conv("dilation 2", (2, 3, 8, 9), (4, 3, 3, 3), dilation=2),
    conv("dilation (1, 3), padding", (2, 3, 6, 9), (4, 3, 3, 3), dilation=(1, 3), padding=(1, 2)),
    conv("groups", (2, 4, 6, 5), (6, 2, 3, 3), groups=2),
    conv("groups, dilation, stride, padding", (2, 6, 9, 8), (9, 2, 3, 2), groups=3, dilation=2, stride=2, padding=1),
    conv("depthwise", (2, 4, 6, 5), (4, 1, 3, 3), groups=4, padding=1),
    conv("depthwise, two outputs each", (2, 3, 6, 5), (6, 1, 3, 3), groups=3),
    conv("everything", (2, 4, 11, 10), (6, 2, 3, 2), stride=(2, 1), padding=(2, 1), dilation=(2, 3), groups=2),
    conv("stride leaves a rest", (2, 3, 10, 8), (4, 3, 3, 3), stride=3),
    conv("kernel is the image", (2, 3, 4, 5), (4, 3, 4, 5)),
    conv("row kernel", (2, 3, 4, 9), (4, 3, 1, 5), padding=(0, 2)),
    conv("column kernel", (2, 3, 9, 4), (4, 3, 5, 1)),
    conv("one channel", (3, 1, 6, 6), (1, 1, 3, 3)),
    conv("batch of 1", (1, 3, 6, 5), (4, 3, 3, 3), padding=1),
    conv("empty batch", (0, 3, 6, 5), (4, 3, 3, 3), padding=1),
    conv("no batch", (3, 6, 5), (4, 3, 3, 3), padding=1),
    conv("no batch, same", (3, 6, 5), (4, 3, 2, 2), padding="same"),
    conv("one pixel", (2, 3, 1, 1), (4, 3, 3, 3), padding=1),
    conv("wide enough for vector tails", (2, 17, 5, 19), (19, 17, 3, 3), padding=1),
    Case(
        "conv2d: one weight twice",
        lambda d: (d.normal(2, 3, 6, 6), d.normal(3, 3, 3, 3)),
        lambda m, x, w: m.nn.functional.conv2d(m.nn.functional.conv2d(x, w, padding=1), w, padding=1),
    ),
    Case(
        "conv2d: constant input, as in a first layer",
        lambda d: (d.normal(2, 3, 6, 6), d.normal(4, 3, 3, 3), d.normal(4)),
        lambda m, x, w, b: m.nn.functional.conv2d(x, w, b, padding=1),
        constant=(0,),
    ),
    Case(
        "conv2d: frozen weight",
        lambda d: (d.normal(2, 3, 6, 6), d.normal(4, 3, 3, 3), d.normal(4)),
        lambda m, x, w, b: m.nn.functional.conv2d(x, w, b, padding=1),
        constant=(1,),
    ),
    Case(
        "conv2d: only the bias",
        lambda d: (d.normal(2, 3, 6, 6), d.normal(4, 3, 3, 3), d.normal(4)),
        lambda m, x, w, b: m.nn.functional.conv2d(x, w, b, padding=1),
        constant=(0, 1),
    ),
]

BAD = [
    refused("channels", r"^conv2d: .*32.*16|^conv2d: .*16.*32", (2, 16, 8, 8), (4, 32, 3, 3), ShapeError),
    refused("channels in groups", r"^conv2d: .*groups", (2, 4, 8, 8), (4, 4, 3, 3), groups=2),
    refused("output channels in groups", r"^conv2d: .*groups", (2, 4, 8, 8), (3, 2, 3, 3), groups=2),
    refused("groups 0", r"^conv2d: .*groups.*0", groups=0),
    refused("stride 0", r"^conv2d: .*stride.*0", stride=0),
    refused("negative stride", r"^conv2d: .*stride.*-1", stride=(1, -1)),
    refused("three strides", r"^conv2d: .*stride", stride=(1, 1, 1)),
    refused("negative padding", r"^conv2d: .*padding.*-1", padding=-1),
    refused("dilation 0", r"^conv2d: .*dilation.*0", dilation=0),
    refused("a fraction", r"^conv2d: .*stride.*1\.5", stride=1.5),
    refused("unknown padding", r"^conv2d: .*'?full'?", padding="full"),
    refused("padding same with stride", r"^conv2d: .*same", padding="same", stride=2),
    refused("kernel larger than the image", r"^conv2d: .*9.*8|^conv2d: .*8.*9", (2, 3, 8, 8), (4, 3, 9, 9), ShapeError),
    refused("dilated kernel larger than the image", r"^conv2d: .*", (2, 3, 8, 8), (4, 3, 3, 3), ShapeError, dilation=4),
    refused("two axes", r"^conv2d: .*", (8, 8), (4, 3, 3, 3), ShapeError),
    refused("five axes", r"^conv2d: .*", (1, 2, 3, 8, 8), (4, 3, 3, 3), ShapeError),
    refused("weight's axes", r"^conv2d: .*weight", (2, 3, 8, 8), (4, 3, 3), ShapeError),
    Bad(
        "bias's length",
        lambda m: m.nn.functional.conv2d(m.zeros(2, 3, 8, 8), m.zeros(4, 3, 3, 3), m.zeros(3)),
        r"^conv2d: .*bias",
        ShapeError,
    ),
    Bad(
        "two dtypes",
        lambda m: m.nn.functional.conv2d(m.zeros(2, 3, 8, 8), m.zeros(4, 3, 3, 3, dtype=m.float64)),
        r"^conv2d: .*float",
        DTypeError,
    ),
    Bad(
        "integer input",
        lambda m: m.nn.functional.conv2d(m.zeros(2, 3, 8, 8, dtype=m.int64), m.zeros(4, 3, 3, 3)),
        r"^conv2d: .*int64",
        DTypeError,
    ),
    Bad("a list", lambda m: m.nn.functional.conv2d([[1.0]], m.zeros(4, 3, 3, 3)), r"^conv2d: .*list", DTypeError),
]

OPERATIONS = [Operation("conv2d", CASES, BAD)]
