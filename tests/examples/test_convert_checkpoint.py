"""``examples/convert_checkpoint.py``: what torch.save wrote comes out with equal bits; all else is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision

import minidl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import convert_checkpoint


class Result(NamedTuple):
    status: int
    out: str
    err: str


class Runner:
    """Runs the example in this process; an uncaught error fails the test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> Result:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            convert_checkpoint.main([str(argument) for argument in arguments])
        captured = self.capsys.readouterr()
        return Result(int(str(left.value.code)), captured.out, captured.err)

    def refused(self, message: str, *arguments: object) -> None:
        result = self(*arguments)
        assert result.status == 2
        assert message in result.err
        assert result.err.startswith("convert_checkpoint.py: ")
        assert result.err.count("\n") == 1
        assert not [path for path in Path().iterdir() if "safetensors" in path.name], "something was written"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Runner:
    monkeypatch.chdir(tmp_path)
    return Runner(capsys)


def weights() -> dict[str, torch.Tensor]:
    """A state_dict with everything awkward: tied, transposed, sliced and empty tensors, integers, half precision."""
    random = torch.Generator().manual_seed(0)
    tied = torch.randn(3, 4, generator=random)
    return {
        "encoder.weight": tied,
        "decoder.weight": tied,
        "transposed": torch.randn(2, 5, generator=random).T,
        "every.second": torch.randn(9, generator=random)[::2],
        "one.value": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "bn.num_batches_tracked": torch.tensor(2**40 + 1),
        "mask": torch.tensor([True, False]),
        "half": torch.tensor([1.5, float("nan"), float("inf"), -0.0]).half(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


def bits(tensor: torch.Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    return tensor.dtype, tuple(tensor.shape), tensor.detach().contiguous().numpy().tobytes()


def check(state: dict[str, torch.Tensor], path: str) -> None:
    """torch and minidl both read the state_dict from the file, bit for bit."""
    theirs, ours = safetensors.torch.load_file(path), minidl.load(path)
    assert set(theirs) == set(ours) == set(state)
    for name, tensor in state.items():
        assert bits(theirs[name]) == bits(tensor), name
        array = ours[name].numpy()
        assert (array.shape, array.tobytes()) == (tuple(tensor.shape), bits(tensor)[2]), name
        assert str(array.dtype) == str(tensor.dtype).removeprefix("torch."), name


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict(run: Runner, zipped: bool) -> None:
    torch.save(weights(), "source.pth", _use_new_zipfile_serialization=zipped)
    done = run("source.pth", "target.safetensors")
    assert done.status == 0, done.err
    assert done.out.splitlines()[0] == "source.pth: 10 tensors"
    check(weights(), "target.safetensors")
    assert sorted(os.listdir()) == ["source.pth", "target.safetensors"], "a temporary file was left"


@pytest.mark.parametrize("holder", ["state_dict", "model", "model_state_dict"])
def test_a_state_dict_inside_a_checkpoint(run: Runner, holder: str) -> None:
    network = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    torch.save({"epoch": 3, holder: weights(), "loss": torch.ones(()), "optimizer": optimizer.state_dict()}, "a.pth")
    done = run("a.pth", "target.safetensors")
    assert done.out.startswith(f"a.pth: 10 tensors from its entry {holder} (left out: epoch, loss, optimizer)\n")
    check(weights(), "target.safetensors")


def test_prefixes(run: Runner) -> None:
    module = torch.nn.DataParallel(torch.nn.Linear(2, 3))
    torch.save(module.state_dict(), "parallel.pth")
    assert "--strip module. takes it away" in run("parallel.pth", "as_it_is.safetensors").out
    check(dict(module.state_dict()), "as_it_is.safetensors")
    done = run("parallel.pth", "bare.safetensors", "--strip", "module.")
    assert "module. taken from 2 of 2 names" in done.out
    check(dict(module.module.state_dict()), "bare.safetensors")
    minidl.nn.Linear(2, 3).load_state_dict(minidl.load("bare.safetensors"))
    for path in Path().glob("*.safetensors"):
        path.unlink()
    run.refused(
        "--strip: no name begins with 'net.'; the first is module.weight", "parallel.pth", "t", "--strip", "net."
    )
    torch.save({"a.x": torch.ones(1), "x": torch.ones(1)}, "twice.pth")
    run.refused("several tensors, or one without a name, would be 'x'", "twice.pth", "t", "--strip", "a.")


def test_bfloat16_becomes_float32(run: Runner) -> None:
    exact = torch.tensor([1.0, -3.5, 2.0**-130, float("inf"), float("nan")]).bfloat16()
    torch.save({"a": exact, "b": torch.ones(2)}, "brain.pth")
    assert "1 bfloat16 tensors become float32" in run("brain.pth", "target.safetensors").out
    check({"a": exact.float(), "b": torch.ones(2)}, "target.safetensors")


def test_list_writes_nothing(run: Runner) -> None:
    torch.save(weights(), "source.pth")
    done = run("--list", "source.pth")
    assert done.status == 0
    lines = [line.split("  ") for line in done.out.splitlines()]
    rows = {line[0]: [part.strip() for part in line[1:] if part] for line in lines}
    assert rows["transposed"] == ["(5, 2)", "float32"]
    assert rows["bn.num_batches_tracked"] == ["()", "int64"]
    assert os.listdir() == ["source.pth"]
    torch.save({"a\x1b[31m\nb": torch.ones(1)}, "colour.pth")
    assert "\x1b" not in run("--list", "colour.pth").out


def test_nothing_is_overwritten_unasked(run: Runner) -> None:
    torch.save(weights(), "source.pth")
    Path("kept").write_text("precious")
    run.refused("kept is there already; --force", "source.pth", "kept")
    run.refused("is the checkpoint itself", "source.pth", "source.pth", "--force")
    assert Path("kept").read_text() == "precious"
    assert run("source.pth", "kept", "--force").status == 0
    check(weights(), "kept")


class Bomb:
    """What a malicious checkpoint is made of."""

    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_not_executed(run: Runner, zipped: bool) -> None:
    torch.save({"weight": torch.ones(2), "bomb": Bomb()}, "bad.pth", _use_new_zipfile_serialization=zipped)
    run.refused("holds more than weights (it names posix.system)", "bad.pth", "t.safetensors")
    run.refused("nothing of it was executed", "--list", "bad.pth")
    assert not Path("executed").exists()
    torch.save(torch.nn.Linear(2, 2), "whole.pth", _use_new_zipfile_serialization=zipped)
    run.refused("it names torch.nn.modules.linear.Linear", "whole.pth", "t.safetensors")


def test_damaged_and_foreign_files(run: Runner) -> None:
    torch.save(weights(), "good.pth")
    good = Path("good.pth").read_bytes()
    for content in (b"", b"no checkpoint at all", good[: len(good) // 2], good[:-1], b"\x80\x02" + bytes(range(50))):
        Path("bad.pth").write_bytes(content)
        run.refused("bad.pth is not a whole PyTorch checkpoint", "bad.pth", "t.safetensors")
    with zipfile.ZipFile("good.pth", "a") as archive:
        archive.writestr("good/constants.pkl", b"")
    run.refused("it is a TorchScript archive", "good.pth", "t.safetensors")
    for document, message in (
        (torch.ones(3), "holds Tensor, not a dict"),
        ({}, "holds an empty dict"),
        ({"model": {}}, "holds an empty dict"),
        ({"weight": torch.ones(2), "epoch": 3}, "it has epoch: int."),
        ({1: torch.ones(2)}, "it has 1: Tensor."),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "a is complex64; minidl reads dense tensors of bool"),
        ({"a": torch.ones(2).to_sparse()}, "a is sparse_coo; minidl"),
        ({"a": torch.ones(1).expand(10**12)}, "its tensors would take 4,000,000,000,000 bytes"),
    ):
        torch.save(document, "odd.pth")
        run.refused(message, "odd.pth", "t.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.pth", "t"), "missing.pth: No such file or directory"),
        ((".", "t"), ".: Is a directory"),
        (("a.pth",), "name the file to write, or give --list"),
        (("a.pth", "t", "--list"), "name the file to write, or give --list"),
        (("a.pth", "."), ". is a folder"),
        (("a.pth", "nowhere/t"), "there is no folder nowhere"),
        (("a.pth", "t", "--strip", ""), "--strip: expected a prefix that is not empty"),
        ((), "SOURCE"),
    ],
)
def test_bad_arguments(run: Runner, arguments: tuple[str, ...], message: str) -> None:
    torch.save({"a": torch.ones(1)}, "a.pth")
    run.refused(message, *arguments)


def test_without_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('not here')")
    command = [sys.executable, convert_checkpoint.__file__, "a.pth", "t"]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    child = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stdout) == (2, "")
    assert child.stderr == (
        "convert_checkpoint.py: this example reads PyTorch's files and needs PyTorch: pip install torch\n"
    )


def test_torchvisions_resnet18(run: Runner) -> None:
    """A network of torchvision, converted, gives the same outputs in minidl."""
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=10)
    with torch.no_grad():
        for name, tensor in theirs.named_buffers():
            if tensor.is_floating_point():  # running statistics as of a trained network
                tensor.copy_(torch.rand(tensor.shape) + (0.5 if name.endswith("var") else -0.5))
    theirs.eval()
    torch.save({"model": theirs.state_dict(), "epoch": 1}, "resnet18.pth")
    assert run("resnet18.pth", "resnet18.safetensors").status == 0
    check(dict(theirs.state_dict()), "resnet18.safetensors")
    ours = minidl.models.resnet18(num_classes=10).eval()
    ours.load_state_dict(minidl.load("resnet18.safetensors"))
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with minidl.no_grad(), torch.no_grad():
        outputs, expected = ours(minidl.tensor(images)).numpy(), theirs(torch.from_numpy(images)).numpy()
    assert np.abs(outputs - expected).max() <= 1e-4 * np.abs(expected).max()
