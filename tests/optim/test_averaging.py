"""Moving averages of weights beside torch's: means, exponential averages, buffers, batch normalisation, states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError, DTypeError
from minidl.optim import swa_utils

theirs_utils = torch.optim.swa_utils


def build(library: Any) -> Any:
    layers = library.nn
    return layers.Sequential(
        layers.Conv2d(1, 3, 3), layers.BatchNorm2d(3), layers.ReLU(), layers.Flatten(), layers.Linear(12, 2)
    ).double()


def models() -> tuple[Any, Any]:
    torch.manual_seed(0)
    ours, theirs = build(minidl), build(torch)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def batches(count: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal((5, 1, 4, 4)) for _ in range(count)]


def same(ours: Any, theirs: Any, tolerance: float = 1e-12) -> None:
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == list(b)
    for name, value in b.items():
        assert a[name].numpy().dtype == value.numpy().dtype
        np.testing.assert_allclose(a[name].numpy(), value.numpy(), rtol=tolerance, atol=tolerance, err_msg=name)


WAYS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "mean": lambda m: {},
    "mean of buffers too": lambda m: {"use_buffers": True},
    "swa": lambda m: {"avg_fn": m.get_swa_avg_fn()},
    "ema": lambda m: {"avg_fn": m.get_ema_avg_fn(0.8)},
    "ema of buffers too": lambda m: {"avg_fn": m.get_ema_avg_fn(0.8), "use_buffers": True},
    "multi swa": lambda m: {"multi_avg_fn": m.get_swa_multi_avg_fn()},
    "multi ema": lambda m: {"multi_avg_fn": m.get_ema_multi_avg_fn(0.7), "use_buffers": True},
    "own": lambda m: {"avg_fn": lambda averaged, current, n: (averaged + current * n) / (n + 1)},
}


@pytest.mark.parametrize("name", WAYS)
def test_averages_are_torchs(name: str) -> None:
    way = WAYS[name]
    tolerance = 1e-6 if name == "multi swa" else 1e-9  # torch divides there in float32
    ours, theirs = models()
    averaged, reference = (m.AveragedModel(model, **way(m)) for m, model in ((swa_utils, ours), (theirs_utils, theirs)))
    optimizers = [optim.SGD(ours.parameters(), lr=0.1), torch.optim.SGD(theirs.parameters(), lr=0.1)]
    same(averaged, reference)
    for x in batches(5):
        for model, optimizer, make in zip((ours, theirs), optimizers, (minidl.tensor, torch.tensor), strict=True):
            optimizer.zero_grad()
            (model(make(x)) ** 2).mean().backward()
            optimizer.step()
        averaged.update_parameters(ours)
        reference.update_parameters(theirs)
        same(averaged, reference, tolerance)
    assert not np.allclose(averaged.module[0].weight.detach().numpy(), ours[0].weight.detach().numpy())
    data = [minidl.tensor(x) for x in batches()], [torch.tensor(x) for x in batches()]
    swa_utils.update_bn(data[0], averaged)
    theirs_utils.update_bn(data[1], reference)
    same(averaged, reference, tolerance)
    averaged.eval()
    reference.eval()
    np.testing.assert_allclose(
        averaged(data[0][0]).detach().numpy(), reference(data[1][0]).detach().numpy(), rtol=tolerance, atol=tolerance
    )
    assert not averaged.training
    assert not averaged.module[1].training


def test_batch_normalisation_takes_the_mean_of_all_batches() -> None:
    ours, theirs = models()
    ours[1].momentum = theirs[1].momentum = 0.3
    ours.eval()
    theirs.eval()
    swa_utils.update_bn([[minidl.tensor(x), None] for x in batches()], ours, "cpu")
    theirs_utils.update_bn([[torch.tensor(x), None] for x in batches()], theirs, "cpu")
    same(ours, theirs)
    assert ours[1].momentum == 0.3
    assert not ours.training
    swa_utils.update_bn(iter(()), nn.Linear(1, 1))  # nothing to do, and the data are not touched


def test_update_bn_leaves_the_model_as_it_was_after_an_error() -> None:
    ours, _ = models()
    ours.eval()
    with pytest.raises(Exception, match="conv2d: expected"):
        swa_utils.update_bn([minidl.ones(1)], ours)
    assert ours[1].momentum == 0.1
    assert not ours.training


def test_a_state_goes_on() -> None:
    ours, theirs = models()
    averaged = swa_utils.AveragedModel(ours)
    averaged.update_parameters(ours)
    with minidl.no_grad():
        ours[0].weight.mul_(3)
    state = {name: value.numpy().copy() for name, value in averaged.state_dict().items()}
    again = swa_utils.AveragedModel(build(minidl))
    again.load_state_dict(state)
    for average in (averaged, again):
        average.update_parameters(ours)
    same(averaged, again, 0)
    reference = theirs_utils.AveragedModel(theirs)
    reference.load_state_dict({name: torch.tensor(value.numpy()) for name, value in averaged.state_dict().items()})
    same(averaged, reference, 0)


def test_the_copy_is_independent() -> None:
    ours, _ = models()
    ours(minidl.tensor(batches()[0])).sum().backward()
    averaged = swa_utils.AveragedModel(ours)
    assert averaged.module[0].weight is not ours[0].weight
    assert averaged.module[0].weight.data is not ours[0].weight.data
    assert all(p.grad is None and p.is_leaf and p.requires_grad for p in averaged.parameters())
    assert ours[0].weight.grad is not None
    assert len(list(averaged.buffers())) == 1 + len(list(ours.buffers()))
    averaged.to(minidl.float32)
    assert averaged.module[0].weight.dtype == minidl.float32
    assert ours[0].weight.dtype == minidl.float64
    reference = theirs_utils.AveragedModel(models()[1])
    assert repr(averaged) == repr(reference)


def load(change: Callable[[dict[str, Any]], Any]) -> None:
    averaged = swa_utils.AveragedModel(nn.Linear(2, 1))
    state = averaged.state_dict()
    change(state)
    averaged.load_state_dict(state)


def other_model() -> None:
    swa_utils.AveragedModel(nn.Linear(2, 1)).update_parameters(nn.Linear(3, 1))


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: swa_utils.AveragedModel(3), DTypeError, "AveragedModel: expected a model, got int"),
    (lambda: swa_utils.AveragedModel(nn.Linear(1, 1), None, abs, abs), ArgumentError, "Only one of avg_fn and multi"),
    (other_model, ArgumentError, "AveragedModel.update_parameters: expected a model with the 2 tensors of the first"),
    (lambda: load(lambda s: s.pop("n_averaged")), ArgumentError, "got no n_averaged"),
    (lambda: load(lambda s: s.update(weight=1)), ArgumentError, "got weight"),
    (lambda: load(lambda s: s.update(n_averaged=minidl.ones(2))), ArgumentError, "expected n_averaged as a number"),
    (lambda: load(lambda s: s.pop("module.weight")), RuntimeError, 'Missing key(s): "weight"'),
    (lambda: swa_utils.get_ema_avg_fn(1.5), ArgumentError, "Invalid decay value 1.5"),
    (lambda: swa_utils.get_ema_multi_avg_fn(-0.1), ArgumentError, "get_ema_multi_avg_fn: expected 0 <= decay <= 1"),
    (lambda: swa_utils.get_ema_avg_fn("slow"), ArgumentError, "get_ema_avg_fn: expected 0 <= decay <= 1, got 'slow'"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_calls(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
