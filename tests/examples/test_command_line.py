"""The examples as a user runs them: results on the disk, bad input in one sentence, Ctrl-C, resuming, predictions."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from safetensors import numpy as safetensors_numpy

import minidl

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small cifar10.npz and mnist.npz, in which every class has a colour of its own."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, image in (("cifar10", (32, 32, 3)), ("mnist", (28, 28))):
        colors = rng.integers(40, 216, (10, *[1] * (len(image) - 1), image[-1]))
        arrays = {}
        for part, count in (("train", 129), ("test", 40)):  # 129 = 2 * 64 + 1
            labels = np.arange(count) % 10
            arrays[f"x_{part}"] = (colors[labels] + rng.integers(-40, 40, (count, *image))).astype(np.uint8)
            arrays[f"y_{part}"] = labels.astype(np.uint8)
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


class Runner:
    """Runs an example in this process, which is quicker than a new one; an uncaught error fails the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        monkeypatch.syspath_prepend(str(EXAMPLES))
        monkeypatch.chdir(folder)
        monkeypatch.delenv("MINIDL_DATA", raising=False)

    def __call__(self, name: str, *arguments: object) -> Result:
        example, command_line = importlib.import_module(name), importlib.import_module("command_line")
        self.monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            command_line.start(example.EXAMPLE, example.__doc__, example.main)
        captured = self.capsys.readouterr()
        return Result(int(str(left.value.code)), captured.out, captured.err)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Runner:
    return Runner(monkeypatch, capsys, tmp_path)


def weights(folder: Path) -> dict[str, bytes]:
    (path,) = folder.glob("weights-*.safetensors")
    return {name: array.tobytes() for name, array in safetensors_numpy.load_file(path).items()}


@pytest.mark.parametrize(
    ("name", "data", "title", "model", "parameters"),
    [
        ("cifar_cnn", "cifar10", "CIFAR-10", "AveragePoolConvNet", "1,211,018"),
        ("mnist_cnn", "mnist", "MNIST", "MNISTConvNet", "813,802"),
    ],
)
def test_a_run(run: Runner, data_dir: Path, name: str, data: str, title: str, model: str, parameters: str) -> None:
    result = run(name, "--device", "cpu", "--data-dir", data_dir, "--epochs", 2)
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert all(line.startswith(f"{data} | ") for line in lines)
    assert f"{model}, {parameters} parameters, on cpu" in lines[0]
    assert "129 training and 40 test images" in lines[1]
    assert sum("| training loss " in line and "images/s" in line for line in lines) == 2
    folder = Path("runs") / f"{name}-{data}"
    assert {path.name for path in folder.iterdir()} == {
        f"checkpoint-{data}.safetensors",
        f"weights-{data}.safetensors",
        f"history-{data}.json",
        f"confusion-{data}.png",
        f"curves-{data}.png",
    }
    history = json.loads((folder / f"history-{data}.json").read_text())
    assert history["about"]["data"] == data
    assert [record["epoch"] for record in history["epochs"]] == [1, 2]
    assert f"test accuracy {100 * history['epochs'][1]['test_accuracy']:.1f} % after 2 epochs" in result.out
    assert history["epochs"][1]["train_loss"] < history["epochs"][0]["train_loss"]
    for kind in ("confusion", "curves"):
        path = folder / f"{kind}-{data}.png"
        assert path.stat().st_size < 100_000
        Image.open(path).verify()
    network = getattr(minidl.models, model)()
    network.load_state_dict(minidl.load(folder / f"weights-{data}.safetensors"))


def test_shapes_stand_in_with_a_notice(run: Runner) -> None:
    """Without data and without asking for any: the first command works, and says loudly what it does."""
    result = run("mnist_cnn", "--epochs", 0)
    assert result.status == 0, result.err
    assert result.out.startswith("*****")
    assert "THIS IS NOT MNIST" in result.out
    assert "shapes | test accuracy" in result.out
    assert not list(Path("runs/mnist_cnn-shapes").glob("curves*"))  # no epoch, no curve
    assert "*****" not in run("mnist_cnn", "--epochs", 0, "--data", "shapes").out  # asked for: nothing to warn of


