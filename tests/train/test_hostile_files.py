"""Weights, checkpoints and histories from strangers: whatever is in the file, one refusal, and nothing half loaded."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mutants import COUNTS, check_sentence, mutants, mutated_trees, survey, within
from safetensors import numpy as safetensors_numpy

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.optim import lr_scheduler
from minidl.train import EarlyStopping, History, load_checkpoint, load_metadata, read_notes, save_checkpoint
from minidl.train.checkpoint import _checksum

OURS = (minidl.ArgumentError, minidl.DTypeError, minidl.ShapeError)


def weights(tmp_path: Path) -> Path:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    minidl.save(net.state_dict(), tmp_path / "w", metadata={"note": "text"})
    return tmp_path / "w"


@COUNTS
def test_damaged_weights(tmp_path: Path, count: int) -> None:
    path = weights(tmp_path)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        state = minidl.load(path)
        assert sum(tensor.data.nbytes for tensor in state.values()) <= len(data)
        load_metadata(path)

    assert survey(read, mutants(path.read_bytes(), count), OURS) > count // 2


@COUNTS
def test_hostile_headers_of_weights(tmp_path: Path, count: int) -> None:
    """Lengths are right: what is wrong is in the header's JSON: types, shapes, offsets."""
    path = weights(tmp_path)
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    tree, body = json.loads(data[8 : 8 + length]), data[8 + length :]

    def files() -> Iterator[bytes]:
        for changed in mutated_trees(tree, count):
            text = json.dumps(changed).encode()
            yield struct.pack("<Q", len(text)) + text + body

    def read(data: bytes) -> None:
        path.write_bytes(data)
        assert all(tensor.data.nbytes <= len(body) for tensor in minidl.load(path).values())

    assert survey(read, files(), OURS) > count // 2


def entry(dtype: str, shape: list[int], offsets: list[int]) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ({"w": entry("F32", [2**62, 0], [0, 0])}, b""),  # no element, but no array that NumPy could make
        ({"w": entry("F32", [1] * 70, [0, 4])}, bytes(4)),
        ({"w": entry("F32", [-1], [0, 4])}, bytes(4)),
        ({"w": entry("F32", [2**63, 2], [0, 4])}, bytes(4)),
        ({"w": entry("F32", [1], [0, 4]), "v": entry("F32", [1], [0, 4])}, bytes(4)),  # overlap
        ({"w": entry("F32", [1], [4, 8])}, bytes(8)),  # a gap
        ({"w": entry("F64", [1], [0, 4])}, bytes(4)),
        ({"w": entry("OBJ", [1], [0, 8])}, bytes(8)),
        ({"w": {}}, b""),
        ([], b""),
    ],
    ids=str,
)
def test_headers_that_lie(tmp_path: Path, header: Any, body: bytes) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(text)) + text + body)
    with (
        within(seconds=1, megabytes=5),
        pytest.raises(minidl.ArgumentError, match="a whole safetensors file") as caught,
    ):
        minidl.load(tmp_path / "w")
    check_sentence(caught.value)


