"""Operations that move numbers without changing them: shapes, joins, indexing, padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradients.case import Bad, Case, Operation
from minidl.errors import ShapeError


def methods(name: str, rows: list[tuple[str, tuple[int, ...], Callable[[Any], Any]]]) -> list[Case]:
    """Cases of one input each."""
    return [
        Case(f"{name}: {what}", lambda d, s=shape: (d.normal(*s),), lambda _, x, f=f: f(x)) for what, shape, f in rows
    ]


INDICES: list[tuple[str, tuple[int, ...], Callable[[Any], Any]]] = [
    ("integer", (3, 4), lambda x: x[1]),
    ("negative integer", (3, 4), lambda x: x[-1]),
    ("two integers", (3, 4), lambda x: x[2, -3]),
    ("NumPy integer", (3, 4), lambda x: x[np.int64(2)]),
    ("slice", (5, 4), lambda x: x[1:4]),
    ("slice from the end", (5, 4), lambda x: x[-3:-1]),
    ("slice past the end", (5, 4), lambda x: x[3:99]),
    ("empty slice", (5, 4), lambda x: x[3:3]),
    ("steps", (7, 6), lambda x: x[::2, 1::3]),
    ("None", (3, 4), lambda x: x[None, :, None]),
    ("Ellipsis", (2, 3, 4), lambda x: x[..., 1]),
    ("Ellipsis in the middle", (2, 3, 4, 5), lambda x: x[1, ..., 2:4]),
    ("Ellipsis alone", (2, 3), lambda x: x[...]),
    ("integer, slice, None", (2, 3, 4), lambda x: x[1, 1:, None, ::2]),
    ("a list", (4, 3), lambda x: x[[2, 0, 2]]),
    ("a list with negatives", (4, 3), lambda x: x[[-1, 0, 3]]),
    ("two lists", (4, 3), lambda x: x[[0, 3, 3], [1, 2, 2]]),
    ("two lists that broadcast", (4, 3), lambda x: x[[[0], [3]], [1, 2]]),
    ("a list after a slice", (2, 4, 3), lambda x: x[:, [3, 0, 3]]),
    ("a list and a slice", (4, 5, 3), lambda x: x[[1, 1], 1:4]),
    ("lists around a slice", (4, 5, 3), lambda x: x[[1, 1, 0], :, [0, 2, 1]]),
    ("lists after a slice", (2, 4, 5), lambda x: x[:, [1, 1, 0], [0, 2, 0]]),
    ("a list and an integer", (4, 5, 3), lambda x: x[[1, 1, 0], :, 2]),
    ("an integer, a slice and a list", (4, 5, 3), lambda x: x[1, :, [1, 1, 0]]),
    ("an integer, None and a list", (4, 5, 3), lambda x: x[-1, None, [1, 1, 0], :2]),
    ("an integer after a list and a slice", (4, 5, 3, 2), lambda x: x[:, [1, 1, 0], :, 1]),
    ("a list and None", (4, 5), lambda x: x[None, [1, 1, 0]]),
    ("a list and Ellipsis", (2, 4, 5), lambda x: x[..., [1, 1, 0]]),
    ("a tuple", (3, 4), lambda x: x[(1, slice(None))]),
    ("images", (3, 2, 4, 5), lambda x: x[1:, :, ::2, -1]),
]

OPERATIONS = [
    Operation(
        "reshape",
        methods(
            "reshape",
            [
                ("two axes to one", (2, 3, 4), lambda x: x.reshape(6, 4)),
                ("-1", (2, 3, 4), lambda x: x.reshape(4, -1)),
                ("a tuple", (2, 3, 4), lambda x: x.reshape((3, 8))),
                ("to 0-d", (1, 1), lambda x: x.reshape(())),
                ("from 0-d", (), lambda x: x.reshape(1, 1)),
                ("empty", (0, 3), lambda x: x.reshape(3, 0)),
                ("after transpose", (2, 3, 4), lambda x: x.transpose(0, 2).reshape(-1)),
                ("images to rows", (2, 3, 4, 5), lambda x: x.reshape(2, -1)),
            ],
        ),
        [
            Bad(
                "sizes",
                lambda m: m.zeros(2, 3).reshape(4, 2),
                r"^reshape: .*6.*(4, 2)|^reshape: .*(4, 2).*(2, 3)",
                ShapeError,
            ),
            Bad("two unknowns", lambda m: m.zeros(2, 3).reshape(-1, -1), r"^reshape: .*-1"),
            Bad("does not divide", lambda m: m.zeros(2, 3).reshape(-1, 4), r"^reshape: .*-1, 4", ShapeError),
            Bad("negative", lambda m: m.zeros(2, 3).reshape(-2, 3), r"^reshape: .*-2"),
            Bad("a fraction", lambda m: m.zeros(2, 3).reshape(1.5, 4), r"^reshape: .*(1\.5|float)"),
        ],
    ),
    Operation(
        "view",
        methods(
            "view",
            [
                ("two axes to one", (2, 3, 4), lambda x: x.view(6, 4)),
                ("-1", (2, 3, 4), lambda x: x.view(-1, 2)),
                ("a tuple", (2, 3, 4), lambda x: x.view((24,))),
            ],
        ),
        [
            Bad("sizes", lambda m: m.zeros(2, 3).view(4, 2), r"^(view|reshape): .*(4, 2)", ShapeError),
            Bad("two unknowns", lambda m: m.zeros(2, 3).view(-1, -1), r"^(view|reshape): .*-1"),
            Bad("does not divide", lambda m: m.zeros(2, 3).view(-1, 4), r"^(view|reshape): .*4", ShapeError),
            Bad("a fraction", lambda m: m.zeros(2, 3).view(1.5, 4), r"^(view|reshape): .*1\.5"),
        ],
    ),
    Operation(
        "flatten",
        [
            *methods(
                "flatten",
                [
                    ("all", (2, 3, 4), lambda x: x.flatten()),
                    ("from 1", (2, 3, 4), lambda x: x.flatten(1)),
                    ("1 to 2", (2, 3, 4, 5), lambda x: x.flatten(1, 2)),
                    ("by name", (2, 3, 4), lambda x: x.flatten(start_dim=0, end_dim=-2)),
                    ("0-d", (), lambda x: x.flatten()),
                    ("empty", (0, 3, 4), lambda x: x.flatten(1)),
                    ("one axis alone", (2, 3), lambda x: x.flatten(1, 1)),
                ],
            ),
            Case("flatten: function", lambda d: (d.normal(2, 3, 4, 5),), lambda m, x: m.flatten(x, 1)),
        ],
        [
            Bad("start after end", lambda m: m.zeros(2, 3, 4).flatten(2, 1), r"^flatten: .*2"),
            Bad("start missing", lambda m: m.zeros(2, 3, 4).flatten(3), r"^flatten: .*3"),
            Bad("end missing", lambda m: m.zeros(2, 3, 4).flatten(0, 3), r"^flatten: .*3"),
            Bad("a fraction", lambda m: m.zeros(2, 3, 4).flatten(1.0), r"^flatten: .*(float|1\.0)"),
        ],
    ),
    Operation(
        "transpose",
        [
            *methods(
                "transpose",
                [
                    ("two axes", (2, 3), lambda x: x.transpose(0, 1)),
                    ("negative", (2, 3, 4), lambda x: x.transpose(-1, 0)),
                    ("with itself", (2, 3), lambda x: x.transpose(1, 1)),
                    (".T", (2, 3), lambda x: x.T),
                    (".t()", (2, 3), lambda x: x.t()),
                ],
            ),
            Case("transpose: function", lambda d: (d.normal(2, 3, 4, 5),), lambda m, x: m.transpose(x, 1, 3)),
        ],
        [
            Bad("axis 2 of 2", lambda m: m.zeros(2, 3).transpose(0, 2), r"^transpose: .*2"),
            Bad("axis -3 of 2", lambda m: m.zeros(2, 3).transpose(-3, 0), r"^transpose: .*-3"),
            Bad("a string", lambda m: m.zeros(2, 3).transpose("a", 0), r"^transpose: .*('a'|str)"),
            Bad("a fraction", lambda m: m.zeros(2, 3).transpose(0.0, 1), r"^transpose: .*(float|0\.0)"),
        ],
    ),
    Operation(
        "permute",
        [
            *methods(
                "permute",
                [
                    ("three axes", (2, 3, 4), lambda x: x.permute(2, 0, 1)),
                    ("a tuple", (2, 3, 4), lambda x: x.permute((1, 2, 0))),
                    ("negative", (2, 3, 4), lambda x: x.permute(-1, 0, -2)),
                    ("to channels last", (2, 3, 4, 5), lambda x: x.permute(0, 2, 3, 1)),
                ],
            ),
            Case("permute: function", lambda d: (d.normal(2, 3, 4),), lambda m, x: m.permute(x, (2, 1, 0))),
        ],
        [
            Bad("too few", lambda m: m.zeros(2, 3, 4).permute(0, 1), r"^permute: .*3"),
            Bad("an axis twice", lambda m: m.zeros(2, 3, 4).permute(0, 1, 1), r"^permute: .*1"),
            Bad("axis 3 of 3", lambda m: m.zeros(2, 3, 4).permute(0, 1, 3), r"^permute: .*3"),
            Bad("a string", lambda m: m.zeros(2, 3).permute("a", 0), r"^permute: .*('a'|str)"),
        ],
    ),
    Operation(
        "squeeze",
        methods(
            "squeeze",
            [
                ("all", (1, 3, 1, 4), lambda x: x.squeeze()),
                ("one", (1, 3, 1), lambda x: x.squeeze(0)),
                ("negative", (1, 3, 1), lambda x: x.squeeze(-1)),
                ("longer than 1", (1, 3, 1), lambda x: x.squeeze(1)),
                ("several", (1, 3, 1, 1), lambda x: x.squeeze((0, 2))),
            ],
        ),
        [
            Bad("axis 2 of 2", lambda m: m.zeros(1, 3).squeeze(2), r"^squeeze: .*2"),
            Bad("axis -3 of 2", lambda m: m.zeros(1, 3).squeeze(-3), r"^squeeze: .*-3"),
            Bad("a string", lambda m: m.zeros(1, 3).squeeze("a"), r"^squeeze: .*('a'|str)"),
            Bad("a fraction", lambda m: m.zeros(1, 3).squeeze(0.0), r"^squeeze: .*(float|0\.0)"),
        ],
    ),
    Operation(
        "unsqueeze",
        methods(
            "unsqueeze",
            [
                ("first", (3, 4), lambda x: x.unsqueeze(0)),
                ("last", (3, 4), lambda x: x.unsqueeze(2)),
                ("negative", (3, 4), lambda x: x.unsqueeze(-2)),
                ("0-d", (), lambda x: x.unsqueeze(0)),
            ],
        ),
        [
            Bad("axis 3 of 2", lambda m: m.zeros(1, 3).unsqueeze(3), r"^unsqueeze: .*3"),
            Bad("axis -4 of 2", lambda m: m.zeros(1, 3).unsqueeze(-4), r"^unsqueeze: .*-4"),
            Bad("a string", lambda m: m.zeros(1, 3).unsqueeze("a"), r"^unsqueeze: .*('a'|str)"),
            Bad("a fraction", lambda m: m.zeros(1, 3).unsqueeze(0.0), r"^unsqueeze: .*(float|0\.0)"),
        ],
    ),
    Operation(
        "expand",
        methods(
            "expand",
            [
                ("one axis", (3, 1), lambda x: x.expand(3, 4)),
                ("-1", (3, 1), lambda x: x.expand(-1, 4)),
                ("new axes", (3, 1), lambda x: x.expand(2, 3, 4)),
                ("new axes and -1", (3, 1), lambda x: x.expand(2, -1, 4)),
                ("0-d", (), lambda x: x.expand(2, 2)),
                ("to nothing", (1, 3), lambda x: x.expand(0, 3)),
                ("a tuple", (1, 3), lambda x: x.expand((2, 3))),
                ("expand_as", (1, 3), lambda x: x.expand_as(x.reshape(3, 1) * x)),
            ],
        ),
        [
            Bad("length 3 to 4", lambda m: m.zeros(3, 1).expand(4, 4), r"^expand: .*3", ShapeError),
            Bad("fewer axes", lambda m: m.zeros(3, 1).expand(3), r"^expand: .*", ShapeError),
            Bad("-1 on a new axis", lambda m: m.zeros(3, 1).expand(-1, 3, 1), r"^expand: .*-1"),
            Bad("negative", lambda m: m.zeros(3, 1).expand(3, -2), r"^expand: .*-2"),
        ],
    ),
    Operation(
        "cat",
        [
            Case("cat: dim 0", lambda d: (d.normal(2, 3), d.normal(4, 3)), lambda m, x, y: m.cat([x, y])),
            Case("cat: dim 1", lambda d: (d.normal(2, 3), d.normal(2, 1)), lambda m, x, y: m.cat((x, y), dim=1)),
            Case("cat: dim -1", lambda d: (d.normal(2, 3), d.normal(2, 1)), lambda m, x, y: m.cat((x, y), -1)),
            Case("cat: three", lambda d: (d.normal(2, 3), d.normal(1, 3), d.normal(3, 3)), lambda m, *x: m.cat(x, 0)),
            Case("cat: one", lambda d: (d.normal(2, 3),), lambda m, x: m.cat([x])),
            Case("cat: the same twice", lambda d: (d.normal(2, 3),), lambda m, x: m.cat([x, x], 1)),
            Case("cat: an empty part", lambda d: (d.normal(2, 3), d.normal(0, 3)), lambda m, x, y: m.cat([x, y])),
            Case(
                "cat: images", lambda d: (d.normal(2, 3, 4, 5), d.normal(2, 1, 4, 5)), lambda m, x, y: m.cat([x, y], 1)
            ),
            Case(
                "cat: with integers", lambda d: (d.normal(2, 3), d.integers(0, 5, 1, 3)), lambda m, x, y: m.cat([x, y])
            ),
        ],
        [
            Bad("no tensors", lambda m: m.cat([]), r"^cat: .*"),
            Bad("other axes differ", lambda m: m.cat([m.zeros(2, 3), m.zeros(2, 4)], 0), r"^cat: .*(2, 4)", ShapeError),
            Bad("number of axes", lambda m: m.cat([m.zeros(2, 3), m.zeros(2, 3, 1)], 0), r"^cat: .*", ShapeError),
            Bad("axis 2 of 2", lambda m: m.cat([m.zeros(2, 3), m.zeros(2, 3)], 2), r"^cat: .*2"),
            Bad("0-d", lambda m: m.cat([m.tensor(1.0), m.tensor(2.0)]), r"^cat: .*"),
            Bad("a number", lambda m: m.cat([m.zeros(2), 3.0]), r"^cat: .*float"),
            Bad("one tensor, no list", lambda m: m.cat(m.zeros(2, 2)), r"^cat: .*"),
        ],
    ),
    Operation(
        "stack",
        [
            Case("stack: dim 0", lambda d: (d.normal(2, 3), d.normal(2, 3)), lambda m, x, y: m.stack([x, y])),
            Case("stack: dim 1", lambda d: (d.normal(2, 3), d.normal(2, 3)), lambda m, x, y: m.stack((x, y), dim=1)),
            Case("stack: dim -1", lambda d: (d.normal(2, 3), d.normal(2, 3)), lambda m, x, y: m.stack((x, y), -1)),
            Case("stack: 0-d", lambda d: (d.normal(), d.normal()), lambda m, x, y: m.stack([x, y])),
        ],
        [
            Bad("no tensors", lambda m: m.stack([]), r"^stack: .*"),
            Bad("shapes differ", lambda m: m.stack([m.zeros(2, 3), m.zeros(3, 2)]), r"^stack: .*(3, 2)", ShapeError),
            Bad("axis 3 of 2", lambda m: m.stack([m.zeros(2, 3), m.zeros(2, 3)], 3), r"^stack: .*3"),
            Bad("a number", lambda m: m.stack([m.tensor(2.0), 3.0]), r"^stack: .*float"),
        ],
    ),
    Operation(
        "getitem",
        [
            *methods("getitem", INDICES),
            Case("getitem: mask", lambda d: (d.normal(3, 4), d.booleans(3, 4)), lambda _, x, i: x[i]),
            Case("getitem: mask of rows", lambda d: (d.normal(5, 4), d.booleans(5)), lambda _, x, i: x[i]),
            Case("getitem: mask after a slice", lambda d: (d.normal(3, 4), d.booleans(4)), lambda _, x, i: x[:, i]),
            Case("getitem: mask of nothing", lambda d: (d.normal(3, 4),), lambda _, x: x[x > 99]),
            Case("getitem: mask of itself", lambda d: (d.nonzero(3, 4),), lambda _, x: x[x > 0]),
            Case("getitem: integer tensor", lambda d: (d.normal(4, 3), d.integers(-4, 4, 2, 5)), lambda _, x, i: x[i]),
            Case(
                "getitem: two integer tensors",
                lambda d: (d.normal(4, 3), d.integers(0, 4, 6), d.integers(0, 3, 6)),
                lambda _, x, i, j: x[i, j],
            ),
            Case("getitem: 0-d integer tensor", lambda d: (d.normal(4, 3), d.integers(0, 4)), lambda _, x, i: x[i]),
            Case("getitem: no indices", lambda d: (d.normal(4, 3), d.integers(0, 4, 0)), lambda _, x, i: x[i]),
        ],
        [
            Bad("past the end", lambda m: m.zeros(3, 4)[3], r"3", IndexError),
            Bad("before the start", lambda m: m.zeros(3, 4)[-4], r"-4", IndexError),
            Bad("too many", lambda m: m.zeros(3, 4)[0, 0, 0], r"too many|2", IndexError),
            Bad("a list past the end", lambda m: m.zeros(3, 4)[[0, 3]], r"3", IndexError),
            Bad("mask's shape", lambda m: m.zeros(3, 4)[m.zeros(4) > 0], r"4", IndexError),
            Bad("a float tensor", lambda m: m.zeros(3, 4)[m.zeros(2)], r"float"),
            Bad("a string", lambda m: m.zeros(3, 4)["a"], r"", (IndexError, TypeError)),
            Bad("two Ellipses", lambda m: m.zeros(3, 4)[..., ...], r"", IndexError),
        ],
    ),
    Operation(
        "pad",
        [
            Case(f"pad: {p} of {s}", lambda d, s=s: (d.normal(*s),), lambda m, x, p=p: m.nn.functional.pad(x, p))
            for s, p in [
                ((3,), (1, 2)),
                ((2, 3), (1, 0)),
                ((2, 3), (0, 1, 2, 3)),
                ((2, 3, 4, 5), (1, 2, 3, 4)),
                ((2, 3, 4, 5), (1, 1, 1, 1, 0, 2)),
                ((2, 3, 4, 5), (-1, 2, 0, -2)),
                ((0, 3), (1, 1)),
                ((2, 3), (0, 0)),
            ]
        ]
        + [
            Case("pad: value", lambda d: (d.normal(2, 3),), lambda m, x: m.nn.functional.pad(x, (1, 1), value=-3.5)),
            Case(
                "pad: mode and value",
                lambda d: (d.normal(2, 3),),
                lambda m, x: m.nn.functional.pad(x, (1, 1, 2, 0), "constant", 2),
            ),
        ],
        [
            Bad("odd length", lambda m: m.nn.functional.pad(m.zeros(2, 3), (1, 1, 1)), r"^pad: .*3|^pad: .*(1, 1, 1)"),
            Bad("more axes than there are", lambda m: m.nn.functional.pad(m.zeros(3), (1, 1, 1, 1)), r"^pad: .*"),
            Bad("removes more than there is", lambda m: m.nn.functional.pad(m.zeros(3), (-2, -2)), r"^pad: .*-"),
            Bad("unknown mode", lambda m: m.nn.functional.pad(m.zeros(3), (1, 1), mode="mirror"), r"^pad: .*mirror"),
            Bad("a fraction", lambda m: m.nn.functional.pad(m.zeros(3), (1.5, 1)), r"^pad: .*1\.5"),
            Bad("a number", lambda m: m.nn.functional.pad(m.zeros(3), 1), r"^pad: .*"),
        ],
    ),
]
