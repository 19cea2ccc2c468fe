"""Neighbours are fused where nothing else looks at what is then not stored, and nowhere else; results are eager's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
import minidl.nn.functional as F
from minidl import nn
from minidl.fusion import Fused


def fused(captured: Any) -> list[str]:
    """The kernels of the fused steps of the only recording."""
    ((program,),) = captured._programs.values()
    names = []
    for step in program.steps:
        if isinstance(step, Fused):
            function = getattr(step.function, "func", step.function)
            names.append(function.__name__.strip("_"))
    return names


def compare(build: Callable[[], Any], step: Callable[..., Any], x_shape: tuple[int, ...], rtol: float = 0) -> list[str]:
    """Run step(net, x) -> tensors twice, eager and captured, from the same weights; returns what was fused."""
    results = []
    for capture in (False, True):
        minidl.manual_seed(1)
        net = build()

        def run(x: Any, net: Any = net) -> Any:
            net.zero_grad()
            outputs = step(net, x)
            (outputs[0] * outputs[0]).sum().backward()
            return tuple(t.detach() for t in outputs)

        captured = minidl.capture(run)
        for seed in (5, 6):
            x = minidl.from_numpy(np.random.default_rng(seed).standard_normal(x_shape).astype(np.float32))
            outputs = (captured if capture else run)(x)
        tensors = [*outputs, *[p.grad for p in net.parameters()], *net.buffers()]
        results.append([tensor.numpy().copy() for tensor in tensors])
    for eager, replayed in zip(*results):
        np.testing.assert_allclose(replayed, eager, rtol=0, atol=rtol * float(np.abs(eager).max()))
    return fused(captured)


IMAGES = (3, 4, 8, 8)


def renewed(layers: tuple[nn.Module, ...]) -> nn.Module:
    """A network of these layers, with weights and statistics as at the start."""
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return nn.Sequential(*layers)


def whole(net: Any, x: Any) -> Any:
    return (net(x),)


def test_convolution_relu_pool() -> None:
    layers = nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    names = compare(lambda: renewed(layers), whole, IMAGES, rtol=1e-7)
    assert names == ["conv2d_pool_relu_forward", "max_pool2d_relu_backward"]


@pytest.mark.parametrize("window", [{"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "stride": 1}])
def test_overlapping_windows(window: dict[str, int]) -> None:
    layers = nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(**window)
    assert len(compare(lambda: renewed(layers), whole, IMAGES, rtol=1e-6)) == 2


def test_convolution_relu_and_linear_relu() -> None:
    convolutions = nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.ReLU()
    layers = *convolutions, nn.Flatten(), nn.Linear(80, 7), nn.ReLU()
    names = compare(lambda: renewed(layers), whole, IMAGES, rtol=1e-7)
    assert names == ["conv2d_relu_forward"] * 2 + ["linear_relu_forward"] + ["relu_backward_sum"] * 2


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.LeakyReLU(0.1), nn.LeakyReLU(0.0)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_rectifier_average_pool(affine: bool, rectifier: nn.Module) -> None:
    # No biases in front: what they would receive is nothing but rounding.
    images = nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6, affine=affine), rectifier, nn.AvgPool2d(2)
    layers = *images, nn.Flatten(), nn.Linear(96, 9, bias=False), nn.BatchNorm1d(9, affine=affine), rectifier
    names = compare(lambda: renewed(layers), whole, IMAGES, rtol=1e-5)
    assert names == ["normalize"] * 2 + ["batch_norm_relu_backward"] * 2


def test_odd_images_are_not_pooled_in_the_same_pass() -> None:
    layers = nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)
    names = compare(lambda: renewed(layers), whole, (3, 4, 9, 8), rtol=1e-5)
    assert names == ["normalize", "batch_norm_relu_backward"]


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.LeakyReLU()])
def test_batch_norm_rectifier_before_maximum_pooling(rectifier: nn.Module) -> None:
    names = compare(lambda: renewed((nn.BatchNorm2d(4), rectifier, nn.MaxPool2d(2))), whole, IMAGES, rtol=1e-5)
    pooled_first = ["max_pool2d_relu_forward", "max_pool2d_relu_backward"]
    assert names == (pooled_first if type(rectifier) is nn.ReLU else ["normalize", "batch_norm_relu_backward"])


@pytest.mark.parametrize("rectify", [F.relu, F.leaky_relu])
def test_batch_norm_that_is_looked_at_is_stored(rectify: Callable[..., Any]) -> None:
    def step(net: Any, x: Any) -> Any:
        before = net[0](x)
        return rectify(before), before.detach()

    names = compare(lambda: nn.Sequential(nn.BatchNorm2d(4)), step, IMAGES, rtol=1e-5)
    assert "normalize" not in names


def test_without_gradients() -> None:
    net = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 5, 3), nn.ReLU())
    captured = minidl.capture(lambda x: net(x))
    x = minidl.randn(*IMAGES)
    with minidl.no_grad():
        expected = net(x).numpy()
        captured(x)
        assert np.array_equal(captured(x).numpy(), expected)
    assert fused(captured) == ["conv2d_pool_relu_forward", "conv2d_relu_forward"]


def _skip(net: Any, x: Any) -> Any:
    before = net[0](x)
    return (F.relu(before) + before,)


def _returned(net: Any, x: Any) -> Any:
    before = net[0](x)
    return F.relu(before), before


def _in_place(net: Any, x: Any) -> Any:
    return (F.relu(net[0](x), inplace=True),)


@pytest.mark.parametrize("step", [_skip, _returned, _in_place])
def test_what_else_is_looked_at_is_stored(step: Callable[..., Any]) -> None:
    names = compare(lambda: nn.Sequential(nn.Conv2d(4, 6, 3)), step, IMAGES, rtol=1e-7)
    assert "conv2d_relu_forward" not in names


def test_relus_result_that_is_used_twice_is_stored() -> None:
    def step(net: Any, x: Any) -> Any:
        y = F.relu(net[0](x))
        return (F.max_pool2d(y, 2).sum() + y.sum(),)

    names = compare(lambda: nn.Sequential(nn.Conv2d(4, 6, 3)), step, IMAGES, rtol=1e-7)
    assert names == ["conv2d_relu_forward", "relu_backward_sum"]


def test_positions_that_are_returned_are_the_pools_own() -> None:
    def step(net: Any, x: Any) -> Any:
        return F.max_pool2d(F.relu(net[0](x)), 2, return_indices=True)

    names = compare(lambda: nn.Sequential(nn.Conv2d(4, 6, 3)), step, IMAGES, rtol=1e-7)
    assert not [name for name in names if "pool" in name]