@pytest.mark.parametrize("length", [2**24 + 1, 99 << 20, 2**62, 2**64 - 1])
def test_headers_that_are_too_long(tmp_path: Path, length: int) -> None:
    with (tmp_path / "w").open("wb") as file:
        file.write(struct.pack("<Q", length) + b'{"w":')
        file.truncate(min(length + 8, 100 << 20))  # sparse: it takes no room on the disk
    with within(seconds=1, megabytes=5), pytest.raises(minidl.ArgumentError, match="a header of"):
        minidl.load(tmp_path / "w")


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(minidl.ArgumentError, match=r"in the header .* into a tensor"):
        minidl.save({"w": minidl.ones(1)}, tmp_path / "w", metadata={"long": "x" * (1 << 24)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_in_disguise(tmp_path: Path, zipped: bool) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "trap",)

    torch.save({"w": Trap()}, tmp_path / "w.safetensors", _use_new_zipfile_serialization=zipped)
    for read in (minidl.load, read_notes, lambda path: load_checkpoint(path, {})):
        with pytest.raises(minidl.ArgumentError, match="a ZIP or pickle file") as caught:
            read(tmp_path / "w.safetensors")
        check_sentence(caught.value)
    assert not (tmp_path / "trap").exists()


def test_a_header_that_begins_like_a_pickle(tmp_path: Path) -> None:
    """0x80 is also the first byte of a header of 640 bytes."""
    path = tmp_path / "w"
    minidl.save({"w": minidl.ones(1)}, path, metadata={"note": "x" * 400})
    longer = 640 - struct.unpack("<Q", path.read_bytes()[:8])[0]
    minidl.save({"w": minidl.ones(1)}, path, metadata={"note": "x" * (400 + longer)})
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert minidl.load(path)["w"].item() == 1


class Run:
    """The parts of a run, small but of every kind."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3))
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = lr_scheduler.SequentialLR(
            self.optimizer,
            [lr_scheduler.LinearLR(self.optimizer), lr_scheduler.OneCycleLR(self.optimizer, 0.1, 50)],
            [3],
        )
        images = minidl.tensor(np.random.default_rng(0).standard_normal((20, 12)).astype(np.float32))
        labels = minidl.tensor(np.arange(20) % 3)
        self.loader = DataLoader(
            TensorDataset(images, labels), 8, shuffle=True, generator=minidl.Generator(0), drop_last=True
        )
        self.history = History({"seed": 0})
        self.stopping = EarlyStopping(self.model)
        self.average = optim.swa_utils.AveragedModel(self.model)

    @property
    def parts(self) -> dict[str, Any]:
        return vars(self)

    def train(self) -> None:
        for images, labels in self.loader:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(images), labels).backward()
            self.optimizer.step()
            self.schedule.step()
        self.history.add(loss=1.0)
        self.stopping.update(1.0)
        self.average.update_parameters(self.model)

    def bits(self) -> Any:
        """The state of everything, as plain values."""
        return plain({name: part.state_dict() for name, part in self.parts.items()}), str(
            minidl.default_generator().get_state()
        )


def plain(value: Any) -> Any:
    if isinstance(value, minidl.Tensor):
        return value.numpy().tobytes(), value.shape, str(value.dtype)
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that stands somewhere, beside a checkpoint ``c`` of another place."""
    minidl.manual_seed(1)
    run = Run()
    run.train()
    save_checkpoint(tmp_path / "c", run.parts, {"epoch": 1})
    run.train()
    return run


@COUNTS
def test_damaged_checkpoints(tmp_path: Path, run: Run, count: int) -> None:
    """Bytes altered anywhere: the checksum finds what the format does not; the parts stay as they are."""
    before, path = run.bits(), tmp_path / "c"
    good = path.read_bytes()

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_checkpoint(path, run.parts)
        raise AssertionError("a damaged checkpoint was loaded")

    refused = 0
    for data in mutants(good, count):
        if data != good:
            refused += survey(read, iter([data]), OURS)
            assert run.bits() == before
    assert refused > count * 0.9


@COUNTS
def test_hostile_checkpoints(tmp_path: Path, run: Run, count: int) -> None:
    """Written by a stranger, with a right checksum: loaded as it stands, or refused without a trace."""
    path = tmp_path / "c"
    arrays = safetensors_numpy.load_file(path)
    with safetensors_numpy.safe_open(path, "numpy") as file:
        document = json.loads(file.metadata()["minidl_checkpoint"])
    before, refused = run.bits(), 0
    save_checkpoint(tmp_path / "good", run.parts)
    for changed in mutated_trees(document, count):
        text = json.dumps(changed)
        safetensors_numpy.save_file(arrays, path, {"minidl_checkpoint": text, "minidl_crc32": _checksum(text, arrays)})
        try:
            load_checkpoint(path, run.parts)
        except (*OURS, RuntimeError) as error:
            if type(error) is not RuntimeError:  # the model's, which lists all names on lines of their own
                check_sentence(error)
            assert run.bits() == before, changed
            refused += 1
        else:
            load_checkpoint(tmp_path / "good", run.parts)
            assert run.bits() == before
    assert refused > count // 3


def test_a_load_that_fails_changes_nothing(tmp_path: Path, run: Run) -> None:
    """The last part does not fit: model, optimizer and all the others are put back."""
    other = Run()
    other.average = optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    minidl.manual_seed(5)
    before = other.bits()
    with pytest.raises(RuntimeError, match=r"(?s)Missing key.*Unexpected key"):
        load_checkpoint(tmp_path / "c", other.parts)
    assert other.bits() == before


@COUNTS
def test_hostile_histories(tmp_path: Path, count: int) -> None:
    history = History({"seed": 3, "model": "x"})
    for epoch in range(5):
        history.add(loss=1 / (epoch + 1), accuracy=0.5)
    path = tmp_path / "h.json"
    history.save(path)
    good = path.read_bytes()

    def read(data: bytes) -> None:
        path.write_bytes(data)
        assert len(History.load(path)) >= 0

    assert survey(read, mutants(good, count), OURS) > count // 4
    tree = copy.deepcopy(json.loads(good))
    files = (json.dumps(changed).encode() for changed in mutated_trees(tree, count // 5))
    survey(read, files, OURS)
    with within(seconds=2, megabytes=60):
        for data in (b"[" * 1000000, b"9" * 1000000, b'{"about": ' * 100000, b"\xff\xfe\x00", b"NaN", b""):
            path.write_bytes(data)
            with pytest.raises(minidl.ArgumentError) as caught:
                History.load(path)
            check_sentence(caught.value)
