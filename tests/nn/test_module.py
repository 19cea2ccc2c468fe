"""Module: registration, the tree, hooks, state_dict, moving, and errors that help; held against torch.nn.Module."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError
from nn.twins import as_numpy, load_from_torch, pair_of_inputs, relative_error, same_repr, state_of


def make_net(library: Any) -> Any:
    """The same network of nested and shared parts in either library."""

    class Block(library.nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv = library.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.bn = library.nn.BatchNorm2d(channels)

        def forward(self, x: Any) -> Any:
            return x + self.bn(self.conv(x))

    class Net(library.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("offset", library.zeros(1))
            self.register_buffer("scratch", library.zeros(2), persistent=False)
            self.scale = library.nn.Parameter(library.ones(1))
            self.stem = library.nn.Conv2d(1, 4, 3)
            shared = Block(4)
            self.body = library.nn.Sequential(shared, library.nn.ReLU(), shared)
            self.heads = library.nn.ModuleDict({"a": library.nn.Linear(4, 2), "b": library.nn.Linear(4, 2, bias=False)})
            self.heads["b"].weight = self.heads["a"].weight  # tied
            self.extras = library.nn.ModuleList([library.nn.Tanh(), library.nn.Tanh(), library.nn.Dropout()])
            self.nothing = None

        def forward(self, x: Any) -> Any:
            x = self.body(self.stem(x)) * self.scale + self.offset
            x = x.mean((2, 3))
            return self.heads["a"](x) + self.heads["b"](x)

    return Net()


def test_tree_is_torchs() -> None:
    ours, theirs = make_net(minidl), make_net(torch)
    assert same_repr(ours, theirs)
    assert state_of(ours) == state_of(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_parameters("net", recurse=False)] == ["net.scale"]
    every = [name for name, _ in theirs.named_parameters(remove_duplicate=False)]
    assert [name for name, _ in ours.named_parameters(remove_duplicate=False)] == every
    assert [name for name, _ in ours.named_buffers()] == [name for name, _ in theirs.named_buffers()]
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    every = [name for name, _ in theirs.named_modules(remove_duplicate=False)]
    assert [name for name, _ in ours.named_modules(remove_duplicate=False)] == every
    assert [name for name, _ in ours.named_children()] == [name for name, _ in theirs.named_children()]
    assert len(list(ours.modules())) == len(list(theirs.modules()))
    assert len(list(ours.children())) == len(list(theirs.children()))
    assert len(list(ours.buffers())) == len(list(theirs.buffers()))


def test_forward_and_gradients_are_torchs() -> None:
    ours, theirs = make_net(minidl).double(), make_net(torch).double()
    load_from_torch(ours, theirs)
    x, expected = pair_of_inputs(2, 1, 7, 6)
    y, expected = ours(x), theirs(expected)
    assert relative_error(y, expected) < 1e-12
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert relative_error(p.grad, q.grad) < 1e-9, name


def test_state_dict_shares_memory_and_is_detached() -> None:
    net = make_net(minidl)
    state = net.state_dict()
    assert not any(tensor.requires_grad for tensor in state.values())
    state["scale"].fill_(5)
    assert net.scale.item() == 5
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.state_dict(prefix="model."))) == "model.scale"


def test_load_copies_in_place_and_reports() -> None:
    net, other = make_net(minidl), make_net(minidl)
    parameter, array = net.stem.weight, net.stem.weight.data
    result = net.load_state_dict(other.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert result == ([], [])
    assert net.stem.weight is parameter
    assert parameter.data is array
    np.testing.assert_array_equal(array, as_numpy(other.stem.weight))
    assert parameter.requires_grad


def test_load_that_does_not_fit_lists_everything_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.BatchNorm1d(2))
    before = {name: as_numpy(tensor).copy() for name, tensor in net.state_dict().items()}
    state = {name: tensor + 1 for name, tensor in net.state_dict().items()}
    del state["1.bias"], state["2.num_batches_tracked"]
    state["2.extra"] = state["3.weight"] = minidl.zeros(2)
    state["0.weight"], state["1.weight"] = minidl.zeros(4, 5), minidl.zeros(8)
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    message = str(error.value)
    assert "loading state_dict for Sequential" in message
    assert 'Missing key(s): "1.bias", "2.num_batches_tracked"' in message
    assert 'Unexpected key(s): "2.extra", "3.weight"' in message
    assert '"0.weight": expected (4, 3), got (4, 5); "1.weight": expected (2, 4), got (8,)' in message
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(as_numpy(tensor), before[name])
    with pytest.raises(RuntimeError, match="Size mismatch"):  # as in torch, strict=False does not excuse shapes
        net.load_state_dict(state, strict=False)
    del state["0.weight"], state["1.weight"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.weight", "1.weight", "1.bias", "2.num_batches_tracked"]
    assert result.unexpected_keys == ["2.extra", "3.weight"]
    np.testing.assert_array_equal(as_numpy(net[0].bias), before["0.bias"] + 1)


def test_load_converts_the_type() -> None:
    net = nn.Linear(2, 1)
    net.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    assert net.weight.dtype == np.dtype(np.float32)
    assert net.weight.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], "a dict of names and tensors"),
        ({"weight": 3, "bias": 4}, 'Tensor or a NumPy array for "weight"'),
        (torch.nn.Linear(1, 1).state_dict(), r"got torch\.Tensor\. Convert it with \.numpy\(\) first"),
    ],
)
def test_load_refuses_what_is_no_state(state: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        nn.Linear(1, 1).load_state_dict(state)


def test_train_eval_apply_and_freezing() -> None:
    net = make_net(minidl)
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())
    order = []
    net.apply(lambda module: order.append(type(module).__name__))
    expected: list[str] = []
    make_net(torch).apply(lambda module: expected.append(type(module).__name__))
    assert order == expected
    net.body.requires_grad_(False)
    frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
    assert frozen == ["body.0.conv.weight", "body.0.bn.weight", "body.0.bn.bias"]


def test_zero_grad() -> None:
    layer = nn.Linear(2, 1)
    layer(minidl.ones(3, 2)).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0, 0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_moving_keeps_parameters_and_whole_numbers() -> None:
    net = make_net(minidl)
    parameters = list(net.parameters())
    net(minidl.ones(2, 1, 6, 6)).sum().backward()
    assert net.to(minidl.float64) is net
    assert all(now is before for now, before in zip(net.parameters(), parameters, strict=True))
    assert {p.dtype for p in parameters} == {np.dtype(np.float64)}
    assert {p.grad.dtype for p in parameters} == {np.dtype(np.float64)}
    assert net.body[0].bn.running_mean.dtype == np.dtype(np.float64)
    assert net.body[0].bn.num_batches_tracked.dtype == np.dtype(np.int64)
    assert net.body[0].bn.num_batches_tracked.item() == 2
    net(minidl.ones(2, 1, 6, 6, dtype=minidl.float64)).sum().backward()  # gradients go on adding up
    assert net.to("cpu", dtype=minidl.float32).scale.dtype == np.dtype(np.float32)
    assert net.to(minidl.zeros(1, dtype=minidl.float64)).scale.dtype == np.dtype(np.float64)
    assert net.float().scale.dtype == np.dtype(np.float32)


def test_moving_to_what_is_not_there() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(DTypeError, match=r"Linear\.to: expected a floating-point dtype, got int64"):
        net.to(minidl.int64)
    with pytest.raises(ArgumentError, match='expected "cpu", "gpu"'):
        net.to(device="tpu")
    assert net.weight.dtype == np.dtype(np.float32)


def test_hooks() -> None:
    layer = nn.Linear(2, 2)
    seen: list[Any] = []
    first = layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].sum().item()))
    second = layer.register_forward_pre_hook(lambda module, args: args[0] * 2, prepend=True)
    third = layer.register_forward_hook(lambda module, args, output: seen.append(tuple(args[0].tolist()[0])))
    fourth = layer.register_forward_hook(lambda module, args, output: output * 0)
    assert layer(minidl.ones(1, 2)).tolist() == [[0, 0]]
    assert seen == [4.0, (2.0, 2.0)]  # the prepended hook had doubled the input before the first saw it
    for handle in (first, second, third, fourth):
        handle.remove()
    assert layer(minidl.ones(1, 2)).tolist() != [[0, 0]]
    assert seen == [4.0, (2.0, 2.0)]
    later = layer.register_forward_hook(lambda module, args, output: output * 0 + 7)
    for handle in (first, second, third, fourth):
        handle.remove()  # a second time, which must not reach the later hook
    assert layer(minidl.ones(1, 2)).tolist() == [[7, 7]]
    later.remove()


def test_hooks_with_named_arguments() -> None:
    class Add(nn.Module):
        def forward(self, x: Any, other: Any = 0) -> Any:
            return x + other

    module = Add()
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"other": kwargs["other"] + 1}), with_kwargs=True)
    module.register_forward_hook(lambda m, args, kwargs, out: out + kwargs["other"], with_kwargs=True)
    assert module(minidl.zeros(1), other=2).item() == 6
    module.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(DTypeError, match=r"None or a pair \(args, kwargs\)"):
        module(minidl.zeros(1), other=2)


def test_looking_up_by_path() -> None:
    net = make_net(minidl)
    assert net.get_submodule("") is net
    assert net.get_submodule("body.0.conv") is net.body[0].conv
    assert net.get_parameter("heads.a.weight") is net.heads["a"].weight
    assert net.get_buffer("body.0.bn.running_mean") is net.body[0].bn.running_mean
    with pytest.raises(
        AttributeError, match=r"get_submodule\('body.0.pool'\): Block has no module 'pool'; it has conv, bn"
    ):
        net.get_submodule("body.0.pool")
    with pytest.raises(AttributeError, match="Conv2d has no 'bias' there; it has weight, bias"):
        net.get_parameter("body.0.conv.bias")
    with pytest.raises(AttributeError, match="it has none"):
        net.get_buffer("stem.mean")


def test_assignment_follows_torchs_rules() -> None:
    net = make_net(minidl)
    with pytest.raises(TypeError, match=r"cannot assign Tensor as 'scale' \(Parameter or None expected\)"):
        net.scale = minidl.zeros(1)
    with pytest.raises(TypeError, match=r"cannot assign int as 'stem' \(Module or None expected\)"):
        net.stem = 3
    with pytest.raises(TypeError, match=r"cannot assign str as 'offset' \(Tensor or None expected\)"):
        net.offset = "0"
    net.offset = minidl.ones(1)
    assert net.state_dict()["offset"].item() == 1
    net.scale = None
    assert "scale" not in net.state_dict()
    net.stem = nn.Parameter(minidl.zeros(1))  # a name may change its role
    assert "stem" in dict(net.named_parameters())
    assert "stem" not in dict(net.named_children())
    del net.body
    assert "body.0.conv.weight" not in net.state_dict()
    net.plain = 3
    del net.plain
    assert not hasattr(net, "plain")


def test_errors_of_registration() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(1, 1)

    with pytest.raises(
        AttributeError, match=r"cannot assign module 'fc' before Module.__init__\(\) call: begin Forgetful"
    ):
        Forgetful()

    class Reader(nn.Module):
        def __init__(self) -> None:
            self.number = 1
            print(self.fc)

    with pytest.raises(AttributeError, match=r"no attribute 'fc' \(was super\(\).__init__\(\) called in Reader"):
        Reader()

    net = make_net(minidl)
    with pytest.raises(AttributeError, match=r"'Net' object has no attribute 'sten'\. Did you mean 'stem'\?"):
        net.sten  # noqa: B018
    with pytest.raises(ArgumentError, match=r"expected a name that is not empty and has no dot, got 'a\.b'"):
        net.register_buffer("a.b", minidl.zeros(1))
    with pytest.raises(ArgumentError, match="got 'stem', which is already an attribute"):
        net.register_buffer("stem", minidl.zeros(1))
    with pytest.raises(ArgumentError, match="got 'forward', which is already an attribute"):
        net.add_module("forward", nn.ReLU())
    with pytest.raises(DTypeError, match="a Tensor or None for 'x', got list"):
        net.register_buffer("x", [1])
    with pytest.raises(DTypeError, match=r"a Parameter or None for 'x', got Tensor. Wrap the tensor"):
        net.register_parameter("x", minidl.zeros(1))
    with pytest.raises(DTypeError, match=r"a Module or None for 'x', got type. Write ReLU\(\) with brackets."):
        net.add_module("x", nn.ReLU)
    with pytest.raises(NotImplementedError, match=r'Module \[Module\] is missing the required "forward" function'):
        nn.Module()(1)
    with pytest.raises(ArgumentError, match="expected mode to be True or False, got 1"):
        net.train(1)
    with pytest.raises(DTypeError, match="Parameter: expected a Tensor, got ndarray"):
        nn.Parameter(np.zeros(3))
    with pytest.raises(DTypeError, match="expected a floating-point tensor"):
        nn.Parameter(minidl.zeros(3, dtype=minidl.int64))


def test_parameter() -> None:
    data = minidl.tensor([1.0, 2.0])
    parameter = nn.Parameter(data)
    assert parameter.data is data.data
    assert parameter.requires_grad
    assert repr(parameter).startswith("Parameter containing:\ntensor([1., 2.]")
    assert type(parameter * 2) is minidl.Tensor
    assert type(parameter.detach()) is minidl.Tensor
    assert not nn.Parameter(data, requires_grad=False).requires_grad


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_independent_and_keep_sharing(duplicate: Any) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    net[2].weight = net[0].weight
    twin = duplicate(net)
    assert twin[2].weight is twin[0].weight
    assert isinstance(twin[0].weight, nn.Parameter)
    assert twin[0].weight.requires_grad
    with minidl.no_grad():
        twin[0].weight.zero_()
    assert np.abs(as_numpy(net[0].weight)).max() > 0
    twin(minidl.ones(3, 2)).sum().backward()
    assert net[0].weight.grad is None
