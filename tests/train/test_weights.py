"""Weights on disk: what torch reads, what is refused, and that a file is whole or not there."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import torch as safetensors_torch

import minidl
from minidl import nn
from minidl.train import load_metadata
from minidl.train.files import write_file


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


def test_torch_reads_the_file(tmp_path: Path) -> None:
    net = small_net()
    minidl.save(net.state_dict(), tmp_path / "net.pth", metadata={"note": "ä"})
    read = safetensors_torch.load_file(tmp_path / "net.pth")
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    )
    twin.load_state_dict(read)  # strict: the same keys, the same shapes
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name].numpy(), value.numpy())
        assert str(twin.state_dict()[name].dtype) == f"torch.{value.dtype}"
    assert load_metadata(tmp_path / "net.pth") == {"note": "ä"}


def test_what_torch_writes_is_read(tmp_path: Path) -> None:
    twin = torch.nn.Linear(3, 2)
    safetensors_torch.save_file(twin.state_dict(), tmp_path / "linear.safetensors")
    net = nn.Linear(3, 2)
    net.load_state_dict(minidl.load(str(tmp_path / "linear.safetensors"), weights_only=True))
    np.testing.assert_array_equal(net.weight.detach().numpy(), twin.weight.detach().numpy())


def test_values_types_and_awkward_memory(tmp_path: Path) -> None:
    state: dict[str, Any] = {
        "transposed": minidl.arange(12).reshape(3, 4).T,
        "step": minidl.tensor(7),
        "empty": minidl.zeros(0, 3),
        "wide": minidl.tensor([1.5, float("nan")], dtype=minidl.float64),
        "array": np.arange(20, dtype=np.uint8)[::2],
        "grad": minidl.ones(2, requires_grad=True) * 2,
    }
    minidl.save(state, tmp_path / "f")
    read = minidl.load(tmp_path / "f")
    assert set(read) == set(state)
    for name, value in state.items():
        expected = value if isinstance(value, np.ndarray) else value.detach().numpy()
        assert read[name].dtype == expected.dtype
        np.testing.assert_array_equal(read[name].numpy(), expected)
        assert not read[name].requires_grad
    read["step"].add_(1)  # what was read can be written to


def header(entry: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps({"w": entry}).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda good: b"", "safetensors"),
        (lambda good: good[:5], "safetensors"),
        (lambda good: good[:40], "safetensors"),
        (lambda good: good[:-1], "safetensors"),
        (lambda good: good + b"x", "safetensors"),
        (lambda good: struct.pack("<Q", 2**62) + good[8:], "safetensors"),
        (lambda good: b"PK\x03\x04" + bytes(200), "pickle"),
        (lambda good: b"\x80\x02}q\x00." + bytes(50), "pickle"),
        (lambda good: header({"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, bytes(4)), "BF16"),
        (lambda good: header({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, bytes(4)), "safetensors"),
        (lambda good: header({"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}, bytes(4)), "safetensors"),
    ],
)
def test_foreign_and_damaged_files(tmp_path: Path, change: Callable[[bytes], bytes], word: str) -> None:
    minidl.save({"w": minidl.ones(3)}, tmp_path / "f")
    (tmp_path / "f").write_bytes(change((tmp_path / "f").read_bytes()))
    with pytest.raises(minidl.ArgumentError, match=word) as caught:
        minidl.load(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torch_pickles_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(minidl.ArgumentError, match="never read"):
        minidl.load(tmp_path / "w.pth")


@pytest.mark.parametrize("bad", [small_net(), [1], {"a": 1}, {1: minidl.ones(1)}, {"state": {}, "param_groups": []}])
def test_only_tensors_by_name_are_saved(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(minidl.DTypeError, match="save"):
        minidl.save(bad, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_bad_calls_of_load(tmp_path: Path) -> None:
    minidl.save({"w": minidl.ones(3)}, tmp_path / "f")
    with pytest.raises(FileNotFoundError):
        minidl.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        minidl.load(tmp_path)
    with pytest.raises(minidl.ArgumentError, match="weights_only=True"):
        minidl.load(tmp_path / "f", weights_only=False)
    with pytest.raises(minidl.ArgumentError, match="device"):
        minidl.load(tmp_path / "f", "tpu")
    with pytest.raises(minidl.DTypeError, match="metadata"):
        minidl.save({}, tmp_path / "f", metadata={"a": 1})  # type: ignore[dict-item]
    with pytest.raises(FileNotFoundError):
        minidl.save({}, tmp_path / "no folder" / "f")


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    path = tmp_path / "f"
    write_file(path, b"old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, where, fail)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1])
    write_file(tmp_path / "f", b"new")
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder
    assert (tmp_path / "f").read_bytes() == b"new"