def test_the_environment_names_the_folder(run: Runner, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_DATA", str(data_dir))
    assert run("mnist_cnn", "--epochs", 0).out.startswith("mnist | ")


@pytest.mark.parametrize(("name", "optimizer"), [("mnist_cnn", "sgd"), ("cifar_cnn", "adamw")])
def test_resumed_equals_uninterrupted(run: Runner, data_dir: Path, name: str, optimizer: str) -> None:
    common = ("--data-dir", data_dir, "--device", "cpu")
    settings = ("--optimizer", optimizer, "--seed", 5, "--batch-size", 32)
    assert run(name, *common, *settings, "--epochs", 3, "--out", "whole").status == 0
    assert run(name, *common, *settings, "--epochs", 1, "--out", "parts").status == 0
    result = run(name, *common, "--epochs", 3, "--out", "parts", "--resume")  # settings come from the checkpoint
    assert result.status == 0, result.err
    assert "going on after epoch 1" in result.out
    assert f"{optimizer}, lr " in result.out
    assert weights(Path("parts")) == weights(Path("whole"))
    figures = []
    for folder in ("whole", "parts"):
        (path,) = Path(folder).glob("history-*.json")
        records = json.loads(path.read_text())["epochs"]
        figures.append([{k: v for k, v in r.items() if "second" not in k} for r in records])
    assert figures[0] == figures[1]
    again = run(name, *common, "--epochs", 3, "--out", "parts", "--resume")  # nothing left to do
    assert again.status == 0
    assert "after 3 epochs" in again.out
    assert weights(Path("parts")) == weights(Path("whole"))


def test_captured_equals_eager(run: Runner, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures but for rounding, and a recording for whole batches and one for the last."""
    steps, capture = [], minidl.capture

    def recorded(step: Any) -> Any:
        steps.append(capture(step))
        return steps[-1]

    monkeypatch.setattr(minidl, "capture", recorded)
    losses = []
    for more in ((), ("--capture",)):
        result = run("mnist_cnn", "--data-dir", data_dir, "--device", "cpu", "--epochs", 2, "--out", "o", *more)
        assert result.status == 0, result.err
        epochs = json.loads(Path("o/history-mnist.json").read_text())["epochs"]
        losses.append([epoch[name] for epoch in epochs for name in ("train_loss", "test_loss")])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    (step,) = steps
    assert step.recordings == 2


def in_a_process(name: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    # A shell starts background jobs with SIGINT ignored, and children inherit that: these must be able to be stopped.
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_goes_on_bit_for_bit(run: Runner, data_dir: Path, blow: signal.Signals) -> None:
    common = ("--data-dir", data_dir, "--device", "cpu", "--batch-size", 16)
    with in_a_process("mnist_cnn", *common, "--epochs", 1000, "--out", "parts") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        for line in child.stdout:
            if "epoch 2/1000" in line:  # by then the kernels are compiled, and the first epoch is on the disk
                break
        time.sleep(0.05)
        child.send_signal(blow)
        _, err = child.communicate(timeout=60)
    assert "Traceback" not in err
    if blow == signal.SIGINT:
        assert child.returncode == 130
        assert re.search(r"mnist_cnn.py: stopped; epoch \d+ is kept, go on with --resume --out parts", err)
    done = len(json.loads(Path("parts/history-mnist.json").read_text())["epochs"]) + 1
    assert run("mnist_cnn", *common, "--epochs", done, "--out", "parts", "--resume").status == 0
    assert run("mnist_cnn", *common, "--epochs", done, "--out", "whole").status == 0
    assert weights(Path("parts")) == weights(Path("whole"))


def test_predict(run: Runner, data_dir: Path) -> None:
    common = ("--data-dir", data_dir, "--device", "cpu", "--out", "run")
    assert run("cifar_cnn", *common, "--epochs", 1).status == 0
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save("a.png")
    Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)).save("grey.jpg")
    result = run("cifar_cnn", "--out", "run", "--predict", "a.png", "grey.jpg")
    assert result.status == 0, result.err
    assert re.search(r"cifar10 \| a\.png: \w+ [\d.]+ %, \w+ [\d.]+ %, \w+ [\d.]+ %", result.out)
    Image.open("run/predictions-cifar10.png").verify()
    # a training image is predicted as the network itself, fed by the loader, predicts it
    with np.load(data_dir / "cifar10.npz") as file:
        image = file["x_train"][3]
    Image.fromarray(image).save("image.png")
    model = minidl.models.AveragePoolConvNet()
    model.load_state_dict(minidl.load("run/weights-cifar10.safetensors"))
    data = minidl.data.cifar10(data_dir)
    probabilities, _ = minidl.train.predict(model, minidl.data.DataLoader(data.train_set(), 4))
    best = int(probabilities[3].argmax())
    expected = f"image.png: {data.classes[best]} {100 * probabilities[3, best]:.1f} %"
    assert expected in run("cifar_cnn", "--out", "run", "--predict", "image.png").out


def test_ink_on_paper_is_inverted(run: Runner) -> None:
    sys.path.insert(0, str(EXAMPLES))
    reporting = importlib.import_module("reporting")
    paper = np.full((28, 28), 255, np.uint8)
    paper[10:20, 12:16] = 0
    Image.fromarray(paper).save("digit.png")
    np.testing.assert_array_equal(reporting.read_image(Path("digit.png"), 28, 28, 1, True)[:, :, 0], 255 - paper)
    np.testing.assert_array_equal(reporting.read_image(Path("digit.png"), 28, 28, 1, False)[:, :, 0], paper)


BAD_ARGUMENTS = [
    (("--batch-size", "0"), "--batch-size: expected an integer of at least 2, got '0'"),
    (("--batch-size", "many"), "--batch-size: expected an integer"),
    (("--epochs", "-1"), "--epochs: expected an integer of at least 0, got '-1'"),
    (("--epochs", "1.5"), "--epochs"),
    (("--lr", "0"), "--lr: expected a number above 0"),
    (("--lr", "nan"), "--lr: expected a number above 0"),
    (("--seed", "-3"), "--seed"),
    (("--optimizer", "lion"), "--optimizer: invalid choice: 'lion' (choose from"),
    (("--data", "mnist"), "--data: invalid choice: 'mnist'"),
    (("--device", "tpu"), "--device: expected auto, cpu, gpu or gpu:N, got 'tpu'"),
    (("--device", "gpu:99"), "GPU"),
    (("--nonsense",), "--nonsense"),
    (("--predict",), "--predict"),
    (("--data-dir", "nowhere"), "no cifar10.npz, nor the files that torchvision downloads, in nowhere (there is no"),
    (("--data", "cifar10", "--data-dir", "."), "no cifar10.npz, nor the files that torchvision downloads, in ."),
    (("--resume", "--out", "nothing"), "--resume: there is no nothing/checkpoint-shapes.safetensors"),
    (("--predict", "a.png"), "there is no runs/cifar_cnn-shapes/weights-shapes.safetensors; train first"),
    (("--data", "shapes", "--epochs", "1", "--out", "file/inside"), "--out: cannot write into file/inside"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=lambda value: " ".join(value)[:30])
def test_bad_arguments(run: Runner, arguments: tuple[str, ...], message: str) -> None:
    Path("file").write_text("in the way")
    result = run("cifar_cnn", *arguments)
    assert result.status == 2
    assert message in result.err
    assert result.err.startswith("cifar_cnn.py: ")
    assert result.err.count("\n") == 1
    assert not Path("runs").exists()


def test_no_gpu(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = minidl.gpu._Found(None, 0, "CuPy is not installed", "Install it with pip install ...")
    monkeypatch.setattr("minidl.backend.gpu._find", lambda: missing)
    result = run("cifar_cnn", "--device", "gpu")
    assert result.status == 2
    assert "CuPy is not installed. Install it with pip install" in result.err
    assert result.err.count("\n") == 1
    assert not Path("runs").exists()


def damaged(folder: Path, name: str, how: str, data_dir: Path) -> Path:
    """A folder with a data file that is not what it should be."""
    good = (data_dir / f"{name}.npz").read_bytes()
    folder.mkdir()
    path = folder / f"{name}.npz"
    if how == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "foreign":
        np.savez(path, a=np.ones(3))
    elif how == "other shape":
        np.savez(path, **{n: np.zeros((5, 5), np.uint8) for n in ("x_train", "y_train", "x_test", "y_test")})
    else:
        objects = np.array([{"a": 1}], dtype=object)
        np.savez(path, **dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), objects))
    return folder


@pytest.mark.parametrize("how", ["truncated", "empty", "foreign", "other shape", "pickled"])
def test_bad_data_files(run: Runner, data_dir: Path, how: str) -> None:
    folder = damaged(Path("damaged"), "cifar10", how, data_dir)
    result = run("cifar_cnn", "--data-dir", folder)
    assert result.status == 2
    assert "cifar10.npz" in result.err
    assert result.err.count("\n") == 1


def test_bad_images(run: Runner, data_dir: Path) -> None:
    assert run("mnist_cnn", "--data-dir", data_dir, "--epochs", 0, "--out", "run").status == 0
    Path("text.png").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)).save("whole.png")
    Path("cut.png").write_bytes(Path("whole.png").read_bytes()[:800])
    for image in ("text.png", "cut.png", "missing.png", "."):
        result = run("mnist_cnn", "--out", "run", "--predict", "whole.png", image)
        assert result.status == 2, image
        assert result.err.startswith(f"mnist_cnn.py: --predict: {image}: ")
        assert result.err.count("\n") == 1
    assert not Path("run/predictions-mnist.png").exists()


def test_runs_that_do_not_fit_are_not_resumed(run: Runner, data_dir: Path) -> None:
    common = ("--data-dir", data_dir, "--epochs", 1)
    assert run("mnist_cnn", *common, "--out", "run").status == 0
    checkpoint = Path("run/checkpoint-mnist.safetensors")
    result = run("mnist_cnn", *common, "--out", "run", "--resume", "--lr", "0.5")
    assert (result.status, "started with --lr 0.01, not 0.5" in result.err) == (2, True)
    # another network, by the checkpoint's own account; then one that hides it
    about = minidl.train.read_notes(checkpoint)["about"]
    linear = minidl.nn.Linear(2, 2)
    optimizer = minidl.optim.SGD(linear.parameters(), lr=0.01, momentum=0.9)
    for model, message in (("LeNet", "has LeNet as model"), ("MNISTConvNet", "does not fit this network")):
        loader = minidl.data.DataLoader(minidl.data.mnist(data_dir).train_set(), 64)
        parts = {"model": linear, "optimizer": optimizer, "loader": loader, "history": minidl.train.History()}
        minidl.train.save_checkpoint(checkpoint, parts, {"about": {**about, "model": model}})
        result = run("mnist_cnn", *common, "--out", "run", "--resume")
        assert result.status == 2
        assert message in result.err
        assert result.err.count("\n") == 1
    for content in (b"", b"nothing of the kind", checkpoint.read_bytes()[:-9]):
        checkpoint.write_bytes(content)
        result = run("mnist_cnn", *common, "--out", "run", "--resume")
        assert result.status == 2
        assert "checkpoint-mnist.safetensors" in result.err
    # the other example's run on the same drawn data
    minidl.train.save_checkpoint(
        "run/checkpoint-shapes.safetensors", {}, {"about": {**about, "example": "mnist_cnn", "data": "shapes"}}
    )
    result = run("cifar_cnn", "--data", "shapes", "--out", "run", "--resume")
    assert result.status == 2
    assert "is a run of mnist_cnn.py with shapes" in result.err


def test_a_full_disk_loses_no_finished_epoch(run: Runner, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = importlib.import_module("minidl.train.files")
    written = []

    def write(path: Path, data: bytes, real=files.write_file) -> None:  # type: ignore[no-untyped-def]
        written.append(path)
        if len(written) > 4:  # checkpoint, weights, (history), second checkpoint ...
            raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr(files, "write_file", write)
    result = run("mnist_cnn", "--data-dir", data_dir, "--epochs", 5, "--out", "run")
    assert result.status == 1
    assert "No space left on device" in result.err
    assert "finished epoch" in result.err
    assert minidl.train.read_notes("run/checkpoint-mnist.safetensors")["about"]["data"] == "mnist"


def test_as_separate_processes(data_dir: Path, tmp_path: Path) -> None:
    """What the tests above take for granted: the files run as programs, and bad input shows no traceback."""
    with in_a_process("cifar_cnn", "--batch-size", 0) as child:
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, "")
    assert "Traceback" not in err
    with in_a_process("cifar_cnn", "--help") as child:
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    for option in ("device", "data", "data-dir", "epochs", "batch-size", "lr", "optimizer", "seed", "out", "resume"):
        assert f"--{option}" in out
    environment = {**os.environ, "MINIDL_DATA": str(data_dir)}
    command = [sys.executable, str(EXAMPLES / "cifar_cnn.py"), "--epochs", "1", "--out", str(tmp_path / "o")]
    child_run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child_run.returncode == 0, child_run.stderr
    assert child_run.stdout.startswith("cifar10 | AveragePoolConvNet")
