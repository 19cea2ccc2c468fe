"""Every schedule beside torch's over many epochs: rates, momenta, chains, states, and clear refusals."""

from __future__ import annotations

import copy
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError, DTypeError
from minidl.optim import lr_scheduler
from optim.test_optimizer import one

Make = Callable[[Any, Any], Any]  # (lr_scheduler module of either library, optimizer) -> the schedule


class Warm:
    """A schedule as an object, whose attributes belong to the state."""

    def __init__(self, rise: float) -> None:
        self.rise = rise

    def __call__(self, epoch: int) -> float:
        return min(1.0, self.rise * (epoch + 1))


def nested(m: Any, o: Any) -> Any:
    inner = m.SequentialLR(o, [m.ConstantLR(o, 0.5, 3), m.ExponentialLR(o, 0.8)], [4])
    return m.SequentialLR(o, [inner, m.LinearLR(o, 0.1, total_iters=4)], [9])


def swa(m: Any) -> Any:
    return optim.swa_utils if m is lr_scheduler else torch.optim.swa_utils


SCHEDULES: dict[str, Make] = {
    "StepLR": lambda m, o: m.StepLR(o, 7, gamma=0.3),
    "StepLR defaults": lambda m, o: m.StepLR(o, 20),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [3, 11, 11, 40], gamma=0.5),
    "MultiStepLR zero": lambda m, o: m.MultiStepLR(o, [0, 2]),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.93),
    "ConstantLR": lambda m, o: m.ConstantLR(o),
    "ConstantLR long": lambda m, o: m.ConstantLR(o, factor=0.2, total_iters=17),
    "ConstantLR none": lambda m, o: m.ConstantLR(o, factor=0.2, total_iters=0),
    "LinearLR": lambda m, o: m.LinearLR(o),
    "LinearLR down": lambda m, o: m.LinearLR(o, start_factor=0.9, end_factor=0.05, total_iters=23),
    "LinearLR none": lambda m, o: m.LinearLR(o, total_iters=0),
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR each": lambda m, o: m.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), Warm(0.05)]),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, 60),
    "CosineAnnealingLR up again": lambda m, o: m.CosineAnnealingLR(o, 9, eta_min=0.01),
    "CosineAnnealingLR one": lambda m, o: m.CosineAnnealingLR(o, 1, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 7, eta_min=0.01),
    "CosineAnnealingWarmRestarts longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, T_mult=2),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=60),
    "OneCycleLR linear": lambda m, o: m.OneCycleLR(
        o, [0.5, 2.0], epochs=20, steps_per_epoch=3, anneal_strategy="linear"
    ),
    "OneCycleLR three": lambda m, o: m.OneCycleLR(
        o, 0.5, 60, pct_start=0.4, three_phase=True, base_momentum=[0.7, 0.6], max_momentum=0.9, div_factor=5.0
    ),
    "OneCycleLR rate only": lambda m, o: m.OneCycleLR(o, 0.5, 60, cycle_momentum=False, final_div_factor=10),
    "SWALR": lambda m, o: swa(m).SWALR(o, 0.05),
    "SWALR linear": lambda m, o: swa(m).SWALR(o, [0.05, 1.5], anneal_epochs=17, anneal_strategy="linear"),
    "SWALR at once": lambda m, o: swa(m).SWALR(o, 0.05, anneal_epochs=0),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=5), m.CosineAnnealingLR(o, 20), m.StepLR(o, 4)], [5, 25]
    ),
    "SequentialLR others": lambda m, o: m.SequentialLR(
        o,
        [
            m.CosineAnnealingWarmRestarts(o, 4),
            m.LambdaLR(o, lambda epoch: 0.9**epoch),
            m.ConstantLR(o, 0.5, 0),
            m.MultiStepLR(o, [0, 2], 0.5),
            m.CosineAnnealingWarmRestarts(o, 3, 2),
            m.ExponentialLR(o, 0.9),
        ],
        [6, 12, 18, 24, 40],
    ),
    "SequentialLR at once": lambda m, o: m.SequentialLR(o, [m.ConstantLR(o, 0.5), m.ExponentialLR(o, 0.9)], [0]),
    "SequentialLR nested": nested,
}
EPOCHS = 59
schedules = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES.keys())
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*before.*optimizer.step:UserWarning"
)  # a nested sequence steps at once


