"""Checkpoints: a resumed run goes on bit for bit; a kill leaves a whole one; what does not fit is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

import minidl
from minidl import nn, optim
from minidl.data import Augmentation, DataLoader, shapes
from minidl.train import History, load_checkpoint, read_notes, save_checkpoint, train_epoch

DATA = shapes(size=16, train=72, test=10)


class Experiment:
    """A small network with everything that is random or remembers: dropout, batch norm, augmentation, momentum."""

    def __init__(self, make_optimizer: Callable[[Any], optim.Optimizer], seed: int) -> None:
        minidl.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(64, 10),
        )
        self.optimizer = make_optimizer(self.model.parameters())
        # Order and augmentation come from a generator of the loader's own, dropout from the thread's; last batch of 8.
        own = minidl.Generator(seed)
        self.loader = DataLoader(DATA.train_set(Augmentation(2, 0.5)), 16, shuffle=True, generator=own)
        self.history = History({"seed": seed})
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "loader": self.loader,
            "history": self.history,
        }

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            figures = train_epoch(self.model, self.loader, self.optimizer)
            self.history.add(loss=figures.loss, accuracy=figures.accuracy)

    def bits(self) -> dict[str, bytes]:
        return {name: tensor.numpy().tobytes() for name, tensor in self.model.state_dict().items()}


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_run_equals_uninterrupted_run_bit_for_bit(tmp_path: Path, name: str) -> None:
    whole = Experiment(OPTIMIZERS[name], seed=3)
    whole.train(3)
    first = Experiment(OPTIMIZERS[name], seed=3)
    first.train(1)
    save_checkpoint(tmp_path / "c", first.parts, {"epoch": 1})
    second = Experiment(OPTIMIZERS[name], seed=99)  # other weights, order, masks: all must come from the file
    minidl.randn(5)
    assert load_checkpoint(tmp_path / "c", second.parts) == {"epoch": 1}
    assert len(second.history) == 1
    second.train(2)
    assert second.bits() == whole.bits()
    assert second.history.epochs == whole.history.epochs
    assert second.optimizer.param_groups[0].keys() == whole.optimizer.param_groups[0].keys()
    # and the test can fail: without the file the weights are others
    assert first.bits() != whole.bits()


def test_no_pickle_and_what_stands_in_the_file(tmp_path: Path) -> None:
    experiment = Experiment(OPTIMIZERS["adam"], 0)
    experiment.train(1)
    save_checkpoint(tmp_path / "c", experiment.parts, {"epoch": 1, "text": "ä"})
    arrays = safetensors_numpy.load_file(tmp_path / "c")  # a plain safetensors file
    assert "model.0.weight" in arrays
    assert any(name.startswith("optimizer.state") and name.endswith("exp_avg") for name in arrays)
    assert read_notes(tmp_path / "c") == {"epoch": 1, "text": "ä"}
    assert list(tmp_path.iterdir()) == [tmp_path / "c"]


class Holder:
    """A part that keeps whatever it is given."""

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = state


def test_any_tree_of_plain_values_comes_back(tmp_path: Path) -> None:
    tree = {
        "int keys": {0: {"x": (1, 2.5, None)}, 1: [True, "a"]},
        "odd keys": {"$tensor": 1, (1, 2): "tuple"},
        "big": 2**100,
        "numbers": [float("inf"), 0.1, np.float64(0.1), np.int64(3)],
        "empty": [{}, [], ()],
    }
    save_checkpoint(tmp_path / "c", {"part": Holder(tree)})
    holder = Holder()
    load_checkpoint(tmp_path / "c", {"part": holder})
    assert holder.state == tree
    assert type(holder.state["int keys"][0]["x"]) is tuple


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(minidl.DTypeError, match="set"):
        save_checkpoint(tmp_path / "c", {"part": Holder({"a": {1}})})
    with pytest.raises(minidl.ArgumentError, match="one tensor"):
        save_checkpoint(tmp_path / "c", {"part": Holder({"a.b": minidl.ones(1), "a": {"b": minidl.ones(1)}})})
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    experiment = Experiment(OPTIMIZERS["sgd"], 0)
    save_checkpoint(tmp_path / "c", experiment.parts)
    with pytest.raises(minidl.ArgumentError, match="history, loader, model, optimizer"):
        load_checkpoint(tmp_path / "c", {"model": experiment.model})
    with pytest.raises(RuntimeError, match=r"(?s)Missing key.*Unexpected key"):
        load_checkpoint(tmp_path / "c", {**experiment.parts, "model": nn.Linear(2, 2)})
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none", experiment.parts)
    minidl.save(experiment.model.state_dict(), tmp_path / "w")
    with pytest.raises(minidl.ArgumentError, match="weights alone"):
        load_checkpoint(tmp_path / "w", experiment.parts)
    with pytest.raises(minidl.ArgumentError, match="weights alone"):
        read_notes(tmp_path / "w")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100000,
        json.dumps({"version": 3, "notes": {}, "generator": {}, "parts": {}}),
        json.dumps({"version": 1, "notes": {}, "generator": {}, "parts": {"part": {"$tensor": "gone"}}}),
        json.dumps({"version": 1, "notes": {}, "generator": {}, "parts": {"part": {"$items": [[[], 1]]}}}),
        json.dumps({"version": 1, "notes": {}, "generator": {}, "parts": {"part": {"$items": 5}}}),
        json.dumps({"version": 1, "notes": {}, "generator": {}, "parts": {"part": 1}}),
    ],
)
def test_damaged_headers(tmp_path: Path, text: str) -> None:
    safetensors_numpy.save_file({"a": np.ones(1)}, tmp_path / "c", {"minidl_checkpoint": text})
    with pytest.raises(minidl.ArgumentError):
        load_checkpoint(tmp_path / "c", {"part": Holder()})


WRITER = """
import sys, minidl
from minidl.train import save_checkpoint, load_checkpoint

class Part:
    def state_dict(self):
        return {"number": self.number, "tensors": [minidl.full((50, 1000), float(self.number)) for _ in range(4)]}

part, part.number = Part(), 0
save_checkpoint(sys.argv[1], {"part": part})
print("ready", flush=True)
while True:
    part.number += 1
    save_checkpoint(sys.argv[1], {"part": part})
"""


def test_sigkill_while_writing_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c"
    waits = np.random.default_rng(0).uniform(0.05, 0.3, 3)
    for wait in waits:
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(float(wait))
            child.kill()
        holder = Holder()
        load_checkpoint(path, {"part": holder})
        assert holder.state["number"] > 0
        for tensor in holder.state["tensors"]:
            np.testing.assert_array_equal(tensor.numpy(), float(holder.state["number"]))
