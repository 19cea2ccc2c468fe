"""The wider range of layers beside torch's: repr, state, outputs, first values, and bad arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, ShapeError
from nn.twins import as_numpy, check_twins, pair_of_inputs, relative_error, same_repr, state_of

IMAGES = (2, 4, 5, 6)
PADS = {1: (2, 3, 6), 2: (2, 3, 5, 6), 3: (2, 3, 4, 5, 6)}
WIDTHS = {1: (1, 2), 2: (1, 2, 0, 3), 3: (1, 0, 2, 1, 3, 2)}

# name, arguments, named arguments, shapes of the inputs
LAYERS: list[Any] = [
    ("Conv1d", (3, 4, 3), {"padding": 1, "bias": False}, (2, 3, 6)),
    ("Conv1d", (4, 6, (3,)), {"stride": 2, "padding": "valid", "dilation": 2, "groups": 2}, (2, 4, 9)),
    ("Conv1d", (3, 4, 4), {"padding": "same", "padding_mode": "circular"}, (2, 3, 6)),
    ("Conv2d", (3, 4, 3), {"padding": (2, 1), "padding_mode": "reflect"}, (2, 3, 6, 5)),
    ("Conv2d", (3, 4, (2, 4)), {"padding": "same", "padding_mode": "replicate"}, (2, 3, 6, 5)),
    ("Conv2d", (3, 4, 3), {"padding": "valid", "padding_mode": "circular"}, (2, 3, 6, 5)),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "circular"}, (3, 6, 5)),
    ("Conv3d", (2, 3, (1, 2, 3)), {"padding": (0, 1, 2), "stride": (1, 2, 1)}, (2, 2, 3, 4, 5)),
    ("Conv3d", (2, 3, 3), {"padding": 1, "padding_mode": "replicate", "bias": False}, (2, 3, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, (2, 4, 3, 5)),
    ("ConvTranspose2d", (4, 3, (2, 3), (1, 2)), {"dilation": 2, "bias": False}, (2, 4, 3, 5)),
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool1d", (3, 2, 1, 2), {"ceil_mode": True}, (2, 3, 9)),
    ("AvgPool1d", (2,), {}, (2, 3, 7)),
    ("AvgPool1d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, (3, 8)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((None, 2),), {}, (2, 3, 4, 5)),
    ("BatchNorm3d", (3,), {"momentum": 0.3}, (2, 3, 2, 4, 3)),
    ("LayerNorm", (6,), {}, (2, 3, 6)),
    ("LayerNorm", ((3, 6),), {"eps": 0.1, "bias": False}, (2, 3, 6)),
    ("LayerNorm", ([6],), {"elementwise_affine": False}, (2, 3, 6)),
    ("GroupNorm", (2, 4), {}, IMAGES),
    ("GroupNorm", (4, 4), {"affine": False, "eps": 0.1}, IMAGES),
    ("InstanceNorm1d", (3,), {"affine": True}, (2, 3, 5)),
    ("InstanceNorm1d", (3,), {"track_running_stats": True, "momentum": 0.4}, (2, 3, 5)),
    ("InstanceNorm1d", (3,), {}, (3, 5)),
    ("InstanceNorm2d", (4,), {}, IMAGES),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, IMAGES),
    ("InstanceNorm3d", (3,), {"eps": 0.1}, (2, 3, 2, 3, 4)),
    ("GELU", (), {}, (2, 3)),
    ("GELU", ("tanh",), {}, (2, 3)),
    *[(name, args, {}, (2, 3)) for name in ("SiLU", "Mish", "SELU", "ReLU6", "Hardswish") for args in ((), (True,))],
    ("ELU", (), {}, (2, 3)),
    ("ELU", (0.5, True), {}, (2, 3)),
    ("Softplus", (), {}, (2, 3)),
    ("Softplus", (2.0,), {"threshold": 1.0}, (2, 3)),
    ("Hardtanh", (), {}, (2, 3)),
    ("Hardtanh", (-0.2, 0.7, True), {}, (2, 3)),
    ("LogSigmoid", (), {}, (2, 3)),
    ("PReLU", (), {}, (2, 3)),
    ("PReLU", (4,), {"init": 0.1}, IMAGES),
    ("GLU", (), {}, (2, 6)),
    ("GLU", (1,), {}, IMAGES),
    *[
        (f"{kind}Pad{axes}d", (padding,), {}, PADS[axes])
        for kind in ("Zero", "Reflection", "Replication", "Circular")
        for axes in (1, 2, 3)
        for padding in (1, WIDTHS[axes])
    ],
    *[(f"ConstantPad{axes}d", (WIDTHS[axes], 2.5), {}, PADS[axes]) for axes in (1, 2, 3)],
    ("ConstantPad2d", (-1,), {"value": 1}, IMAGES),
    ("Upsample", (7,), {}, IMAGES),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear", "align_corners": True}, IMAGES),
    ("Upsample", (), {"scale_factor": (1.5, 2.0), "mode": "bicubic", "recompute_scale_factor": True}, IMAGES),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, IMAGES),
    ("UpsamplingBilinear2d", ((7, 8),), {}, IMAGES),
    ("PixelShuffle", (2,), {}, IMAGES),
    ("Unfold", (2,), {"padding": 1, "stride": (1, 2)}, IMAGES),
    ("Fold", ((4, 5), 2), {}, (2, 12, 12)),
    ("CosineSimilarity", (), {}, (2, 3), (2, 3)),
    ("CosineSimilarity", (-1, 0.1), {}, (2, 3), (4, 1, 3)),
    ("Bilinear", (3, 4, 5), {}, (2, 3), (2, 4)),
    ("Bilinear", (3, 4, 5), {"bias": False}, (6, 2, 3), (6, 2, 4)),
]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "shapes"), [(*row[:3], row[3:]) for row in LAYERS], ids=lambda v: str(v)[:40]
)
def test_layer_is_torchs_twin(name: str, args: Any, kwargs: Any, shapes: Any) -> None:
    check_twins(name, args, kwargs, *shapes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("L1Loss", {"reduction": "sum"}),
        ("SmoothL1Loss", {"beta": 0.3}),
        ("HuberLoss", {"reduction": "none", "delta": 0.3}),
        ("KLDivLoss", {"reduction": "batchmean", "log_target": True}),
        ("BCEWithLogitsLoss", {"reduction": "none"}),
        ("BCELoss", {}),
    ],
)
def test_losses_are_torchs_twins(name: str, options: dict[str, Any]) -> None:
    (x, tx), (y, ty) = pair_of_inputs(5, 3), pair_of_inputs(5, 3, seed=1)
    if name.startswith("BCE"):
        x, tx, y, ty = x.sigmoid(), tx.sigmoid(), y.sigmoid(), ty.sigmoid()
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert same_repr(ours, theirs)
    assert relative_error(ours(x, y), theirs(tx, ty)) < 1e-12
    if name.startswith("BCE"):
        (w, tw) = pair_of_inputs(3, seed=2)
        named, theirs_named = {"weight": w.abs()}, {"weight": tw.abs()}
        if name == "BCEWithLogitsLoss":
            named["pos_weight"], theirs_named["pos_weight"] = w.exp(), tw.exp()
        ours, theirs = getattr(nn, name)(**options, **named), getattr(torch.nn, name)(**options, **theirs_named)
        assert state_of(ours) == state_of(theirs)
        assert relative_error(ours(x, y), theirs(tx, ty)) < 1e-12


def test_embedding_is_torchs_twin() -> None:
    words = np.array([[0, 2, 2], [3, 0, 1]])
    for options in ({}, {"padding_idx": -2, "scale_grad_by_freq": True}, {"max_norm": 0.9, "norm_type": 1.0}):
        ours, theirs = nn.Embedding(4, 3, **options).double(), torch.nn.Embedding(4, 3, **options).double()
        assert same_repr(ours, theirs)
        assert state_of(ours) == state_of(theirs)
        ours.load_state_dict({"weight": theirs.weight.detach().numpy().copy()})
        y, expected = ours(minidl.tensor(words)), theirs(torch.tensor(words))
        assert relative_error(y, expected) < 1e-6  # torch shortens rows in float32
        (y * y).sum().backward()
        (expected * expected).sum().backward()
        np.testing.assert_allclose(as_numpy(ours.weight.grad), theirs.weight.grad.numpy(), rtol=1e-6)
    table = minidl.ones(5, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert frozen.weight.requires_grad is False
    assert frozen(minidl.tensor([1, 4])).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert nn.Embedding(3, 2, padding_idx=1).weight[1].tolist() == [0.0, 0.0]
    with pytest.raises(ShapeError, match=r"from_pretrained.*\(5,\)"):
        nn.Embedding.from_pretrained(minidl.ones(5))


def test_pools_return_indices() -> None:
    for name, args, shape in (
        ("MaxPool1d", (2,), (2, 3, 7)),
        ("AdaptiveMaxPool1d", (3,), (2, 3, 7)),
        ("AdaptiveMaxPool2d", (3,), (2, 3, 7, 5)),
    ):
        x, expected = pair_of_inputs(*shape)
        values, indices = getattr(nn, name)(*args, return_indices=True)(x)
        want, places = getattr(torch.nn, name)(*args, return_indices=True)(expected)
        assert relative_error(values, want) == 0
        np.testing.assert_array_equal(as_numpy(indices), places.numpy())


def test_transposed_convolution_of_a_wanted_size() -> None:
    ours, theirs = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1), torch.nn.ConvTranspose2d(3, 4, 3, 2, 1)
    x, expected = pair_of_inputs(2, 3, 4, 5)
    assert ours.double()(x, output_size=(8, 9)).shape == tuple(theirs.double()(expected, output_size=(8, 9)).shape)
    with pytest.raises(ArgumentError, match=r"from \(7, 9\) to \(8, 10\), got \(9, 9\)"):
        ours(x, output_size=(9, 9))


def test_first_values_lie_where_torchs_do() -> None:
    for layer in (nn.Conv1d(8, 64, 5), nn.Conv3d(4, 32, 3), nn.ConvTranspose2d(8, 32, 3), nn.Bilinear(9, 8, 40)):
        theirs = {
            "Conv1d": lambda: torch.nn.Conv1d(8, 64, 5),
            "Conv3d": lambda: torch.nn.Conv3d(4, 32, 3),
            "ConvTranspose2d": lambda: torch.nn.ConvTranspose2d(8, 32, 3),
            "Bilinear": lambda: torch.nn.Bilinear(9, 8, 40),
        }[type(layer).__name__]()
        for ours, other in ((layer.weight, theirs.weight), (layer.bias, theirs.bias)):
            assert ours.abs().max().item() == pytest.approx(other.abs().max().item(), rel=0.15)
            assert ours.std().item() == pytest.approx(other.std().item(), rel=0.25)
    weight = nn.Embedding(200, 50).weight
    assert weight.std().item() == pytest.approx(1, rel=0.05)
    assert nn.PReLU(3, init=0.5).weight.tolist() == [0.5, 0.5, 0.5]
    assert math.isclose(nn.LayerNorm(4).weight.sum().item(), 4)


BAD: list[tuple[Any, str, type[Exception]]] = [
    (lambda: nn.Conv1d(3, 4, (3, 3)), r"Conv1d: .*kernel_size.*\(3, 3\)", DTypeError),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), r"Conv2d: .*padding_mode.*'mirror'", ArgumentError),
    (lambda: nn.Conv3d(3, 4, 3, groups=2), r"Conv3d: .*in_channels.*groups=2", ArgumentError),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), r"ConvTranspose2d: .*padding.*'same'", DTypeError),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), r"ConvTranspose2d: .*'reflect'", ArgumentError),
    (lambda: nn.MaxPool1d(2, padding=2), r"MaxPool1d: .*half", ArgumentError),
    (lambda: nn.AvgPool1d(0), r"AvgPool1d: .*0", ArgumentError),
    (lambda: nn.AdaptiveMaxPool2d((1, 2, 3)), r"AdaptiveMaxPool2d: .*\(1, 2, 3\)", DTypeError),
    (lambda: nn.LayerNorm(0), r"LayerNorm: .*0", ArgumentError),
    (lambda: nn.LayerNorm(3, eps=0), r"LayerNorm: .*eps.*0", ArgumentError),
    (lambda: nn.GroupNorm(3, 4), r"GroupNorm: .*divisible.*4", ArgumentError),
    (lambda: nn.InstanceNorm2d(3)(minidl.ones(2, 4, 3, 3)), r"InstanceNorm2d: .*C=3.*\(2, 4, 3, 3\)", ShapeError),
    (lambda: nn.InstanceNorm2d(3)(minidl.ones(2, 3)), r"InstanceNorm2d: .*\(2, 3\)", ShapeError),
    (lambda: nn.BatchNorm3d(3)(minidl.ones(2, 3, 4, 4)), r"BatchNorm3d: .*\(2, 3, 4, 4\)", ShapeError),
    (lambda: nn.GELU("exact"), r"GELU: .*'exact'", ArgumentError),
    (lambda: nn.Softplus(0), r"Softplus: .*0", ArgumentError),
    (lambda: nn.ELU("x"), r"ELU: .*'x'", ArgumentError),
    (lambda: nn.Hardtanh(1, -1), r"Hardtanh: .*1 and -1", ArgumentError),
    (lambda: nn.PReLU(0), r"PReLU: .*0", ArgumentError),
    (lambda: nn.GLU(None), r"GLU: .*None", DTypeError),
    (lambda: nn.L1Loss(reduction="max"), r"L1Loss: .*'max'", ArgumentError),
    (lambda: nn.SmoothL1Loss(beta=-1), r"SmoothL1Loss: .*-1", ArgumentError),
    (lambda: nn.HuberLoss(delta=0), r"HuberLoss: .*0", ArgumentError),
    (lambda: nn.KLDivLoss(reduction="batch"), r"KLDivLoss: .*'batch'", ArgumentError),
    (lambda: nn.ZeroPad2d((1, 2)), r"ZeroPad2d: .*\(1, 2\)", DTypeError),
    (lambda: nn.ConstantPad1d(1, "x"), r"ConstantPad1d: .*'x'", DTypeError),
    (lambda: nn.ReflectionPad2d(1)(minidl.ones(2, 2)), r"ReflectionPad2d: .*\(2, 2\)", ShapeError),
    (lambda: nn.Embedding(3, 4, padding_idx=3), r"Embedding: .*3", ArgumentError),
    (lambda: nn.Embedding(3, 4, sparse=True), r"Embedding: .*sparse", ArgumentError),
    (lambda: nn.Embedding(3, 4, max_norm="x"), r"Embedding: .*max_norm.*'x'", DTypeError),
    (lambda: nn.Upsample(), r"Upsample: .*neither", ArgumentError),
    (lambda: nn.PixelShuffle(0), r"PixelShuffle: .*0", ArgumentError),
    (lambda: nn.Unfold(2, stride=0), r"Unfold: .*stride.*0", ArgumentError),
    (lambda: nn.Bilinear(0, 1, 1), r"Bilinear: .*0", ArgumentError),
    (lambda: nn.CosineSimilarity("x"), r"CosineSimilarity: .*'x'", DTypeError),
]


@pytest.mark.parametrize(("make", "says", "error"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_bad_arguments(make: Any, says: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=says):
        make()
