"""Whole networks exported to ONNX, the file's names and lengths that vary, what is restored, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import minidl
from minidl import models, nn
from minidl.errors import ArgumentError, DTypeError, ExtraError, GraphError
from minidl.nn import functional as F
from onnx_export.running import compare, exported, run, unlike_new
from onnx_export.test_layers import Of


class FunctionalLeNet(nn.Module):
    """PyTorch's CIFAR-10 tutorial: activations and pools are function calls in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.view(x.size(0), -1)))
        return F.log_softmax(self.fc3(F.relu(self.fc2(x))), dim=1)


def vgg11() -> nn.Module:
    """VGG-11 with 64 in place of 4,096 features between its linear layers, and so not half a gigabyte."""

    class Narrow(nn.Linear):
        def __init__(self, in_features: int, out_features: int) -> None:
            super().__init__(in_features if in_features > 4096 else 64, min(out_features, 64))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn, "Linear", Narrow)
        return models.vgg11(num_classes=10)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "LeNet": (models.LeNet, 32),
    "functional LeNet": (FunctionalLeNet, 32),
    "report 003": (models.AveragePoolConvNet, 32),
    "resnet18": (lambda: models.resnet18(num_classes=10), 32),
    "vgg11": (vgg11, 32),
}


def with_used_statistics(model: nn.Module) -> nn.Module:
    """Running statistics as training leaves them: of no layer 0 and 1."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path) -> None:
    minidl.manual_seed(0)
    make, size = NETWORKS[name]
    model, path = with_used_statistics(make()), tmp_path / "model.onnx"
    file = exported(path, model, minidl.randn(1, 3, size, size), dynamic_axes={"input": {0: "batch"}})
    compare(path, model, minidl.randn(3, 3, size, size), tolerance=1e-4)
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in file.graph.initializer}
    for key, value in model.state_dict().items():
        if "num_batches_tracked" not in key:
            np.testing.assert_array_equal(stored.pop(key), value.numpy(), strict=True)
    assert all(name.startswith(("shape", "constant")) for name in stored)
    kinds = [node.op_type for node in file.graph.node]
    assert kinds.count("BatchNormalization") == sum(key.endswith("running_var") for key in model.state_dict())


def test_the_files_names_and_versions(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    file = exported(tmp_path / "m.onnx", net, minidl.ones(2, 3), input_names=["x"], output_names=["y"])
    assert [node.name for node in file.graph.node] == ["0.Gemm", "1.0.Relu", "1.1.Gemm", "y.Identity"]
    assert file.opset_import[0].version == 18
    assert file.producer_name == "minidl"
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*file.graph.input, *file.graph.output)]
    assert shapes == [[2, 3], [2, 2]]
    assert exported(tmp_path / "m.onnx", net, minidl.ones(3), opset_version=21).opset_import[0].version == 21
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    names = [i.name for i in exported(tmp_path / "m.onnx", tied, minidl.ones(2, 3)).graph.initializer]
    assert sorted(names) == ["0.bias", "0.weight", "1.bias"]


def test_lengths_of_images_vary(tmp_path: Path) -> None:
    minidl.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    path = tmp_path / "m.onnx"
    file = exported(path, net, minidl.randn(1, 3, 8, 8), dynamic_axes={"input": {0: "n", -2: "h", 3: "w"}})
    assert [d.dim_param or d.dim_value for d in file.graph.output[0].type.tensor_type.shape.dim] == ["n", 4]
    compare(path, net, minidl.randn(2, 3, 13, 9))
    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(2))  # (N, 4, h w): one length kept, one worked out
    exported(path, flat, minidl.randn(1, 3, 8, 8), dynamic_axes={"input": {0: "n", 2: "h", 3: "w"}})
    compare(path, flat, minidl.randn(2, 3, 13, 9))


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    class Failing(nn.Module):
        def forward(self, x: Any) -> Any:
            raise KeyError("in forward")

    frozen = nn.BatchNorm2d(4).eval()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), frozen, nn.BatchNorm2d(4), nn.Dropout(0.5))
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    generator = minidl.default_generator().get_state()
    x = minidl.ones(2, 3, 5, 5, requires_grad=True)
    exported(tmp_path / "m.onnx", net, x)
    with pytest.raises(KeyError, match="in forward"):
        minidl.onnx.export(nn.Sequential(net, Failing()), x, tmp_path / "none.onnx")
    assert not (tmp_path / "none.onnx").exists()
    assert [m.training for m in net.modules()] == [True, True, False, True, True]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    assert minidl.default_generator().get_state() == generator
    net(x).sum().backward()  # nothing listens any more
    assert x.grad is not None


def test_an_example_that_forward_writes_into_is_left_alone(tmp_path: Path) -> None:
    x = minidl.tensor([-1.0, 2.0])
    exported(tmp_path / "m.onnx", nn.ReLU(inplace=True), x)
    assert x.tolist() == [-1.0, 2.0]
    assert run(tmp_path / "m.onnx", x.numpy())[0].tolist() == [0.0, 2.0]


def test_what_is_not_computed_from_the_input(tmp_path: Path) -> None:
    net = unlike_new(nn.Linear(3, 2))
    both = Of(lambda x: (x, minidl.ones(2) * 3))
    exported(tmp_path / "m.onnx", both, minidl.ones(3))
    assert [y.tolist() for y in run(tmp_path / "m.onnx", np.ones(3, np.float32))] == [[1.0] * 3, [3.0] * 2]
    folded = Of(lambda x: F.linear(x, net.weight * 2, net.bias.reshape(2)))
    exported(tmp_path / "m.onnx", folded, minidl.ones(4, 3))
    compare(tmp_path / "m.onnx", folded, minidl.randn(4, 3))


def view_then_write(x: Any) -> Any:
    y = x * 1
    flat = y.reshape(-1)
    F.relu(y, inplace=True)
    return flat


def write_a_part(x: Any) -> Any:
    y = x * 1
    y[0] = 0.0
    return y


def write_into_a_constant(x: Any) -> Any:
    total = minidl.zeros(2, 3, 4, 6)
    first = total * 2 + x
    return first + total.add_(x)


def count_calls(layer: Any, x: Any) -> Any:
    layer.running_mean.add_(1)
    return layer(x)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: minidl.linalg.norm(x[0, 0], 2), r"SingularValues, on shapes \(4, 6\)"),
        (lambda x: F.dropout(x), r"Dropout, on shapes \(2, 3, 4, 6\)"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True), "ImageIndices"),
        (lambda x: F.batch_norm(x, minidl.zeros(3), minidl.ones(3), training=True), "moves the running statistics"),
        (lambda x: x[[0, 1], [1, 2]], "Index, .*several arrays"),
        (lambda x: x.argmax(), "among all elements"),
        (lambda x: minidl.Tensor(x.data * 2), r"a result computed from the inputs by operations, .*\.data"),
        (write_a_part, "in-place writes of whole tensors, got one of a part"),
        (write_into_a_constant, "into what was computed from the inputs, got one into something else"),
        (lambda x: count_calls(nn.BatchNorm2d(3), x), "into what was computed from the inputs"),
        (view_then_write, "views that are not used after their memory is written to"),
    ],
)
def test_operations_without_a_form(function: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=rf"^onnx\.export: .*{says}"):
        minidl.onnx.export(Of(function), minidl.randn(2, 3, 4, 6), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_the_layer_is_named(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)), Of(lambda x: minidl.linalg.norm(x, 2, (1, 2)))),
    )
    with pytest.raises(GraphError) as caught:
        minidl.onnx.export(net, minidl.ones(3, 4), tmp_path / "m.onnx")
    assert str(caught.value) == (
        "onnx.export: expected operations that have a form in ONNX, got "
        'SingularValues in layer "1.2" (Of), on shapes (3, 2, 2). '
        "Export the model up to this layer, or replace the layer."
    )


def test_a_value_that_python_looks_at(tmp_path: Path) -> None:
    branch = Of(lambda x: x if x.sum().item() > 0 else -x)
    with pytest.raises(GraphError, match=r"^item: expected no Python code that looks at values .*exported forward"):
        minidl.onnx.export(branch, minidl.ones(2), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x * x.shape[0], "constant|Mul, on shapes"),
        (lambda x: x.reshape(x.shape[0] // 2, -1) if x.shape[0] > 2 else x.reshape(1, -1) * 2, "Reshape"),
        (lambda x: x[:2], "Index"),
        (lambda x: x[:1].expand(*x.shape), "Expand"),
        (lambda x: x + minidl.zeros(x.shape), "Add"),
    ],
)
def test_what_depends_on_the_batch_size(function: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=rf"whatever the lengths of dynamic_axes, got .*({says})"):
        minidl.onnx.export(Of(function), minidl.ones(2, 4), tmp_path / "m.onnx", dynamic_axes={"input": [0]})


X = minidl.ones(2, 3)
BAD_CALLS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda f: minidl.onnx.export(lambda x: x, X, f), DTypeError, "a Module, got function"),
    (lambda f: minidl.onnx.export(nn.ReLU(), np.ones(2), f), DTypeError, "args .* got ndarray"),
    (lambda f: minidl.onnx.export(nn.ReLU(), minidl.ones(0, 3), f), ArgumentError, "at least one element"),
    (lambda f: minidl.onnx.export(nn.ReLU(), X, f, opset_version=11), ArgumentError, "opset_version 18 to 21, got 11"),
    (lambda f: minidl.onnx.export(nn.ReLU(), X, f, input_names=["a", "b"]), ArgumentError, "input_names as 1"),
    (lambda f: minidl.onnx.export(nn.ReLU(), X, f, output_names=[]), ArgumentError, "output_names as 1"),
    (
        lambda f: minidl.onnx.export(nn.ReLU(), X, f, dynamic_axes={"x": [0]}),
        ArgumentError,
        "of input, output, got 'x'",
    ),
    (lambda f: minidl.onnx.export(nn.ReLU(), X, f, dynamic_axes={"input": [2]}), ArgumentError, "it has 2"),
    (
        lambda f: minidl.onnx.export(nn.ReLU(), X, f, dynamic_axes={"input": {0: "n", 1: "n"}}),
        ArgumentError,
        'one length of all axes called "n", got 2 and 3',
    ),
    (lambda f: minidl.onnx.export(nn.Linear(3, 2), X, f, input_names=["bias"]), ArgumentError, "got bias"),
    (lambda f: minidl.onnx.export(Of(lambda x: {"y": x}), X, f), DTypeError, "returns a Tensor .* got dict"),
    (lambda f: minidl.capture(lambda x: minidl.onnx.export(nn.ReLU(), x, f))(X), GraphError, "captured step"),
]


@pytest.mark.parametrize(("call", "error", "says"), BAD_CALLS, ids=[says for _, _, says in BAD_CALLS])
def test_bad_calls(call: Any, error: type[Exception], says: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=rf"^onnx\.export: expected .*{says}"):
        call(tmp_path / "m.onnx")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExtraError, match=r'the package onnx, .*pip install "minidl\[onnx\]"'):
        minidl.onnx.export(nn.ReLU(), X, tmp_path / "m.onnx")
