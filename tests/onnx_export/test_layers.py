"""Each layer exported to ONNX against onnxruntime: awkward windows, uneven sizes, other batch sizes, both opsets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minidl
from minidl import nn
from minidl.nn import functional as F
from onnx_export.running import compare, exported, unlike_new


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x: Any) -> Any:
        return self.function(*x)


IMAGE = (2, 4, 7, 9)
# A module of a name, and the shape of its input; the first axis is the batch.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 3), (2, 5)),
    "linear without bias": (lambda: nn.Linear(5, 3, bias=False), (2, 5)),
    "linear of rows": (lambda: nn.Linear(5, 3), (2, 3, 5)),
    "bilinear-free product": (lambda: Of(lambda x: x @ x.transpose(1, 2)), (2, 3, 5)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), (2, 4, 11)),
    "conv1d, uneven same": (lambda: nn.Conv1d(4, 6, 4, padding="same"), (2, 4, 11)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3), IMAGE),
    "conv2d, awkward": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 3), padding=(2, 1), dilation=(1, 2), groups=2, bias=False),
        IMAGE,
    ),
    "conv2d by channels, uneven same": (lambda: nn.Conv2d(4, 4, (2, 4), padding="same", groups=4), IMAGE),
    "conv3d": (lambda: nn.Conv3d(2, 3, (2, 3, 3), stride=(2, 1, 2), padding=1), (2, 2, 5, 4, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3), IMAGE),
    "transposed, awkward": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), padding=1, output_padding=(1, 2), groups=2, dilation=(1, 2)),
        IMAGE,
    ),
    "max pool": (lambda: nn.MaxPool2d(2), IMAGE),
    "max pool, awkward": (lambda: nn.MaxPool2d((3, 2), (2, 3), padding=1, dilation=(2, 1), ceil_mode=True), IMAGE),
    "max pool, ceil": (lambda: nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), (2, 3, 6, 8)),
    "max pool 1d": (lambda: nn.MaxPool1d(3, 2, padding=1, ceil_mode=True), (2, 3, 8)),
    "average pool": (lambda: nn.AvgPool2d(2, 3), IMAGE),
    "average pool, padding counted": (lambda: nn.AvgPool2d((3, 2), (2, 1), padding=1), IMAGE),
    "average pool, padding not counted": (lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), IMAGE),
    "average pool, ceil, counted": (lambda: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), (2, 3, 6, 8)),
    "average pool, ceil, not counted": (
        lambda: nn.AvgPool2d((3, 4), (2, 3), padding=1, ceil_mode=True, count_include_pad=False),
        (2, 3, 6, 8),
    ),
    "average pool, divisor": (lambda: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, divisor_override=5), (2, 3, 6, 8)),
    "average pool 1d": (lambda: nn.AvgPool1d(3, 2, padding=1, ceil_mode=True), (2, 3, 8)),
    "adaptive, one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive, even": (lambda: nn.AdaptiveAvgPool2d((7, 3)), IMAGE),
    "adaptive, uneven and up": (lambda: nn.AdaptiveAvgPool2d((3, 12)), IMAGE),
    "adaptive 1d": (lambda: nn.AdaptiveAvgPool1d(4), (2, 3, 9)),
    "batch norm 1d": (lambda: nn.BatchNorm1d(5, eps=0.1), (3, 5)),
    "batch norm 2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "batch norm 2d, plain": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "batch norm 3d": (lambda: nn.BatchNorm3d(2), (2, 2, 3, 4, 5)),
    "batch norm by the batch": (lambda: nn.BatchNorm2d(4, track_running_stats=False), IMAGE),
    "group norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "layer norm": (lambda: nn.LayerNorm((7, 9)), IMAGE),
    "layer norm of rows": (lambda: nn.LayerNorm(5, elementwise_affine=False), (2, 3, 5)),
    "instance norm": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "instance norm, tracked": (lambda: nn.InstanceNorm2d(4, track_running_stats=True), IMAGE),
    "dropout": (lambda: nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.5), nn.Identity()), IMAGE),
    "flatten": (lambda: nn.Flatten(), IMAGE),
    "flatten and back": (lambda: nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (9, -1))), IMAGE),
    "pad": (lambda: nn.ConstantPad2d((1, 2, 0, 3), 1.5), IMAGE),
    "pad, cut": (lambda: nn.ZeroPad2d((-1, 2, 0, -3)), IMAGE),
    "pad, reflected": (lambda: nn.ReflectionPad2d((1, 2, 0, 3)), IMAGE),
    "pad, replicated": (lambda: nn.ReplicationPad1d((3, 1)), (2, 3, 5)),
    "pad, circular": (lambda: nn.CircularPad2d(2), IMAGE),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "upsampled": (lambda: nn.UpsamplingNearest2d(scale_factor=2), IMAGE),
    "relu in place": (lambda: nn.Sequential(nn.Linear(5, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)), (2, 5)),
    "prelu": (lambda: nn.PReLU(4), IMAGE),
    "softmax": (lambda: nn.Softmax(dim=1), IMAGE),
    "log softmax": (lambda: nn.LogSoftmax(dim=-1), IMAGE),
    "glu": (lambda: nn.GLU(1), IMAGE),
}
ACTIVATIONS = {
    "ReLU": nn.ReLU(),
    "LeakyReLU": nn.LeakyReLU(0.2),
    "ReLU6": nn.ReLU6(),
    "Hardtanh": nn.Hardtanh(-0.5, 2.0),
    "Hardswish": nn.Hardswish(),
    "ELU": nn.ELU(0.7),
    "SELU": nn.SELU(),
    "GELU": nn.GELU(),
    "GELU by tanh": nn.GELU("tanh"),
    "SiLU": nn.SiLU(),
    "Mish": nn.Mish(),
    "Softplus": nn.Softplus(2.0, threshold=1.0),
    "LogSigmoid": nn.LogSigmoid(),
    "Sigmoid": nn.Sigmoid(),
    "Tanh": nn.Tanh(),
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "residual": lambda x: F.relu(x * 0.5 + x),
    "arithmetic": lambda x: (1 - x) / (x.abs() + 2) ** 0.5 - (-x) ** 2 + 3 * x.square(),
    "elementwise": lambda x: x.exp() + (x.abs() + 1).log() * x.sin() - x.cos() / (x * x + 1).sqrt() + x.floor(),
    "angles": lambda x: x.tan() + (x / 9).asin() + (x / 9).acos() + x.atan() + x.sinh() + x.cosh(),
    "rounding": lambda x: x.ceil() + 2 * x.round() + 4 * (x * 2).round(),
    "roots": lambda x: (x * x + 1).rsqrt() + (x * x + 1).reciprocal() + x.sign() + minidl.erf(x),
    "limits": lambda x: minidl.maximum(x.clamp(-0.5, 1), minidl.minimum(x * 2, x.clamp(max=0.25))),
    "where": lambda x: minidl.where((x > 0.1) & (x <= 1) | ~(x != -x), x, 0.5) * (x >= 0).float(),
    "sums": lambda x: x.sum((1, 3), keepdim=True) + x.mean((2, 3), keepdim=True) + x.amax(3, keepdim=True),
    "extrema": lambda x: x.max(1).values + x.amin(2, keepdim=False).sum(2, keepdim=True)[:, :, :1].sum(1, keepdim=True),
    "positions": lambda x: x.argmax(1) + x.max(1).indices,
    "running": lambda x: x.cumsum(1) + x.logsumexp(1, keepdim=True),
    "cut": lambda x: x[:, 1:3, ::2, -4:-1] + x[:, 1, None, ::2, :3] * x[:, 2:3, 0, :3].unsqueeze(2),
    "picked": lambda x: x[:, [0, 2, 2]].transpose(1, 3) + x[..., 3].mean(2)[:, None, None, [0, 1, 1]],
    "joined": lambda x: minidl.cat([x, x[:, :1].expand(-1, 2, -1, -1)], 1).permute(0, 2, 3, 1),
    "written": lambda x: x.clone().mul_(2).add_(x),
    "split": lambda x: minidl.stack(x.split(2, 1), 1).flatten(1, 2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    minidl.manual_seed(0)
    model, path = unlike_new(make()), tmp_path / "model.onnx"
    opset = 18 if len(name) % 2 else 21
    exported(path, model, minidl.randn(shape), dynamic_axes={"input": {0: "batch"}}, opset_version=opset)
    for batch in (shape[0], 5):
        compare(path, model, minidl.randn(batch, *shape[1:]))


@pytest.mark.parametrize("name", [*ACTIVATIONS, *FUNCTIONS])
def test_functions(name: str, tmp_path: Path) -> None:
    minidl.manual_seed(0)
    model, path = ACTIVATIONS.get(name) or Of(FUNCTIONS[name]), tmp_path / "model.onnx"
    exported(path, model, minidl.randn(IMAGE) * 2, dynamic_axes={"input": [0]})
    compare(path, model, minidl.randn(3, *IMAGE[1:]) * 2)


def test_float64_where_onnxruntime_has_it(tmp_path: Path) -> None:
    minidl.manual_seed(0)
    layers = [nn.BatchNorm1d(6), nn.Linear(6, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 3), nn.Softmax(1)]
    model, path = unlike_new(nn.Sequential(*layers)).double(), tmp_path / "model.onnx"
    exported(path, model, minidl.randn(2, 6).double())
    compare(path, model, minidl.randn(2, 6).double(), tolerance=1e-13)


def test_integers_and_several_inputs_and_outputs(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, 4, padding_idx=0)

        def forward(self, words: Any, scale: Any) -> Any:
            x = self.embedding(words) * scale
            return x, x.sum(1), words + 1

    minidl.manual_seed(0)
    model, path = Net(), tmp_path / "model.onnx"
    inputs = minidl.tensor([[1, 2, 0], [6, 1, 1]]), minidl.randn(4)
    names = {"input_names": ["words", "scale"], "output_names": ["x", "sum", "next"]}
    file = exported(path, model, *inputs, **names, dynamic_axes={"words": {0: "batch", 1: "time"}, "x": {1: "t"}})
    assert [value.name for value in (*file.graph.input, *file.graph.output)] == [
        *names["input_names"],
        "x",
        "sum",
        "next",
    ]
    axes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in file.graph.output}
    assert axes == {"x": ["batch", "t", 4], "sum": ["batch", 4], "next": ["batch", "time"]}
    compare(path, model, minidl.tensor([[3, 4, 5, 0]]), minidl.randn(4))
