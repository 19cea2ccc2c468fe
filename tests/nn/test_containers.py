"""Sequential, ModuleList and ModuleDict beside torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError


def layers(library: Any) -> list[Any]:
    return [library.nn.Linear(2, 3), library.nn.ReLU(), library.nn.Linear(3, 2), library.nn.Tanh()]


def edit_sequential(library: Any) -> Any:
    net = library.nn.Sequential(*layers(library))
    net.append(library.nn.Sigmoid()).append(library.nn.Identity())
    net.insert(1, library.nn.Dropout(0.1))
    net.extend([library.nn.Flatten()])
    net[0] = library.nn.Linear(2, 3, bias=False)
    net[-1] = library.nn.Softmax(1)
    del net[2]
    del net[-3:-1]
    return net


def edit_list(library: Any) -> Any:
    net = library.nn.ModuleList(layers(library))
    net.append(library.nn.Tanh())
    net += [library.nn.Tanh(), library.nn.Linear(1, 1), library.nn.Linear(1, 1)]
    net.insert(0, library.nn.ReLU())
    net[1] = library.nn.ReLU()
    del net[2]
    return net


def edit_dict(library: Any) -> Any:
    net = library.nn.ModuleDict({"first": library.nn.Linear(2, 3)})
    net["second"] = library.nn.ReLU()
    net.update([("third", library.nn.Linear(3, 3)), ("fourth", library.nn.Tanh())])
    net.update({"second": library.nn.Sigmoid()})
    net.pop("third")
    return net


@pytest.mark.parametrize("edit", [edit_sequential, edit_list, edit_dict])
def test_edited_containers_are_torchs(edit: Any) -> None:
    ours, theirs = edit(minidl), edit(torch)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert len(ours) == len(theirs)


def test_sequential_slices_and_names() -> None:
    net = nn.Sequential(*layers(minidl))
    part = net[1:3]
    assert isinstance(part, nn.Sequential)
    assert list(part) == [net[1], net[2]]
    assert list(part.state_dict()) == list(torch.nn.Sequential(*layers(torch))[1:3].state_dict())
    part.append(nn.Tanh())  # under a free name, and without loss of a layer
    assert len(part) == 3
    assert net[-1] is net[3]
    named = nn.Sequential({"fc": nn.Linear(2, 3), "act": nn.ReLU()})
    assert list(named.state_dict()) == ["fc.weight", "fc.bias"]
    assert named.fc is named[0]
    x = minidl.ones(1, 2)
    assert net(x).tolist() == net[3](net[2](net[1](net[0](x)))).tolist()
    assert nn.Sequential()(x) is x


def test_list_and_dict_read_as_pythons() -> None:
    modules = nn.ModuleList(layers(minidl))
    assert list(modules[1:3]) == [modules[1], modules[2]]
    assert isinstance(modules[1:3], nn.ModuleList)
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert "a" in table
    assert list(table) == list(table.keys()) == ["a", "b"]
    assert [name for name, _ in table.items()] == ["a", "b"]
    assert list(table.values()) == [table["a"], table["b"]]
    del table["a"]
    assert len(table) == 1
    table.clear()
    assert len(table) == 0


BAD = [
    (lambda: nn.Sequential(nn.ReLU, nn.Tanh()), DTypeError, "Write ReLU() with brackets"),
    (lambda: nn.Sequential([nn.ReLU()]), DTypeError, "a Module or None for '0', got list"),
    (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "Sequential: index 1 is out of range for 1 modules"),
    (lambda: nn.Sequential(nn.ReLU())["0"], DTypeError, "an integer or a slice as index, got str"),
    (lambda: nn.Sequential(nn.ReLU()).insert(0, 3), DTypeError, "Sequential.insert: expected a Module, got int"),
    (lambda: nn.ModuleList([nn.ReLU()])[-2], IndexError, "ModuleList: index -2 is out of range"),
    (lambda: nn.ModuleList(nn.ReLU()), DTypeError, "ModuleList.extend: expected an iterable of modules, got ReLU"),
    (lambda: nn.ModuleList([nn.ReLU(), 3]), DTypeError, "a Module or None for '1', got int"),
    (lambda: nn.ModuleList()(1), NotImplementedError, "Module [ModuleList] is missing"),
    (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ArgumentError, "has no dot, got 'a.b'"),
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), ArgumentError, "'keys', which is already an attribute"),
    (lambda: nn.ModuleDict({"a": 3}), DTypeError, "a Module or None for 'a', got int"),
    (lambda: nn.ModuleDict([nn.ReLU()]), ArgumentError, "a dictionary of modules or pairs"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_calls(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