def optimizers(name: str = "SGD", **options: Any) -> tuple[Any, Any]:
    """Two groups with rates of their own, in both libraries."""
    ours, theirs = [nn.Parameter(minidl.ones(2)) for _ in range(2)], [torch.nn.Parameter(torch.ones(2)) for _ in "ab"]
    return tuple(
        getattr(library, name)([{"params": [a]}, {"params": [b], "lr": 0.7}], lr=0.1, **options)
        for library, (a, b) in ((optim, ours), (torch.optim, theirs))
    )


def settings(optimizer: Any) -> list[Any]:
    """What a schedule may change, of all groups."""
    return [[g["lr"], g.get("momentum", 0), *g.get("betas", ())] for g in optimizer.param_groups]


def follow(ours: Any, theirs: Any, schedule: Any, reference: Any, epochs: int = EPOCHS) -> None:
    """Epochs in both libraries, compared after each."""
    for epoch in range(epochs + 1):
        where = f"epoch {epoch}"
        np.testing.assert_allclose(settings(ours), settings(theirs), rtol=1e-12, atol=1e-14, err_msg=where)
        np.testing.assert_allclose(schedule.get_last_lr(), reference.get_last_lr(), rtol=1e-12, atol=1e-14)
        assert schedule.last_epoch == reference.last_epoch
        if epoch < epochs:
            for stepping in (ours, theirs, schedule, reference):
                stepping.step()


@schedules
def test_rates_are_torchs(make: Make) -> None:
    ours, theirs = optimizers(momentum=0.9)
    follow(ours, theirs, make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop"])
def test_momentum_cycles_in_betas_too(name: str) -> None:
    ours, theirs = optimizers(name)
    make = SCHEDULES["OneCycleLR"]
    follow(ours, theirs, make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs))


def keys_of(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: keys_of(value) for key, value in state.items() if key != "_get_lr_called_within_step"}
    return [keys_of(value) for value in state] if isinstance(state, list) else None


@schedules
@pytest.mark.parametrize("source", ["ours", "torch"])
def test_a_run_continues_from_a_state(make: Make, source: str) -> None:
    ours, theirs = optimizers(momentum=0.9)
    schedule, reference = make(lr_scheduler, ours), make(torch.optim.lr_scheduler, theirs)
    follow(ours, theirs, schedule, reference, 13)
    if source == "ours":
        state, groups = schedule.state_dict(), copy.deepcopy(ours.state_dict())
        assert keys_of(state) == keys_of(reference.state_dict())
        text = json.dumps(state)  # nothing but numbers, texts, lists and dicts
        assert json.loads(text).keys() == state.keys()
    else:
        state, groups = copy.deepcopy(reference.state_dict()), {**theirs.state_dict(), "state": {}}
    schedule.step()  # what was saved must be a copy
    again, _ = optimizers(momentum=0.9)
    resumed = make(lr_scheduler, again)
    resumed.load_state_dict(state)
    again.load_state_dict(groups)
    reference.step()
    resumed.step()
    follow(again, theirs, resumed, reference, EPOCHS - 14)
    assert resumed.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["StepLR", "MultiStepLR", "ExponentialLR", "LinearLR down", "CosineAnnealingLR", "LambdaLR"]
)
def test_last_epoch_goes_on_from_an_optimizer_alone(name: str) -> None:
    ours, theirs = optimizers()
    for optimizer in (ours, theirs):
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"] * 2
    library = torch.optim.lr_scheduler
    parts = {"StepLR": 7, "MultiStepLR": [3, 11], "ExponentialLR": 0.9, "CosineAnnealingLR": 60}
    arguments = [parts[name]] if name in parts else []
    options = {"start_factor": 0.9, "total_iters": 23} if "Linear" in name else {}
    if name == "LambdaLR":
        arguments = [lambda epoch: 0.95**epoch]
    name = name.split()[0]
    schedule, reference = (
        getattr(m, name)(o, *arguments, **options, last_epoch=6) for m, o in ((lr_scheduler, ours), (library, theirs))
    )
    follow(ours, theirs, schedule, reference, 30)


