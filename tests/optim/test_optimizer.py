"""What all optimizers share: groups, state, saving, closures, versions, and clear refusals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn, optim
from minidl.errors import ArgumentError, DTypeError, GraphError, ShapeError
from optim.twins import Twins, to_minidl

STATEFUL = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.5, "centered": True, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1, "t0": 3}),
    ("Adadelta", {"lr": 0.1}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.9, 0.6)}),
]
stateful = pytest.mark.parametrize(("name", "options"), STATEFUL)


def shape_of(value: Any) -> Any:
    """Keys, shapes, types and plain values of a state_dict of either library."""
    if isinstance(value, dict):
        return {key: shape_of(entry) for key, entry in value.items()}
    if isinstance(value, (minidl.Tensor, torch.Tensor)):
        return tuple(value.shape), str(value.detach().numpy().dtype)
    return value


@stateful
def test_state_dict_has_torchs_structure(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    assert shape_of(twins.optimizer.state_dict()) == shape_of(twins.reference.state_dict())
    twins.step(2)
    ours, theirs = twins.optimizer.state_dict(), twins.reference.state_dict()
    assert list(ours) == list(theirs)
    assert shape_of(ours) == shape_of(theirs)
    for number, entry in theirs["state"].items():
        for key, value in entry.items():
            np.testing.assert_allclose(ours["state"][number][key].numpy(), value.numpy(), rtol=1e-12, atol=1e-14)


@stateful
def test_state_is_made_when_needed(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    twins.step()  # parameter 1 has no gradient in the first step
    assert [p in twins.optimizer.state for p in twins.ours] == [q in twins.reference.state for q in twins.theirs]
    assert (twins.ours[1] in twins.optimizer.state) == (name == "Adagrad")  # whose state is there from the start


@stateful
def test_a_run_continues_from_a_saved_state(name: str, options: dict[str, Any]) -> None:
    twins = Twins(name, **options)
    twins.step(3)
    saved = twins.optimizer.state_dict()
    twins.optimizer = getattr(optim, name)(twins.ours, lr=7.0)
    twins.optimizer.load_state_dict(saved)
    assert twins.optimizer.param_groups[0]["lr"] == 0.1
    twins.step(3)
    # And from torch's own state, whose buffers must then be copies.
    theirs = to_minidl(twins.reference.state_dict())
    before = {key: value.numpy().copy() for entry in theirs["state"].values() for key, value in entry.items()}
    twins.optimizer = getattr(optim, name)(twins.ours)
    twins.optimizer.load_state_dict(theirs)
    assert repr(twins.optimizer) == repr(twins.reference)
    twins.step(4)
    after = {key: value.numpy() for entry in theirs["state"].values() for key, value in entry.items()}
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


def test_loaded_buffers_take_the_parameters_type() -> None:
    twins = Twins("Adam")
    twins.step(2)
    saved = twins.optimizer.state_dict()
    counts = [entry["step"].item() for _, entry in sorted(saved["state"].items())]
    assert counts == [1, 1, 2, 2]
    single = [nn.Parameter(p.detach().float()) for p in twins.ours]
    optimizer = optim.Adam(single)
    saved["state"][0]["step"] = 1  # a plain number, as a file of numbers may give it
    optimizer.load_state_dict(saved)
    state = optimizer.state[single[0]]
    assert state["exp_avg"].dtype == minidl.float32
    assert state["step"].dtype == minidl.float32
    assert [optimizer.state[p]["step"].item() for p in single] == counts
    for p in single:
        p.grad = minidl.ones(*p.shape)
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in single] == [count + 1 for count in counts]


def broken(change: Any) -> Any:
    state = optim.Adam([nn.Parameter(minidl.zeros(2))]).state_dict()
    state["state"] = {0: {"step": minidl.tensor(1.0), "exp_avg": minidl.zeros(2), "exp_avg_sq": minidl.zeros(2)}}
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["param_groups"].append({}), "different number of parameter groups"),
        (lambda s: s["param_groups"][0].update(params=[0, 1]), "doesn't match the size of optimizer's group"),
        (
            lambda s: s["state"][0].update(exp_avg=minidl.zeros(3)),
            r"exp_avg of the parameter's shape \(2,\), got shape",
        ),
        (lambda s: s.pop("state"), 'the keys "state" and "param_groups"'),
        (lambda s: s["param_groups"][0].update(capturable=True), "capturable to be False"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "Invalid learning rate: -1.0"),
    ],
)
def test_loading_what_does_not_fit_changes_nothing(change: Any, message: str) -> None:
    optimizer = optim.Adam([nn.Parameter(minidl.zeros(2))], lr=0.25)
    state = broken(change)
    if "state" in state:
        state["param_groups"][0]["eps"] = 0.5
    with pytest.raises(ArgumentError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["eps"] == 1e-8
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert not optimizer.state


def test_closure() -> None:
    parameter = nn.Parameter(minidl.tensor([2.0]))
    optimizer = optim.SGD([parameter], lr=0.25)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (parameter * parameter).sum()
        loss.backward()
        return loss

    with minidl.no_grad():  # as in torch, the closure runs with gradients all the same
        loss = optimizer.step(closure)
    assert loss.item() == 4
    assert parameter.item() == 1
    assert optimizer.step() is None


def test_zero_grad() -> None:
    parameter = nn.Parameter(minidl.ones(2))
    optimizer = optim.SGD([parameter])
    (parameter * 3).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert parameter.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert parameter.grad is None


ALL = ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "ASGD", "Adadelta", "Adamax", "NAdam", "RAdam"]


@pytest.mark.parametrize("name", ALL)
def test_a_step_is_a_write_in_place(name: str) -> None:
    parameter = nn.Parameter(minidl.ones(3))
    array = parameter.data
    loss = (parameter * parameter).sum()
    parameter.grad = minidl.ones(3)
    getattr(optim, name)([parameter]).step()
    assert parameter.data is array
    assert parameter.is_leaf
    assert array[0] != 1
    with pytest.raises(GraphError, match="in-place"):
        loss.backward()


def test_gradients_are_not_touched() -> None:
    for name in ALL:
        parameter = nn.Parameter(minidl.ones(3))
        parameter.grad = minidl.ones(3)
        optimizer = getattr(optim, name)([parameter], weight_decay=0.5, maximize=True)
        optimizer.step()
        optimizer.step()
        assert parameter.grad.tolist() == [1, 1, 1]
    parameter = nn.Parameter(minidl.ones(3))
    parameter.grad = minidl.ones(3)
    optimizer = optim.SGD([parameter], momentum=0.9)
    optimizer.step()
    optimizer.step()  # the first buffer must not have been the gradient itself
    assert parameter.grad.tolist() == [1, 1, 1]


def test_duplicates_in_a_group_warn_as_in_torch() -> None:
    parameter, reference = nn.Parameter(minidl.ones(1)), torch.nn.Parameter(torch.ones(1))
    with pytest.warns(UserWarning, match="more than once"):
        optimizer = optim.SGD([parameter, parameter], lr=0.25)
    with warnings.catch_warnings(record=True):
        theirs = torch.optim.SGD([reference, reference], lr=0.25)
    parameter.grad, reference.grad = minidl.ones(1), torch.ones(1)
    optimizer.step()
    theirs.step()
    assert parameter.item() == reference.item() == 0.5


def test_an_optimizer_of_ones_own() -> None:
    class SignDescent(optim.Optimizer):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        def update(self, parameter: Any, group: dict[str, Any]) -> None:
            parameter.data -= group["lr"] * parameter.grad.sign().data

    parameter = nn.Parameter(minidl.tensor([1.0, 1.0]))
    parameter.grad = minidl.tensor([5.0, -0.1])
    SignDescent([parameter], lr=0.5).step()
    assert parameter.tolist() == [0.5, 1.5]


def one() -> list[Any]:
    return [nn.Parameter(minidl.ones(2))]


def twice_in_groups() -> Any:
    parameters = one()
    return optim.SGD([{"params": parameters}, {"params": parameters}])


BAD = [
    (lambda: optim.SGD([]), ArgumentError, "SGD: expected at least one parameter, got none. optimizer got an empty"),
    (
        lambda: optim.SGD(one()[0]),
        DTypeError,
        "SGD: expected params to be an iterable of Tensors or dicts, got Parameter",
    ),
    (lambda: optim.SGD(3), DTypeError, "SGD: expected params to be an iterable of Tensors or dicts, got int"),
    (lambda: optim.SGD([nn.Linear(1, 1)]), DTypeError, "SGD.add_param_group: expected Tensors only, got Linear"),
    (
        lambda: optim.SGD(nn.Linear(1, 1).named_parameters()),
        DTypeError,
        "SGD.add_param_group: expected Tensors only, got tuple",
    ),
    (lambda: optim.SGD([{"params": set(one())}]), DTypeError, "SGD.add_param_group: expected an ordered collection"),
    (lambda: optim.SGD([one()[0] * 2]), ArgumentError, "can't optimize a non-leaf Tensor"),
    (twice_in_groups, ArgumentError, "some parameters appear in more than one parameter group"),
    (
        lambda: optim.SGD(one()).add_param_group(one()),
        DTypeError,
        'SGD.add_param_group: expected a dict with the key "params"',
    ),
    (lambda: optim.SGD(one(), lr=-0.1), ArgumentError, "Invalid learning rate: -0.1"),
    (lambda: optim.SGD(one(), lr="0.1"), DTypeError, "SGD: expected lr as a number, got '0.1'"),
    (lambda: optim.SGD(one(), lr=float("nan")), ArgumentError, "SGD: expected lr >= 0, got nan"),
    (lambda: optim.SGD(one(), momentum=-1), ArgumentError, "Invalid momentum value: -1"),
    (lambda: optim.SGD(one(), weight_decay=-1), ArgumentError, "Invalid weight_decay value: -1"),
    (
        lambda: optim.SGD(one(), nesterov=True),
        ArgumentError,
        "Nesterov momentum requires a momentum and zero dampening",
    ),
    (lambda: optim.SGD(one(), foreach=True), ArgumentError, "SGD: expected foreach to be False or None, got True"),
    (lambda: optim.SGD(one(), differentiable=True), ArgumentError, "SGD: expected differentiable to be False"),
    (lambda: optim.SGD([{"params": one(), "lr": -2.0}]), ArgumentError, "Invalid learning rate: -2.0"),
    (lambda: optim.Adam(one(), lr=-1), ArgumentError, "Adam: expected lr >= 0, got -1. Invalid learning rate: -1"),
    (lambda: optim.Adam(one(), betas=(1.0, 0.9)), ArgumentError, "Invalid beta parameter at index 0: 1.0"),
    (lambda: optim.Adam(one(), betas=(0.9, -0.1)), ArgumentError, "Invalid beta parameter at index 1: -0.1"),
    (lambda: optim.Adam(one(), betas=0.9), ArgumentError, "Adam: expected betas to be a pair (beta1, beta2), got 0.9"),
    (lambda: optim.Adam(one(), eps=-1e-8), ArgumentError, "Invalid epsilon value: -1e-08"),
    (lambda: optim.Adam(one(), capturable=True), ArgumentError, "Adam: expected capturable to be False"),
    (lambda: optim.AdamW(one(), lr=-1), ArgumentError, "AdamW: expected lr >= 0"),
    (lambda: optim.AdamW(one(), weight_decay=-1), ArgumentError, "AdamW: expected weight_decay >= 0"),
    (lambda: optim.AdamW(one(), betas=("0.9", 0.9)), ArgumentError, "AdamW: expected 0 <= beta < 1, got '0.9'"),
    (lambda: optim.AdamW([]), ArgumentError, "AdamW: expected at least one parameter"),
    (lambda: optim.Adagrad(one(), lr=-1), ArgumentError, "Adagrad: expected lr >= 0, got -1"),
    (lambda: optim.Adagrad(one(), lr_decay=-1), ArgumentError, "Invalid lr_decay value: -1"),
    (lambda: optim.Adagrad(one(), initial_accumulator_value=-1), ArgumentError, "Invalid initial_accumulator_value"),
    (lambda: optim.Adagrad(one(), weight_decay=-1), ArgumentError, "Adagrad: expected weight_decay >= 0"),
    (lambda: optim.Adagrad(one(), eps=-1), ArgumentError, "Adagrad: expected eps >= 0"),
    (lambda: optim.Adagrad(one(), foreach=True), ArgumentError, "Adagrad: expected foreach to be False"),
    (lambda: optim.RMSprop(one(), lr=-1), ArgumentError, "RMSprop: expected lr >= 0, got -1"),
    (lambda: optim.RMSprop(one(), alpha=-1), ArgumentError, "Invalid alpha value: -1"),
    (lambda: optim.RMSprop(one(), momentum=-1), ArgumentError, "RMSprop: expected momentum >= 0"),
    (lambda: optim.RMSprop(one(), eps=-1), ArgumentError, "RMSprop: expected eps >= 0"),
    (lambda: optim.RMSprop(one(), capturable=True), ArgumentError, "RMSprop: expected capturable to be False"),
    (lambda: optim.ASGD(one(), lr=-1), ArgumentError, "ASGD: expected lr >= 0, got -1"),
    (lambda: optim.ASGD(one(), weight_decay=-1), ArgumentError, "ASGD: expected weight_decay >= 0"),
    (lambda: optim.ASGD(one(), t0="late"), DTypeError, "ASGD: expected t0 as a number, got 'late'"),
    (lambda: optim.ASGD(one(), alpha=None), DTypeError, "ASGD: expected alpha as a number, got None"),
    (lambda: optim.ASGD(one(), differentiable=True), ArgumentError, "ASGD: expected differentiable to be False"),
    (lambda: optim.Adadelta(one(), lr=-1), ArgumentError, "Adadelta: expected lr >= 0, got -1"),
    (lambda: optim.Adadelta(one(), rho=1.5), ArgumentError, "Invalid rho value: 1.5"),
    (lambda: optim.Adadelta(one(), eps=-1), ArgumentError, "Adadelta: expected eps >= 0"),
    (lambda: optim.Adadelta(one(), foreach=True), ArgumentError, "Adadelta: expected foreach to be False"),
    (lambda: optim.Adamax(one(), lr=-1), ArgumentError, "Adamax: expected lr >= 0, got -1"),
    (lambda: optim.Adamax(one(), betas=(1.0, 0.9)), ArgumentError, "Adamax: expected 0 <= beta < 1, got 1.0"),
    (lambda: optim.Adamax(one(), weight_decay=-1), ArgumentError, "Adamax: expected weight_decay >= 0"),
    (lambda: optim.Adamax(one(), capturable=True), ArgumentError, "Adamax: expected capturable to be False"),
    (lambda: optim.NAdam(one(), lr=-1), ArgumentError, "NAdam: expected lr >= 0, got -1"),
    (lambda: optim.NAdam(one(), momentum_decay=-1), ArgumentError, "Invalid momentum_decay value: -1"),
    (lambda: optim.NAdam(one(), betas=(0.9, 1)), ArgumentError, "NAdam: expected 0 <= beta < 1, got 1"),
    (lambda: optim.NAdam(one(), eps=-1), ArgumentError, "NAdam: expected eps >= 0"),
    (lambda: optim.RAdam(one(), lr=-1), ArgumentError, "RAdam: expected lr >= 0, got -1"),
    (lambda: optim.RAdam(one(), betas=0.9), ArgumentError, "RAdam: expected betas to be a pair"),
    (lambda: optim.RAdam(one(), eps="small"), DTypeError, "RAdam: expected eps as a number"),
    (lambda: optim.RAdam(one(), weight_decay=-1), ArgumentError, "RAdam: expected weight_decay >= 0"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_calls(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)


def test_a_gradient_of_another_shape_is_refused() -> None:
    parameter = nn.Parameter(minidl.ones(2, 1))
    parameter.grad = minidl.ones(2, 1)
    parameter.grad.data = minidl.ones(2, 3).data  # behind the back of the check that ``grad`` makes
    with pytest.raises(ShapeError, match=r"SGD.step: expected a gradient of the parameter's shape \(2, 1\), got shape"):
        optim.SGD([parameter]).step()
    assert parameter.tolist() == [[1], [1]]


def test_fused_is_accepted_because_it_is_always_so() -> None:
    parameter = one()[0]
    parameter.grad = minidl.ones(2)
    optim.SGD([parameter], lr=0.5, fused=True).step()
    assert parameter.tolist() == [0.5, 0.5]
