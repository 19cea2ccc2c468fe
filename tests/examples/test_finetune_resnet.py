"""``examples/finetune_resnet.py`` on a few small images: an epoch against torchvision and torch.optim.SGD from the same
weights on the same batches, frozen layers, resuming, predictions, and weights that do not fit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import command_line
import finetune_resnet

State = dict[str, torch.Tensor]


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 training and 10 test images as cifar10.npz, and weights of a torchvision ResNet-18 for 1,000 classes."""
    folder = tmp_path_factory.mktemp("pretrained")
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 32), ("test", 10)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
        arrays[f"y_{part}"] = (np.arange(count) % 10).astype(np.uint8)
    np.savez(folder / "cifar10.npz", **arrays)
    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(16, 3, 40, 40))  # running statistics that fit the weights, as of a trained network
    state = network.state_dict()
    save_file(state, folder / "resnet18.safetensors")
    torch.save(state, folder / "resnet18.pth")
    return folder


class Runner:
    """Runs the example in this process; an uncaught error fails the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capsys, self.folder = monkeypatch, capsys, folder

    def __call__(self, *arguments: object, weights: str | None = "resnet18.safetensors") -> Result:
        settings = ["finetune_resnet.py", "--device", "cpu", "--data-dir", self.folder, *arguments]
        if weights is not None:
            settings += ["--weights", self.folder / weights]
        self.monkeypatch.setattr(sys, "argv", [str(setting) for setting in settings])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            command_line.start(finetune_resnet.EXAMPLE, finetune_resnet.__doc__, finetune_resnet.main)
        captured = self.capsys.readouterr()
        return Result(int(str(left.value.code)), captured.out, captured.err)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path) -> Runner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    return Runner(monkeypatch, capsys, folder)


SMALL = ("--model", "resnet18", "--size", 40, "--batch-size", 16)


def copied(model: Any) -> State:
    return {name: torch.from_numpy(tensor.numpy().copy()) for name, tensor in model.state_dict().items()}


class Recorder:
    """In place of train_epoch: trains in float64, where roundings turn no ReLU the other way, and notes what the epoch
    began with, its batches, and what it ended with."""

    train_epoch = staticmethod(finetune_resnet.train_epoch)

    def __call__(self, model: Any, loader: Any, *rest: Any, **named: Any) -> Any:
        self.before = copied(model)
        self.batches = [(images.double(), labels) for images, labels in loader]
        figures = self.train_epoch(model.double(), self.batches, *rest, **named)  # type: ignore[arg-type]
        self.after = copied(model)
        model.float()
        return figures


def torch_epoch(recorder: Recorder, frozen: bool) -> State:
    """The state of torchvision's network after the same epoch."""
    network = torchvision.models.resnet18(num_classes=10)
    network.load_state_dict(recorder.before)
    network.double()
    if frozen:
        network.requires_grad_(False)
        network.fc.requires_grad_(True)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.001, momentum=0.9)
    network.train(not frozen)
    for images, labels in recorder.batches:
        large = torch.nn.functional.interpolate(torch.from_numpy(images.numpy()), size=40, mode="bilinear")
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(large), torch.from_numpy(labels.numpy())).backward()
        optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize("frozen", [False, True])
def test_an_epoch(run: Runner, monkeypatch: pytest.MonkeyPatch, frozen: bool) -> None:
    recorder = Recorder()
    monkeypatch.setattr(finetune_resnet, "train_epoch", recorder)
    done = run(*SMALL, "--epochs", 1, "--out", "o", *["--freeze"] * frozen)
    assert done.status == 0, done.err
    assert "ResNet, 11,181,642 parameters, on cpu" in done.out
    assert "images 40 wide, " + ("the last layer alone trains" if frozen else "all layers train") in done.out
    assert "cifar10 | test accuracy" in done.out
    kinds = {"checkpoint": "safetensors", "weights": "safetensors", "history": "json"}
    kinds |= {"confusion": "png", "curves": "png"}
    assert {path.name for path in Path("o").iterdir()} == {f"{kind}-cifar10.{end}" for kind, end in kinds.items()}

    given, after = load_file(run.folder / "resnet18.safetensors"), load_file("o/weights-cifar10.safetensors")
    expected = torch_epoch(recorder, frozen)
    assert set(after) == set(recorder.after) == set(expected)
    assert len(recorder.batches) == 2
    for name, tensor in after.items():
        first = recorder.before[name]
        if not name.startswith("fc."):
            assert torch.equal(first, given[name]), f"{name}: training did not begin with the file's"
        if frozen and not name.startswith("fc."):
            assert torch.equal(tensor, given[name]), f"{name}: frozen, but it changed"
            continue
        assert not torch.equal(tensor, first), f"{name}: did not learn"
        step, torchs = (recorder.after[name] - first).double(), (expected[name] - first).double()
        assert (step - torchs).norm() <= 1e-6 * torchs.norm(), name


