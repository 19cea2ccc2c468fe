"""Checkpoints: a resumed run goes on bit for bit; what does not fit is refused (kills: ``test_killed.py``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

import minidl
from minidl import nn, optim
from minidl.data import Augmentation, DataLoader, shapes
from minidl.train import (
    EarlyStopping,
    History,
    load_checkpoint,
    read_notes,
    save_checkpoint,
    train_epoch,
    training_step,
)
from minidl.train.checkpoint import _encode

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
            figures = train_epoch(self.model, self.loader, training_step(self.model, self.optimizer))
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


class WholeExperiment(Experiment):
    """The same with everything else that a run may have: a schedule by batch, averaged weights, early stopping."""

    def __init__(self, seed: int) -> None:
        super().__init__(OPTIMIZERS["sgd"], seed)
        self.schedule = optim.lr_scheduler.OneCycleLR(self.optimizer, 0.2, total_steps=15)
        self.plateau = optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=0)
        self.average = optim.swa_utils.AveragedModel(self.model, avg_fn=optim.swa_utils.get_ema_avg_fn(0.9))
        self.stopping = EarlyStopping(self.model, patience=2)
        self.parts |= {
            "schedule": self.schedule,
            "plateau": self.plateau,
            "average": self.average,
            "stopping": self.stopping,
        }

    def batches(self, count: int) -> None:
        """Go on for that many batches, from wherever the loader stands; five make an epoch."""
        while count:
            for images, labels in self.loader:
                self.optimizer.zero_grad()
                nn.functional.cross_entropy(self.model(images), labels).backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.schedule.step()
                self.average.update_parameters(self.model)
                count -= 1
                if not count:
                    return
            figure = self.model[6].weight.abs().sum().item()  # known after the last batch as well as after a resume
            self.history.add(figure=figure)
            self.plateau.step(figure)
            self.stopping.update(figure)

    def everything(self) -> tuple[Any, Any]:
        arrays: dict[str, np.ndarray] = {}
        states = {name: _encode(part.state_dict(), name, arrays) for name, part in self.parts.items()}
        return states, {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("at", [1, 4, 5, 7, 10])
def test_resuming_inside_an_epoch(tmp_path: Path, at: int) -> None:
    """Between any two batches, and between epochs; everything that the run holds is the same, bit for bit."""
    whole = WholeExperiment(seed=3)
    whole.batches(15)
    first = WholeExperiment(seed=3)
    first.batches(at)
    save_checkpoint(tmp_path / "c", first.parts)
    second = WholeExperiment(seed=99)
    minidl.randn(5)
    load_checkpoint(tmp_path / "c", second.parts)
    assert second.everything() == first.everything()
    assert second.everything() != whole.everything()
    second.batches(15 - at)
    assert second.everything() == whole.everything()


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


def test_what_is_missing_unexpected_and_of_another_shape_is_listed_together(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {"model": nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4, bias=False))})
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(5, 4))
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError) as caught:
        load_checkpoint(tmp_path / "c", {"model": model})
    text = str(caught.value)
    assert 'Missing key(s): "1.bias"' in text
    assert 'Unexpected key(s): "0.bias"' in text
    assert '"1.weight": expected (4, 5), got (4, 3)' in text
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])


def test_parts_of_a_checkpoint(tmp_path: Path) -> None:
    experiment = Experiment(OPTIMIZERS["sgd"], 0)
    save_checkpoint(tmp_path / "c", experiment.parts, {"epoch": 0})
    other = Experiment(OPTIMIZERS["adam"], 1)
    extra = Holder("as it was")
    with pytest.raises(minidl.ArgumentError, match="Not in the file: extra; not asked for: history, loader, optimizer"):
        load_checkpoint(tmp_path / "c", {"model": other.model, "extra": extra})
    generator = minidl.default_generator().get_state()
    notes = load_checkpoint(tmp_path / "c", {"model": other.model, "extra": extra}, strict=False)
    assert notes == {"epoch": 0}
    assert other.bits() == experiment.bits()
    assert extra.state == "as it was"
    assert minidl.default_generator().get_state() == generator


def test_one_altered_bit_of_a_weight_is_noticed(tmp_path: Path) -> None:
    experiment = Experiment(OPTIMIZERS["sgd"], 0)
    save_checkpoint(tmp_path / "c", experiment.parts)
    data = bytearray((tmp_path / "c").read_bytes())
    data[-5] ^= 1
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(minidl.ArgumentError, match="got bytes that are not those that were written"):
        load_checkpoint(tmp_path / "c", experiment.parts)


def test_checkpoints_without_a_checksum_are_read(tmp_path: Path) -> None:
    """Version 1, as the first ones were written."""
    state = minidl.Generator(3).get_state()
    text = json.dumps({"version": 1, "notes": {}, "generator": state, "parts": {"part": {"$tensor": "part"}}})
    safetensors_numpy.save_file({"part": np.ones(2)}, tmp_path / "c", {"minidl_checkpoint": text})
    holder = Holder()
    load_checkpoint(tmp_path / "c", {"part": holder})
    assert holder.state.tolist() == [1, 1]
    assert minidl.default_generator().initial_seed() == 3


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
