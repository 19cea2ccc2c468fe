"""Layers against torch's: outputs, gradients of input and parameters, second order, buffers; rows nn.* of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import minidl
from gradients.case import Draw
from gradients.checks import relative_error
from gradients.report import Report


class Layer(NamedTuple):
    """A layer or a small network: ``make(nn)`` builds it in either library; ``shape`` is its input's."""

    name: str
    make: Callable[[Any], Any]
    shape: tuple[int, ...]
    training: bool = True
    draw: str = "distinct"

    def __str__(self) -> str:
        return self.name


def block(nn: Any) -> Any:
    """What the networks of the experiments are made of; no bias before a batch norm, which would have no gradient."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
        nn.Dropout(0.0),
        nn.Flatten(),
        nn.Linear(6, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.Tanh(),
        nn.Linear(5, 4),
        nn.LogSoftmax(dim=1),
    )


def shared(nn: Any) -> Any:
    """One layer used twice."""
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer)


LAYERS = [
    Layer("Linear", lambda nn: nn.Linear(4, 3), (5, 4)),
    Layer("Linear: no bias, three axes", lambda nn: nn.Linear(4, 3, bias=False), (2, 5, 4)),
    Layer("Conv2d", lambda nn: nn.Conv2d(3, 4, 3), (2, 3, 6, 5)),
    Layer("Conv2d: same, even kernel", lambda nn: nn.Conv2d(3, 4, (2, 4), padding="same"), (2, 3, 6, 5)),
    Layer(
        "Conv2d: everything",
        lambda nn: nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 2), dilation=(2, 1), groups=2, bias=False),
        (2, 4, 9, 7),
    ),
    Layer("Conv2d: no batch", lambda nn: nn.Conv2d(3, 4, 3, padding=1), (3, 6, 5)),
    Layer("MaxPool2d", lambda nn: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 7, 8), draw="negative"),
    Layer("AvgPool2d", lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 3, 7, 8)),
    Layer("AdaptiveAvgPool2d", lambda nn: nn.AdaptiveAvgPool2d((3, None)), (2, 3, 7, 5)),
    Layer("BatchNorm1d: features", lambda nn: nn.BatchNorm1d(4), (6, 4)),
    Layer("BatchNorm1d: sequences", lambda nn: nn.BatchNorm1d(4, momentum=None), (3, 4, 5)),
    Layer("BatchNorm2d", lambda nn: nn.BatchNorm2d(4, eps=1e-3, momentum=0.3), (3, 4, 5, 2)),
    Layer("BatchNorm2d: not affine", lambda nn: nn.BatchNorm2d(4, affine=False), (3, 4, 5, 2)),
    Layer("BatchNorm2d: evaluation", lambda nn: nn.BatchNorm2d(4), (3, 4, 5, 2), training=False),
    Layer(
        "BatchNorm2d: evaluation without buffers",
        lambda nn: nn.BatchNorm2d(4, track_running_stats=False),
        (3, 4, 5, 2),
        training=False,
    ),
    Layer("Dropout: evaluation", lambda nn: nn.Dropout(0.5), (4, 5), training=False),
    Layer("Dropout2d: evaluation", lambda nn: nn.Dropout2d(0.5), (2, 3, 4, 4), training=False),
    Layer("ReLU: in place", lambda nn: nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True)), (5, 4)),
    Layer("LeakyReLU", lambda nn: nn.LeakyReLU(0.2), (5, 4)),
    Layer("Tanh", lambda nn: nn.Tanh(), (5, 4)),
    Layer("Sigmoid", lambda nn: nn.Sigmoid(), (5, 4)),
    Layer("Softmax", lambda nn: nn.Softmax(dim=1), (3, 4, 2), draw="normal"),
    Layer("LogSoftmax", lambda nn: nn.LogSoftmax(dim=-1), (3, 4), draw="normal"),
    Layer("Flatten", lambda nn: nn.Flatten(), (2, 3, 4, 5)),
    Layer("Conv1d", lambda nn: nn.Conv1d(3, 4, 3, stride=2, padding=1), (2, 3, 7)),
    Layer("Conv2d: reflected border", lambda nn: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), (2, 3, 5, 4)),
    Layer("Conv3d", lambda nn: nn.Conv3d(2, 3, (2, 3, 1), padding=(1, 0, 1)), (2, 2, 3, 4, 3)),
    Layer("ConvTranspose2d", lambda nn: nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1), (2, 3, 3, 4)),
    Layer("MaxPool1d", lambda nn: nn.MaxPool1d(3, 2, 1, ceil_mode=True), (2, 3, 8), draw="negative"),
    Layer("AdaptiveMaxPool2d", lambda nn: nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 5, 4)),
    Layer("BatchNorm3d", lambda nn: nn.BatchNorm3d(3, momentum=0.3), (2, 3, 2, 3, 2)),
    Layer("LayerNorm", lambda nn: nn.LayerNorm((4, 5)), (3, 4, 5)),
    Layer("GroupNorm", lambda nn: nn.GroupNorm(2, 6), (2, 6, 3, 2)),
    Layer("InstanceNorm2d", lambda nn: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 4, 3)),
    Layer("GELU", lambda nn: nn.GELU(), (5, 4), draw="normal"),
    Layer("SiLU: in place", lambda nn: nn.Sequential(nn.Linear(4, 3), nn.SiLU(inplace=True)), (5, 4), draw="normal"),
    Layer("PReLU", lambda nn: nn.PReLU(4), (3, 4, 2)),
    Layer("GLU", lambda nn: nn.GLU(1), (3, 4, 2), draw="normal"),
    Layer("Upsample", lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 4, 3)),
    Layer("ReplicationPad2d", lambda nn: nn.ReplicationPad2d((1, 2, 0, 1)), (2, 3, 4, 3)),
    Layer("Unfold", lambda nn: nn.Unfold(2, stride=2), (2, 3, 5, 4)),
    Layer("Sequential: one layer used twice", shared, (5, 6), draw="normal"),
    Layer("Sequential: a network", block, (6, 3, 8, 8), draw="normal"),
    Layer("Sequential: a network, evaluation", block, (6, 3, 8, 8), training=False, draw="normal"),
]


def twins(layer: Layer) -> tuple[Any, torch.nn.Module]:
    """The layer in both libraries with the same random weights and buffers, in float64."""
    draw, theirs = Draw(layer.name), layer.make(torch.nn).double()
    state = {}
    for key, value in theirs.state_dict().items():
        values = draw.positive(*value.shape) if "var" in key or "weight" in key else draw.normal(*value.shape)
        state[key] = value if key.endswith("num_batches_tracked") else torch.from_numpy(values)
    theirs.load_state_dict(state)
    ours = layer.make(minidl.nn).double()
    ours.load_state_dict({key: minidl.from_numpy(value.numpy().copy()) for key, value in theirs.state_dict().items()})
    return ours.train(layer.training), theirs.train(layer.training)


def results(library: Any, network: Any, layer: Layer) -> dict[str, list[np.ndarray]]:
    """Outputs, gradients, second order and buffers of one pass with a random output gradient."""
    x = library.from_numpy(getattr(Draw(layer.name), layer.draw)(*layer.shape)).requires_grad_(True)
    y = network(x)
    rng = np.random.default_rng(3)
    seed = library.from_numpy(rng.standard_normal(tuple(y.shape))).requires_grad_(True)
    wanted = [x, *network.parameters()]
    first = library.autograd.grad(y, wanted, seed, create_graph=True)
    directions = [library.from_numpy(np.asarray(rng.standard_normal(tuple(g.shape)))) for g in first]
    total = sum((g * v).sum() for g, v in zip(first, directions, strict=True))
    second = library.autograd.grad(total, [*wanted, seed], allow_unused=True)
    buffers = list(network.buffers())
    return {
        "forward": [t.detach().cpu().numpy() for t in (y, *buffers)],
        "gradient": [g.detach().cpu().numpy() for g in first],
        "second order": [
            np.zeros(tuple(t.shape)) if g is None else g.detach().cpu().numpy()
            for g, t in zip(second, [*wanted, seed], strict=True)
        ],
    }


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer(layer: Layer, report: Report) -> None:
    ours, theirs = twins(layer)
    got, want = results(minidl, ours, layer), results(torch, theirs, layer)
    for order, allowed in (("forward", 1e-9), ("gradient", 1e-7), ("second order", 1e-7)):
        pairs = list(zip(got[order], want[order], strict=True))
        error = max(relative_error(our, their) for our, their in pairs)
        report.add(f"nn.{layer.name.partition(':')[0]}", layer.name, order, error)
        assert error <= allowed, order


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_backward_fills_every_parameter(layer: Layer) -> None:
    """The same gradients through ``backward``, twice, so that they accumulate."""
    ours, theirs = twins(layer)
    gradients = []
    for library, network in ((minidl, ours), (torch, theirs)):
        x = library.from_numpy(getattr(Draw(layer.name), layer.draw)(*layer.shape)).requires_grad_(True)
        for _ in range(2):
            (network(x) ** 2).sum().backward()
        gradients.append([p.grad.numpy() for p in (x, *network.parameters())])
    assert max(relative_error(our, their) for our, their in zip(*gradients, strict=True)) <= 1e-7