def test_schedules_on_one_optimizer_multiply() -> None:
    ours, theirs = optimizers()

    def chain(m: Any, o: Any) -> list[Any]:
        return [m.LinearLR(o, 0.1, total_iters=6), m.ExponentialLR(o, 0.95), m.StepLR(o, 9), m.CosineAnnealingLR(o, 30)]

    ours_chain, theirs_chain = chain(lr_scheduler, ours), chain(torch.optim.lr_scheduler, theirs)
    for _ in range(EPOCHS):
        ours.step()
        theirs.step()
        for a, b in zip(ours_chain, theirs_chain, strict=True):
            a.step()
            b.step()
            assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12, abs=1e-15)
        np.testing.assert_allclose(settings(ours), settings(theirs), rtol=1e-12, atol=1e-15)


PLATEAU: list[dict[str, Any]] = [
    {"patience": 4},
    {"patience": 2, "factor": 0.5},
    {"patience": 0, "factor": 0.5, "mode": "max", "cooldown": 3},
    {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "min_lr": [0.05, 0.3]},
    {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "mode": "max", "eps": 0.05},
    {"patience": 1, "threshold": 0.1, "cooldown": 1, "min_lr": 0.02},
]


@pytest.mark.parametrize("options", PLATEAU, ids=str)
def test_plateau(options: dict[str, Any]) -> None:
    ours, theirs = optimizers()
    schedule = lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    random = np.random.default_rng(0)
    for epoch in range(60):
        figure = float(1 / (1 + epoch // 7) + 0.1 * random.standard_normal())
        figure = math.nan if epoch == 20 else figure
        schedule.step(figure if epoch % 2 else minidl.tensor(figure, dtype=minidl.float64))
        reference.step(figure)
        assert settings(ours) == settings(theirs)
        assert schedule.get_last_lr() == reference.get_last_lr()
        assert (schedule.num_bad_epochs, schedule.in_cooldown) == (reference.num_bad_epochs, reference.in_cooldown)
        if epoch in (13, 31):  # go on from the states, of ours and of torch's
            assert keys_of(schedule.state_dict()) == keys_of(reference.state_dict())
            state = schedule.state_dict() if epoch == 13 else reference.state_dict()
            schedule = lr_scheduler.ReduceLROnPlateau(ours, "min", 0.9, min_lr=options.get("min_lr", 0))
            schedule.load_state_dict(state)
    assert settings(ours) != [[0.1, 0], [0.7, 0]]


def test_the_order_of_steps_is_watched_as_in_torch() -> None:
    optimizer = optim.SGD(one(), lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="StepLR.step\\(\\) came before the first optimizer.step\\(\\)"):
        schedule.step()
    optimizer = optim.SGD(one(), lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        schedule.step()


def test_a_state_is_a_copy() -> None:
    schedule = lr_scheduler.MultiStepLR(sgd(), [3])
    state = schedule.state_dict()
    state["base_lrs"][0] = state["_last_lr"][0] = state["milestones"][3] = 7
    assert schedule.base_lrs == schedule.get_last_lr() == [0.1]
    assert schedule.milestones == {3: 1}
    schedule.load_state_dict(state)
    state["base_lrs"][0] = 9
    assert schedule.base_lrs == [7]


def test_a_schedule_of_ones_own() -> None:
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optim.SGD(one(), lr=1.0)
    schedule = Halving(optimizer)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == [0.125]
    assert optimizer.param_groups[0]["lr"] == 0.125


def sgd() -> Any:
    return optim.SGD(one(), lr=0.1)


def stepped_too_often() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.OneCycleLR(optimizer, 0.1, 2)
    optimizer.step()
    for _ in range(3):
        schedule.step()


def group_added() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    optimizer.add_param_group({"params": one()})
    optimizer.step()
    schedule.step()


def load(change: Callable[[dict[str, Any]], Any], name: str = "StepLR", *arguments: Any) -> None:
    schedule = getattr(lr_scheduler, name)(sgd(), *(arguments or (3,)))
    before, state = schedule.state_dict(), schedule.state_dict()
    state["last_epoch"] = 5
    change(state)
    try:
        schedule.load_state_dict(state)
    except Exception:
        assert schedule.state_dict() == before
        raise


def one_after(*schedules: str) -> Any:
    optimizer = sgd()
    arguments = {"StepLR": [1], "ReduceLROnPlateau": [], "SequentialLR": [[lr_scheduler.StepLR(optimizer, 1)], []]}
    made = [getattr(lr_scheduler, name)(optimizer, *arguments[name]) for name in schedules]
    return lr_scheduler.SequentialLR(optimizer, made, [3])


S = lr_scheduler
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: S.StepLR(one(), 3), DTypeError, "StepLR: expected an Optimizer, got list"),
    (lambda: S.StepLR(sgd(), 0), ArgumentError, "StepLR: expected step_size as a whole number of at least 1, got 0"),
    (lambda: S.StepLR(sgd(), 2.5), ArgumentError, "StepLR: expected step_size as a whole number"),
    (lambda: S.StepLR(sgd(), 3, gamma="x"), DTypeError, "StepLR: expected gamma as a number, got 'x'"),
    (lambda: S.StepLR(sgd(), 3, last_epoch=4), ArgumentError, "StepLR: expected initial_lr in param_groups[0]"),
    (lambda: S.StepLR(sgd(), 3, last_epoch=-2), ArgumentError, "last_epoch as a whole number of at least -1"),
    (lambda: S.MultiStepLR(sgd(), 3), DTypeError, "MultiStepLR: expected milestones as a list of epochs, got 3"),
    (lambda: S.MultiStepLR(sgd(), [1, -3]), ArgumentError, "MultiStepLR: expected every milestone as a whole number"),
    (lambda: S.ExponentialLR(sgd(), None), DTypeError, "ExponentialLR: expected gamma as a number"),
    (lambda: S.ConstantLR(sgd(), 1.5), ArgumentError, "ConstantLR: expected 0 <= factor <= 1, got 1.5"),
    (lambda: S.ConstantLR(sgd(), 0.5, -1), ArgumentError, "ConstantLR: expected total_iters as a whole number"),
    (lambda: S.LinearLR(sgd(), 0.0), ArgumentError, "Starting multiplicative factor expected to be greater than 0"),
    (lambda: S.LinearLR(sgd(), 1.1), ArgumentError, "LinearLR: expected 0 <= start_factor <= 1, got 1.1"),
    (lambda: S.LinearLR(sgd(), end_factor=-1), ArgumentError, "LinearLR: expected 0 <= end_factor <= 1, got -1"),
    (lambda: S.LambdaLR(sgd(), 0.5), DTypeError, "LambdaLR: expected lr_lambda as a function of the epoch, got 0.5"),
    (
        lambda: S.LambdaLR(sgd(), [abs, abs]),
        ArgumentError,
        "LambdaLR: expected one lr_lambda or one for each of 1 group",
    ),
    (lambda: S.CosineAnnealingLR(sgd(), 0), ArgumentError, "CosineAnnealingLR: expected T_max > 0, got 0"),
    (lambda: S.CosineAnnealingLR(sgd(), 5, "x"), ArgumentError, "CosineAnnealingLR: expected eta_min as a number"),
    (lambda: S.CosineAnnealingWarmRestarts(sgd(), 0), ArgumentError, "expected T_0 as a whole number of at least 1"),
    (lambda: S.CosineAnnealingWarmRestarts(sgd(), 3, 0), ArgumentError, "expected T_mult as a whole number"),
    (lambda: S.OneCycleLR(sgd(), 0.1), ArgumentError, "You must define either total_steps OR (epochs AND steps_per"),
    (lambda: S.OneCycleLR(sgd(), 0.1, 0), ArgumentError, "OneCycleLR: expected total_steps as a whole number"),
    (lambda: S.OneCycleLR(sgd(), 0.1, 9, pct_start=2.0), ArgumentError, "OneCycleLR: expected 0 <= pct_start <= 1"),
    (lambda: S.OneCycleLR(sgd(), 0.1, 9, anneal_strategy="x"), ArgumentError, 'anneal_strategy "cos" or "linear"'),
    (lambda: S.OneCycleLR(sgd(), [0.1, 0.2], 9), ArgumentError, "OneCycleLR: expected one max_lr or one for each of 1"),
    (lambda: S.OneCycleLR(optim.Adagrad(one()), 0.1, 9), ArgumentError, "optimizer must support momentum or beta1"),
    (stepped_too_often, ArgumentError, "OneCycleLR.step: expected at most 2 steps, got step 3"),
    (lambda: S.ReduceLROnPlateau(sgd(), factor=1.0), ArgumentError, "Factor should be < 1.0."),
    (lambda: S.ReduceLROnPlateau(sgd(), "best"), ArgumentError, 'ReduceLROnPlateau: expected mode "min" or "max"'),
    (lambda: S.ReduceLROnPlateau(sgd(), threshold_mode="x"), ArgumentError, 'expected threshold_mode "rel" or "abs"'),
    (lambda: S.ReduceLROnPlateau(sgd(), min_lr=[1, 2]), ArgumentError, "expected one min_lr or one for each of 1"),
    (lambda: S.ReduceLROnPlateau(sgd(), patience=-1), ArgumentError, "expected patience as a whole number"),
    (
        lambda: optim.swa_utils.SWALR(sgd(), 0.1, anneal_strategy="x"),
        ArgumentError,
        'anneal_strategy "cos" or "linear"',
    ),
    (lambda: optim.swa_utils.SWALR(sgd(), 0.1, -1), ArgumentError, "SWALR: expected anneal_epochs as a whole number"),
    (lambda: optim.swa_utils.SWALR(sgd(), "x"), DTypeError, "SWALR: expected swa_lr as a number, got 'x'"),
    (lambda: optim.swa_utils.SWALR(one(), 0.1), DTypeError, "SWALR: expected an Optimizer, got list"),
    (lambda: one_after("StepLR"), ArgumentError, "SequentialLR: expected 0 milestones for 1 schedules, got [3]"),
    (lambda: one_after("StepLR", "ReduceLROnPlateau"), ArgumentError, "got ReduceLROnPlateau at 1"),
    (lambda: S.SequentialLR(sgd(), [], []), ArgumentError, "SequentialLR: expected at least one schedule"),
    (lambda: S.SequentialLR(sgd(), [S.StepLR(sgd(), 1)], []), ArgumentError, "got StepLR at 0 on another"),
    (lambda: S.SequentialLR(sgd(), [sgd()], []), DTypeError, "SequentialLR: expected schedules only, got SGD at 0"),
    (lambda: one_after("StepLR", "SequentialLR"), ArgumentError, "only as the first schedule, got one at 1"),
    (group_added, ArgumentError, "LambdaLR: expected as many groups as when the schedule was made (1), got 2"),
    (lambda: load(lambda s: s.pop("gamma")), ArgumentError, "StepLR.load_state_dict: expected a state of the same"),
    (lambda: load(lambda s: s.update(T_max=4)), ArgumentError, "got unexpected: T_max"),
    (lambda: load(lambda s: s.update(gamma="x")), ArgumentError, "StepLR.load_state_dict: expected gamma as a number"),
    (
        lambda: load(lambda s: s.update(base_lrs=[0.1, 0.2])),
        ArgumentError,
        "expected base_lrs as a list (a number), got",
    ),
    (lambda: load(lambda s: s.update(last_epoch=2.5)), ArgumentError, "expected last_epoch as a whole number"),
    (
        lambda: load(lambda s: s.update(_schedule_phases=[{}, {}]), "OneCycleLR", 0.1, 9),
        ArgumentError,
        "expected phases",
    ),
    (lambda: load(lambda s: s.update(mode="x"), "ReduceLROnPlateau", "max"), ArgumentError, "expected mode"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_calls(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