def test_resumed_equals_uninterrupted(run: Runner) -> None:
    settings = (*SMALL, "--freeze", "--momentum", 0.5, "--seed", 3)
    assert run(*settings, "--epochs", 2, "--out", "whole").status == 0
    assert run(*settings, "--epochs", 1, "--out", "parts").status == 0
    again = run("--epochs", 2, "--out", "parts", "--resume", weights=None)  # all settings come from the checkpoint
    assert again.status == 0, again.err
    assert "going on after epoch 1" in again.out
    whole, parts = (load_file(f"{name}/weights-cifar10.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    for arguments, message in (
        (("--size", 64), "was started with --size 40, not 64"),
        (("--model", "resnet50"), "was started with --model resnet18, not resnet50"),
        (("--momentum", 0.9), "was started with --momentum 0.5, not 0.9"),
    ):
        other = run("--epochs", 3, "--out", "parts", "--resume", *arguments, weights=None)
        assert (other.status, message in other.err) == (2, True), other.err
    history = json.loads(Path("parts/history-cifar10.json").read_text())["about"]
    assert {name: history["settings"][name] for name in ("model", "size", "freeze")} == {
        "model": "resnet18",
        "size": 40,
        "freeze": True,
    }
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save("a.png")
    seen = run("--out", "parts", "--predict", "a.png", weights=None)  # the network is that of the run
    assert seen.status == 0, seen.err
    assert "cifar10 | a.png: " in seen.out


def rewritten(run: Runner, path: str, change: Any) -> str:
    state = load_file(run.folder / "resnet18.safetensors")
    change(state)
    save_file(state, run.folder / path)
    return path


def test_weights_that_do_not_fit(run: Runner) -> None:
    def odd(state: State) -> None:
        del state["layer1.0.conv1.weight"]
        del state["bn1.running_mean"]
        state["head.weight"] = torch.ones(2)
        state["fc.bias"] = torch.ones(7)

    refused = run(*SMALL, weights=rewritten(run, "odd.safetensors", odd))
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    for part in (
        'Missing key(s): "bn1.running_mean", "layer1.0.conv1.weight"',
        'Unexpected key(s): "head.weight"',
        'Size mismatch: "fc.bias": expected (1000,), got (7,)',
    ):
        assert part in refused.err
    assert "does not fit this network as trained on ImageNet" in run(weights="resnet18.safetensors").err  # resnet50
    assert not Path("runs").exists()


def test_weights_of_before_batches_were_counted(run: Runner) -> None:
    def old(state: State) -> None:
        for name in [name for name in state if name.endswith("num_batches_tracked")]:
            del state[name]

    done = run(*SMALL, "--epochs", 0, "--out", "o", weights=rewritten(run, "old.safetensors", old))
    assert done.status == 0, done.err
    assert load_file("o/weights-cifar10.safetensors")["bn1.num_batches_tracked"].item() == 0


@pytest.mark.parametrize(
    ("arguments", "weights", "message"),
    [
        ((), None, "name the file of your weights with --weights"),
        ((), "missing.safetensors", "missing.safetensors."),
        ((), "resnet18.pth", "turn it into safetensors first: python examples/convert_checkpoint.py "),
        ((), "cifar10.npz", "is a PyTorch checkpoint"),
        (("--size", "31"), None, "--size: expected an integer of at least 32, got '31'"),
        (("--momentum", "1"), None, "--momentum: expected a number from 0 to less than 1, got '1'"),
        (("--model", "resnet101"), None, "--model: invalid choice: 'resnet101'"),
        ((*SMALL, "--optimizer", "adam", "--momentum", "0.5"), "resnet18.safetensors", "--momentum: adam has none"),
        (("--predict", "a.png"), None, "train first"),
    ],
)
def test_bad_input(run: Runner, arguments: tuple[str, ...], weights: str | None, message: str) -> None:
    refused = run(*arguments, weights=weights)
    assert refused.status == 2
    assert message in refused.err
    assert refused.err.startswith("finetune_resnet.py: ")
    assert refused.err.count("\n") == 1
    assert not Path("runs").exists()
