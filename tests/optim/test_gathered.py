"""Parameters updated in one call: nobody can tell, whatever happens to arrays, buffers and groups between steps."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import kernels, nn, optim
from minidl.errors import ShapeError

NAMES = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True}),
]
SHAPES = [(4, 3, 3, 3), (4,), (20, 30), (20,), ()]


def one_by_one(name: str) -> Any:
    """The same optimizer without its kernel for many parameters."""
    return type(name, (getattr(optim, name),), {"group_kernel": ""})


class Pair:
    """Two optimizers over equal parameters; ``together`` may update many at once, ``singly`` must not."""

    def __init__(self, name: str, options: dict[str, Any], dtype: Any = minidl.float32) -> None:
        self.random = np.random.default_rng(0)
        values = [self.random.standard_normal(shape) for shape in SHAPES]
        self.sides: list[list[Any]] = []
        self.optimizers = []
        for make in (getattr(optim, name), one_by_one(name)):
            parameters = [nn.Parameter(minidl.tensor(value, dtype=dtype)) for value in values]
            self.sides.append(parameters)
            self.optimizers.append(make(parameters, **options))

    def both(self, change: Callable[[list[Any], Any], None]) -> None:
        """Make one change on both sides."""
        for parameters, optimizer in zip(self.sides, self.optimizers):
            change(parameters, optimizer)

    def step(self, count: int = 1, absent: tuple[int, ...] = ()) -> None:
        """Steps with new gradients, none for the parameters in ``absent``; then everything must have equal bits."""
        for _ in range(count):
            gradients = [self.random.standard_normal(p.shape) for p in self.sides[0]]
            for parameters, optimizer in zip(self.sides, self.optimizers):
                for i, (p, gradient) in enumerate(zip(parameters, gradients)):
                    p.grad = None if i in absent else minidl.tensor(gradient, dtype=p.dtype)
                optimizer.step()
            self.check()

    def check(self) -> None:
        left, right = ([p.data for p in side] for side in self.sides)
        states = [
            [(key, value.data) for p in side if p in optimizer.state for key, value in optimizer.state[p].items()]
            for side, optimizer in zip(self.sides, self.optimizers)
        ]
        assert [key for key, _ in states[0]] == [key for key, _ in states[1]]
        for x, y in zip([*left, *(v for _, v in states[0])], [*right, *(v for _, v in states[1])], strict=True):
            assert x.dtype == y.dtype
            assert x.tobytes() == y.tobytes()
        versions = [[p._version.value for p in side] for side in self.sides]
        assert versions[0] == versions[1]


class Calls:
    """How many parameters had a gradient in each call of a kernel for many, and how many single updates there were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.together: list[int] = []
        self.singly = 0
        for name in ("sgd_update_group", "adam_update_group"):
            monkeypatch.setattr(kernels, name, self.counted(getattr(kernels, name)))
        for name in ("sgd_update", "adam_update"):
            monkeypatch.setattr(kernels, name, self.counted_single(getattr(kernels, name)))

    def counted(self, kernel: Callable[..., None]) -> Callable[..., None]:
        def call(parameters: list[Any], gradients: list[Any], *rest: Any) -> None:
            self.together.append(sum(gradient is not None for gradient in gradients))
            kernel(parameters, gradients, *rest)

        return call

    def counted_single(self, kernel: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            self.singly += 1
            kernel(*arguments)

        return call


each = pytest.mark.parametrize(("name", "options"), NAMES)


@each
def test_one_call_a_step(name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    pair = Pair(name, options)
    pair.step(3)
    assert calls.together == [5, 5, 5]
    assert calls.singly == 15  # of the other side
    pair.step(2, absent=(0, 3))
    assert calls.together == [5, 5, 5, 3, 3]


def set_data(value: Callable[[Any], Any]) -> Callable[[list[Any], Any], None]:
    def change(parameters: list[Any], optimizer: Any) -> None:
        parameters[2].data = value(parameters[2].data)

    return change


def to_double(parameters: list[Any], optimizer: Any) -> None:
    for p in parameters:
        p.data, p._grad = p.data.astype(np.float64), None


def one_to_double(parameters: list[Any], optimizer: Any) -> None:
    parameters[0].data, parameters[0]._grad = parameters[0].data.astype(np.float64), None


def swap_data(parameters: list[Any], optimizer: Any) -> None:
    parameters[1].data, parameters[3].data = parameters[3].data[:4].copy(), np.resize(parameters[1].data, (20,))


def share_data(parameters: list[Any], optimizer: Any) -> None:
    """A parameter that is part of another one's memory: the later update must see the earlier one."""
    parameters[3].data = parameters[2].data.reshape(-1)[:20]


def reload(parameters: list[Any], optimizer: Any) -> None:
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def new_state(parameters: list[Any], optimizer: Any) -> None:
    for entry in optimizer.state.values():
        for key, value in entry.items():
            entry[key] = minidl.tensor(value.data * 2)


def write_state(parameters: list[Any], optimizer: Any) -> None:
    for entry in optimizer.state.values():
        for value in entry.values():
            value.data[...] = 3


def replace_state(parameters: list[Any], optimizer: Any) -> None:
    entries = {p: {key: minidl.tensor(value.data * 2) for key, value in e.items()} for p, e in optimizer.state.items()}
    optimizer.state = defaultdict(dict, entries)


def replace_parameter(parameters: list[Any], optimizer: Any) -> None:
    parameters[1] = optimizer.param_groups[0]["params"][1] = nn.Parameter(minidl.ones(4))


def drop_state(parameters: list[Any], optimizer: Any) -> None:
    for p in parameters[1:3]:
        optimizer.state.pop(p, None)


def drop_buffers(parameters: list[Any], optimizer: Any) -> None:
    for entry in optimizer.state.values():
        entry.clear()


def exchange_state(parameters: list[Any], optimizer: Any) -> None:
    for entry in optimizer.state.values():
        if "exp_avg" in entry:
            entry["exp_avg"], entry["exp_avg_sq"] = entry["exp_avg_sq"], minidl.tensor(abs(entry["exp_avg"].data))


def other_settings(parameters: list[Any], optimizer: Any) -> None:
    group = optimizer.param_groups[0]
    group["lr"], group["weight_decay"], group["maximize"] = 1, 0.3, True
    if "momentum" in group:
        group["momentum"] = 0.5 - group["momentum"] / 3
    else:
        group["amsgrad"], group["betas"] = not group["amsgrad"], (0, 0.5)


def add_group(parameters: list[Any], optimizer: Any) -> None:
    parameters += [nn.Parameter(minidl.ones(7)), nn.Parameter(minidl.ones(2, 3))]
    optimizer.add_param_group({"params": parameters[-2:], "lr": 0.5})


def append(parameters: list[Any], optimizer: Any) -> None:
    parameters.append(nn.Parameter(minidl.ones(7)))
    optimizer.param_groups[0]["params"].append(parameters[-1])


def remove(parameters: list[Any], optimizer: Any) -> None:
    del optimizer.param_groups[0]["params"][1]


def twice(parameters: list[Any], optimizer: Any) -> None:
    optimizer.param_groups[0]["params"].append(parameters[2])


def write_in_place(parameters: list[Any], optimizer: Any) -> None:
    with minidl.no_grad():
        parameters[0].mul_(0.5)


CHANGES: list[Callable[[list[Any], Any], None]] = [
    set_data(lambda x: x + 1),
    set_data(lambda x: np.asfortranarray(x)),
    set_data(lambda x: np.concatenate([x, x], axis=1)[:, ::2]),
    set_data(lambda x: np.repeat(x, 2)[::2][:600].reshape(30, 20).T),
    to_double,
    one_to_double,
    swap_data,
    share_data,
    reload,
    new_state,
    write_state,
    replace_state,
    replace_parameter,
    drop_state,
    drop_buffers,
    exchange_state,
    other_settings,
    add_group,
    append,
    remove,
    twice,
    write_in_place,
]


@each
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__qualname__.rpartition(".")[2])
def test_nothing_that_changes_between_steps_is_missed(
    name: str, options: dict[str, Any], change: Callable[[list[Any], Any], None]
) -> None:
    pair = Pair(name, options)
    pair.step(2)
    pair.both(change)
    pair.step(2, absent=(0,))
    pair.step(2)
    pair.both(change)
    pair.step(3)


@each
def test_parameters_that_join_late(name: str, options: dict[str, Any]) -> None:
    pair = Pair(name, options)
    pair.step(2, absent=(0, 2, 4))
    assert (pair.sides[0][2] in pair.optimizers[0].state) is False
    pair.step(2, absent=(0,))
    pair.step(2, absent=(1, 2, 3))
    pair.step(absent=(0, 1, 2, 3, 4))
    pair.step(2)


@each
def test_gradients_of_any_layout(name: str, options: dict[str, Any]) -> None:
    pair = Pair(name, options)
    for make in (np.asfortranarray, lambda x: np.repeat(x, 2, axis=-1)[..., ::2], np.array, np.asfortranarray):
        gradient = pair.random.standard_normal((20, 30)).astype(np.float32)
        for parameters, optimizer in zip(pair.sides, pair.optimizers):
            parameters[2].grad = minidl.from_numpy(make(gradient))
            parameters[3].grad = minidl.ones(()).data * minidl.ones(1).expand(20)  # one number, read twenty times
            optimizer.step()
        pair.check()


@each
def test_a_parameter_may_be_another_ones_gradient(name: str, options: dict[str, Any]) -> None:
    pair = Pair(name, options)
    pair.step(2)
    for parameters, optimizer in zip(pair.sides, pair.optimizers):
        parameters[3].grad = minidl.from_numpy(parameters[2].data[0, :20])
        parameters[2].grad = minidl.from_numpy(parameters[2].data)
        optimizer.step()
    pair.check()


@each
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_live_on_their_own(name: str, options: dict[str, Any], duplicate: Callable[[Any], Any]) -> None:
    """A copy of network and optimizer has other arrays, at other addresses."""
    net = nn.Linear(20, 30)
    optimizer = getattr(optim, name)(net.parameters(), **options)
    for p in net.parameters():
        p.grad = minidl.ones(*p.shape)
    optimizer.step()
    other, its = duplicate((net, optimizer))
    assert optimizer._gathered
    assert not its._gathered
    before = [p.data.copy() for p in net.parameters()]
    for p in other.parameters():
        p.grad = minidl.ones(*p.shape)
    its.step()
    for p, q, kept in zip(net.parameters(), other.parameters(), before):
        np.testing.assert_array_equal(p.data, kept)
        assert not (q.data == kept).any()


def test_a_wrong_shape_is_found_before_anything_is_updated() -> None:
    pair = Pair("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5})
    for _ in range(2):
        before = [p.data.copy() for p in pair.sides[0]]
        for p in pair.sides[0]:
            p.grad = minidl.ones(*p.shape)
        pair.sides[0][2].grad.data = np.ones((30, 20), np.float32)
        with pytest.raises(ShapeError, match=r"SGD.step: expected a gradient of the parameter's shape \(20, 30\)"):
            pair.optimizers[0].step()
        for p, kept in zip(pair.sides[0], before):
            np.testing.assert_array_equal(p.data, kept)
        pair.step()


def test_a_subclass_that_updates_single_parameters_is_asked_for_each() -> None:
    class Halved(optim.Adam):
        def update(self, parameter: Any, group: dict[str, Any]) -> None:
            parameter.data /= 2

    parameters = [nn.Parameter(minidl.ones(2)) for _ in range(3)]
    for p in parameters:
        p.grad = minidl.ones(2)
    Halved(parameters).step()
    assert [p.tolist() for p in parameters] == [[0.5, 0.5]] * 3


@pytest.mark.parametrize("reloaded", [False, True])
def test_arrays_are_not_kept_beyond_the_next_step(reloaded: bool) -> None:
    pair = Pair("Adam", {})
    pair.step(2)
    parameter, optimizer = pair.sides[0][2], pair.optimizers[0]
    old = [weakref.ref(array) for array in (parameter.data, parameter.grad.data)]
    parameter.data = parameter.data.copy()
    parameter.grad = minidl.ones(20, 30)
    if reloaded:  # which makes new groups
        reload([], optimizer)
    gc.disable()
    try:
        optimizer.step()
        assert [array() for array in old] == [None, None]
    finally:
        gc.enable()
