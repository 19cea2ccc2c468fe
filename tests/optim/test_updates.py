"""Twelve steps of every optimizer beside torch's, in float64, for every combination of options that matters."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from optim.test_optimizer import ALL
from optim.twins import Twins


def combinations(**choices: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def say(options: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items() if value)


SGD = [
    options
    for options in combinations(
        momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], nesterov=[False, True], maximize=[False, True]
    )
    if not (options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0))
]
ADAM = combinations(
    weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True], decoupled_weight_decay=[False, True]
)
ADAMW = combinations(weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True])


ADAGRAD = combinations(
    weight_decay=[0, 0.1], lr_decay=[0, 0.1], initial_accumulator_value=[0, 0.5], maximize=[False, True]
)
RMSPROP = combinations(weight_decay=[0, 0.1], momentum=[0, 0.9], centered=[False, True], maximize=[False, True])
ASGD = combinations(weight_decay=[0, 0.1], t0=[0, 7, 1e6], lambd=[1e-4, 0.3], maximize=[False, True])

ADADELTA = combinations(weight_decay=[0, 0.1], rho=[0.5, 0.9], maximize=[False, True])
ADAMAX = combinations(weight_decay=[0, 0.1], maximize=[False, True])
NADAM = combinations(
    weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], momentum_decay=[4e-3, 0.5], maximize=[False, True]
)
RADAM = combinations(weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], maximize=[False, True])


@pytest.mark.parametrize("options", SGD, ids=say)
def test_sgd(options: dict[str, Any]) -> None:
    Twins("SGD", lr=0.1, **options).step(12)


@pytest.mark.parametrize("options", ADAM, ids=say)
def test_adam(options: dict[str, Any]) -> None:
    Twins("Adam", lr=0.1, betas=(0.8, 0.95), eps=1e-3, **options).step(12)


@pytest.mark.parametrize("options", ADAMW, ids=say)
def test_adamw(options: dict[str, Any]) -> None:
    Twins("AdamW", lr=0.1, betas=(0.8, 0.95), eps=1e-3, **options).step(12)


@pytest.mark.parametrize("options", ADAGRAD, ids=say)
def test_adagrad(options: dict[str, Any]) -> None:
    Twins("Adagrad", lr=0.1, eps=1e-3, **options).step(24)


@pytest.mark.parametrize("options", RMSPROP, ids=say)
def test_rmsprop(options: dict[str, Any]) -> None:
    Twins("RMSprop", lr=0.1, alpha=0.9, eps=1e-3, **options).step(24, tolerance=1e-11)


@pytest.mark.parametrize("options", ASGD, ids=say)
def test_asgd(options: dict[str, Any]) -> None:
    twins = Twins("ASGD", lr=0.1, alpha=0.6, **options)
    twins.step(24)
    for p, q in zip(twins.ours, twins.theirs, strict=True):
        ours, theirs = twins.optimizer.state[p], twins.reference.state[q]
        np.testing.assert_allclose(ours["ax"].numpy(), theirs["ax"].numpy(), rtol=1e-12, atol=1e-12)
        assert [ours[name].item() for name in ("eta", "mu")] == [theirs[name].item() for name in ("eta", "mu")]


@pytest.mark.parametrize("options", ADADELTA, ids=say)
def test_adadelta(options: dict[str, Any]) -> None:
    Twins("Adadelta", lr=0.5, eps=1e-3, **options).step(24)


@pytest.mark.parametrize("options", ADAMAX, ids=say)
def test_adamax(options: dict[str, Any]) -> None:
    Twins("Adamax", lr=0.1, betas=(0.8, 0.9), eps=1e-3, **options).step(24)


@pytest.mark.parametrize("options", NADAM, ids=say)
def test_nadam(options: dict[str, Any]) -> None:
    twins = Twins("NAdam", lr=0.1, betas=(0.8, 0.95), eps=1e-3, **options)
    twins.step(24)
    for p, q in zip(twins.ours, twins.theirs, strict=True):
        assert twins.optimizer.state[p]["mu_product"].item() == twins.reference.state[q]["mu_product"].item()


@pytest.mark.parametrize("options", RADAM, ids=say)
def test_radam(options: dict[str, Any]) -> None:
    """Over the step at which the rectification sets in: the sixth for these betas."""
    Twins("RAdam", lr=0.1, betas=(0.8, 0.95), eps=1e-3, **options).step(24)


@pytest.mark.parametrize("name", ALL)
def test_defaults(name: str) -> None:
    twins = Twins(name)
    assert {**twins.optimizer.defaults} == {**twins.reference.defaults}
    assert repr(twins.optimizer) == repr(twins.reference)
    twins.step(10)


EVERY = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.5, "centered": True, "eps": 1e-3}),
    ("ASGD", {"lr": 0.1, "t0": 2}),
    ("Adadelta", {"lr": 0.5}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1}),
]
every = pytest.mark.parametrize(
    ("name", "options"), EVERY, ids=lambda value: value if isinstance(value, str) else say(value)
)


@every
def test_settings_are_read_at_every_step(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    for step in range(10):
        for optimizer in (twins.optimizer, twins.reference):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            optimizer.param_groups[0]["weight_decay"] = 0.01 * step
            if name == "SGD":
                optimizer.param_groups[0]["momentum"] = 0.9 if step % 5 > 1 else 0.0  # a buffer that begins late
        twins.step()


@every
def test_groups_and_a_late_one(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    twins.step(3)
    late, late_reference = (
        nn.Parameter(minidl.ones(3, dtype=minidl.float64)),
        torch.nn.Parameter(torch.ones(3).double()),
    )
    twins.optimizer.add_param_group({"params": late, "lr": 0.5, "weight_decay": 0.2})
    twins.reference.add_param_group({"params": late_reference, "lr": 0.5, "weight_decay": 0.2})
    twins.ours.append(late)
    twins.theirs.append(late_reference)
    assert repr(twins.optimizer) == repr(twins.reference)
    twins.step(10)


@every
def test_frozen_parameters_rest(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    twins.step(4)
    for parameters in (twins.ours, twins.theirs):
        parameters[0].requires_grad_(False)
    before = twins.ours[0].detach().numpy().copy()
    twins.step(5)
    assert (twins.ours[0].detach().numpy() == before).all()
    for parameters in (twins.ours, twins.theirs):
        parameters[0].requires_grad_(True)
    twins.step(5)
    assert (twins.ours[0].detach().numpy() != before).all()


@every
def test_rebound_data_and_gradients(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    twins.step(3)
    for p, q in zip(twins.ours, twins.theirs, strict=True):
        values = twins.random.standard_normal(p.shape)
        p.data, q.data = minidl.tensor(values).data, torch.tensor(values)
    twins.step(4)
    transposed = twins.random.standard_normal((3, 4))  # a gradient whose memory lies otherwise
    twins.ours[0].grad, twins.theirs[0].grad = minidl.tensor(transposed).T, torch.tensor(transposed).T
    twins.optimizer.step()
    twins.reference.step()
    twins.check()
    twins.ours[0].data = minidl.tensor(transposed).data.T  # and a parameter
    twins.theirs[0].data = torch.tensor(transposed).T
    twins.step(4)


@every
def test_moving_before_and_after(name: str, options: dict[str, Any]) -> None:
    """float32 steps, then float64 ones, with the optimizer made before either; torch keeps its buffers in float32."""
    ours, theirs = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    twins = Twins(name, **options)
    twins.ours, twins.theirs = list(ours.parameters()), list(theirs.parameters())
    twins.optimizer = getattr(optim, name)(ours.parameters(), **options)
    twins.reference = getattr(torch.optim, name)(theirs.parameters(), **options)
    twins.step(4, tolerance=1e-5)
    ours.double()
    theirs.double()
    if name != "SGD":  # torch's Adam refuses to mix; ours moves its buffers along
        for state in twins.reference.state.values():
            state.update({key: value.double() for key, value in state.items() if key != "step"})
    twins.step(4, tolerance=1e-5)
    assert all(p.dtype == minidl.float64 for p in twins.ours)
    fresh, fresh_reference = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    fresh.load_state_dict({key: value.numpy() for key, value in fresh_reference.state_dict().items()})
    twins.optimizer = getattr(optim, name)(fresh.parameters(), **options)
    twins.reference = getattr(torch.optim, name)(fresh_reference.parameters(), **options)
    fresh.double()  # after the optimizer was made, before its first step
    fresh_reference.double()
    for state in twins.reference.state.values():  # Adagrad's is there already
        state["sum"] = state["sum"].double()
    twins.ours, twins.theirs = list(fresh.parameters()), list(fresh_reference.parameters())
    twins.step(10)


@every
def test_shared_parameters_count_once(name: str, options: dict[str, Any]) -> None:
    """A tied weight is one parameter; its gradient is the sum of both uses."""

    def build(library: Any) -> Any:
        net = library.nn.Sequential(library.nn.Linear(3, 3), library.nn.Tanh(), library.nn.Linear(3, 3))
        net[2].weight = net[0].weight
        return net.double()

    ours, theirs = build(minidl), build(torch)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    twins = Twins(name, **options)
    twins.ours, twins.theirs = list(ours.parameters()), list(theirs.parameters())
    assert len(twins.ours) == 3
    twins.optimizer = getattr(optim, name)(ours.parameters(), **options)
    twins.reference = getattr(torch.optim, name)(theirs.parameters(), **options)
    for _ in range(10):
        x = twins.random.standard_normal((4, 3))
        twins.optimizer.zero_grad()
        twins.reference.zero_grad()
        (ours(minidl.tensor(x)) ** 2).sum().backward()
        (theirs(torch.tensor(x)) ** 2).sum().backward()
        twins.optimizer.step()
        twins.reference.step()
        twins.check(1e-9)
