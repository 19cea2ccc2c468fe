"""``examples/reproduce.py`` as a user runs it: rows, trials, resuming, plans of time, bad input in one sentence."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors import numpy as safetensors_numpy

import minidl
from minidl.models import TwoConvNet

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: minidl itself is the one that is installed

import reproduce
from pretrained import IMAGENET_MEAN, make_resnet
from reports import catalogue, runner
from reports.publish import results_page
from reports.record import Alias, Images, Network, Optimizer, Reported

import benchmarks.reports
from examples.small_rows import SMALL, add_rows

HERE = Path(__file__).resolve().parent
SHORT = replace(SMALL, name="short", title="two epochs", epochs=2)


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small mnist.npz in which every class has a brightness of its own."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 100), ("test", 30)):
        labels = np.arange(count) % 10
        noise = rng.integers(0, 20, (count, 28, 28))
        arrays[f"x_{part}"] = (labels[:, None, None] * 23 + noise).astype(np.uint8)
        arrays[f"y_{part}"] = labels.astype(np.uint8)
    np.savez(folder / "mnist.npz", **arrays)
    return folder


class Runner:
    """Runs reproduce.py in this process; an uncaught error fails the test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
        self.capsys, self.data_dir = capsys, data_dir

    def __call__(self, *arguments: object) -> Result:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            reproduce.main(["--data-dir", str(self.data_dir), "--device", "cpu", *map(str, arguments)])
        captured = self.capsys.readouterr()
        return Result(int(str(left.value.code)), captured.out, captured.err)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data_dir: Path
) -> Iterator[Runner]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    before = dict(catalogue.ROWS)
    add_rows(SHORT)
    yield Runner(capsys, data_dir)
    catalogue.ROWS.clear()
    catalogue.ROWS.update(before)


def weights(out: str, name: str) -> dict[str, bytes]:
    tensors = safetensors_numpy.load_file(Path(out) / name / "weights.safetensors")
    return {key: array.tobytes() for key, array in tensors.items()}


def result_of(out: str, name: str) -> dict[str, Any]:
    return json.loads((Path(out) / name / f"{name}.json").read_text())


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    epochs = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in result["epochs"]]
    return {**result, "epochs": epochs, "seconds": 0, "finished": ""}


def test_a_row(run: Runner) -> None:
    done = run("short", "--out", "o")
    assert done.status == 0, done.err
    assert "short | tiny, 3,292 parameters, Adam, batches of 16, on cpu" in done.out
    assert done.out.count("short | epoch ") == 2
    assert "test accuracy: ours" in done.out
    result = result_of("o", "short")
    assert (result["row"], result["trial"], len(result["epochs"])) == ("short", False, 2)
    assert result["setting"]["optimizer"] == {"kind": "Adam", "lr": 0.003}
    last = result["epochs"][-1]
    assert set(last) == {"epoch", "seconds"} | {
        f"{part}_{kind}" for part in ("train", "validation", "test") for kind in ("loss", "accuracy")
    }
    assert result["figures"]["test_accuracy"] == last["test_accuracy"]
    assert [point[:2] for point in result["running"]["last_epoch"]] == [[2, 0], [2, 2], [2, 4]]  # every 2 of 5 steps
    comparison = result["comparison"]
    assert comparison["difference"] == pytest.approx(comparison["ours"] - 0.1, abs=1e-4)
    assert (Path("o") / "short" / "short.png").stat().st_size < 100_000
    # the weights on the disk are those that gave the last figures
    model = SHORT.network.make()
    model.load_state_dict(minidl.load("o/short/weights.safetensors"))
    data = minidl.data.mnist(run.data_dir)
    probabilities, labels = minidl.train.predict(model, minidl.data.DataLoader(data.test_set(), 7))
    assert minidl.train.accuracy(probabilities, labels) == pytest.approx(last["test_accuracy"], abs=1e-5)
    again = run("short", "--out", "o")
    assert "is finished" in again.out
    assert "epoch 1" not in again.out


def test_killed_twenty_times(data_dir: Path, tmp_path: Path, run: Runner) -> None:
    subprocess = importlib.import_module("subprocess")
    command = [sys.executable, str(HERE / "small_rows.py"), "20", str(data_dir), str(tmp_path / "killed")]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert child.returncode == 0, child.stderr
    assert "going on after epoch" in child.stdout
    add_rows(SMALL)
    assert run("small", "--out", "whole").status == 0
    assert weights("killed", "small") == weights("whole", "small")
    assert without_times(result_of("killed", "small")) == without_times(result_of("whole", "small"))


def test_the_parts_of_a_split_test_set_add_up(run: Runner) -> None:
    images = replace(SHORT.images, validation=0, test_parts={"validation": 24, "test": 6})
    add_rows(
        replace(SHORT, epochs=1, images=images, also_plain=("all_test",), reported=Reported("all_test_accuracy", 0.1))
    )
    assert run("short", "--out", "o").status == 0
    figures = result_of("o", "short")["figures"]
    expected = 0.8 * figures["validation_accuracy"] + 0.2 * figures["test_accuracy"]
    assert figures["all_test_accuracy"] == pytest.approx(expected, abs=2e-5)
    # here nothing is random when the network is judged: the whole, judged at once, has the same figures
    assert figures["all_test_accuracy"] == pytest.approx(figures["all_test_plain_accuracy"], abs=2e-5)
    assert figures["all_test_loss"] == pytest.approx(figures["all_test_plain_loss"], abs=2e-5)


def test_a_longer_row_takes_over_a_shorter_one(run: Runner) -> None:
    longer = replace(SHORT, name="longer", epochs=3, begins_like="short")
    alone = replace(longer, name="alone", begins_like="")
    add_rows(longer, alone)
    assert run("short", "longer", "alone", "--out", "o").status == 0
    assert weights("o", "longer") == weights("o", "alone")
    assert len(result_of("o", "longer")["epochs"]) == 3
    assert result_of("o", "longer")["epochs"][:2] == result_of("o", "short")["epochs"]  # times included: taken over
    fresh = run("longer", "--out", "fresh")  # without the shorter one it trains alone
    assert "taken over" not in fresh.out
    assert weights("fresh", "longer") == weights("o", "alone")


def test_continued_from_another_row(run: Runner) -> None:
    heir = replace(SHORT, name="heir", epochs=1, starts_from="short", batch_size=100, optimizer=Optimizer("SGD", 1e-30))
    add_rows(heir)
    done = run("heir", "--out", "o")
    assert done.out.index("short | epoch 2/2") < done.out.index("heir | epoch 1/1")  # what it needs is run first
    assert weights("o", "heir") == weights("o", "short")  # nothing learned at rate 0


def test_a_row_that_needs_the_users_weights(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (20, 32, 32, 3), np.uint8), (np.arange(20) % 10).astype(np.uint8)
    np.savez("cifar10.npz", x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    given = minidl.models.resnet18()  # for 1,000 classes, as ImageNet has
    minidl.save(given.state_dict(), "imagenet.safetensors")
    network = Network("ResNet-18", partial(make_resnet, "resnet18", 10, 48), 11_181_642)
    row = replace(SMALL, name="heir", images=Images("cifar10", mean=IMAGENET_MEAN, std=(0.2,) * 3), network=network)
    row = replace(row, epochs=2, optimizer=Optimizer("SGD", 1e-30), pretrained="ImageNet weights")
    catalogue.ROWS.clear()  # reproduce.py's own --all would be sixty rows
    add_rows(SHORT, row)
    done = run("--all", "--out", "o")
    assert done.status == 0, done.err
    assert "heir | skipped: it needs the user's ImageNet weights: --weights FILE" in done.out
    assert result_of("o", "short")["row"] == "short"
    assert not Path("o/heir").exists()
    refused = run("heir", "--out", "o")
    assert (refused.status, "heir needs the user's ImageNet weights: --weights FILE" in refused.err) == (2, True)
    weights_option = ("--data-dir", ".", "--weights", "imagenet.safetensors")
    refused = run("short", "--out", "o", "--again", *weights_option)
    assert (refused.status, "--weights: none of these rows begins with weights" in refused.err) == (2, True)
    refused = run("heir", "--out", "o", "--data-dir", ".", "--weights", "nothing.safetensors")
    assert (refused.status, "--weights: there is no file nothing.safetensors" in refused.err) == (2, True)

    real, epochs = runner.Training.epoch, []

    def interrupted(self: Any, count: int) -> None:
        if epochs:
            raise KeyboardInterrupt
        epochs.append(count)
        real(self, count)

    monkeypatch.setattr(runner.Training, "epoch", interrupted)
    assert run("heir", "--out", "o", *weights_option).status == 130
    monkeypatch.setattr(runner.Training, "epoch", real)
    assert run("heir", "--out", "o", "--resume", "--data-dir", ".").status == 0  # its weights are in the checkpoint
    after = weights("o", "heir")
    for name, parameter in given.named_parameters():
        if parameter.dim() == 4:
            assert after[name] == parameter.detach().numpy().tobytes(), name  # nothing learned at rate 0
    assert len(after["fc.bias"]) == 4 * 10
    result = result_of("o", "heir")
    assert (result["weights"], result["setting"]["pretrained"]) == ("imagenet.safetensors", "ImageNet weights")


def test_early_stopping_keeps_the_best(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = replace(SHORT, name="stopped", epochs=50, patience=2, keep_weights=True)
    add_rows(stopped)
    accuracies = iter([0.1, 0.3, 0.25, 0.3])  # an equal one is no better one
    real = runner.train.evaluate

    def evaluate(model: Any, loader: Any, *rest: Any, **named: Any) -> Any:
        figures = real(model, loader, *rest, **named)
        return replace(figures, accuracy=next(accuracies)) if len(loader.dataset) == 20 else figures

    monkeypatch.setattr(runner.train, "evaluate", evaluate)
    assert run("stopped", "--out", "o").status == 0
    result = result_of("o", "stopped")
    assert (len(result["epochs"]), result["figures"]["epoch"]) == (4, 2)
    assert result["figures"]["test_accuracy"] == result["epochs"][1]["test_accuracy"]
    kept = sorted(path.name for path in Path("o/stopped").glob("weights-*"))
    assert kept == [f"weights-00{epoch}.safetensors" for epoch in (0, 1, 2)]  # start, middle, best
    best = safetensors_numpy.load_file("o/stopped/weights-002.safetensors")
    assert {name: array.tobytes() for name, array in best.items()} == weights("o", "stopped")


def test_trials_are_kept_apart(run: Runner) -> None:
    assert run("short", "--out", "o").status == 0
    before = (Path("o") / "short" / "short.json").read_bytes()
    trial = run("short", "--out", "o", "--epochs", 1)
    assert trial.status == 0
    assert "reported" not in trial.out
    assert (Path("o") / "short" / "short.json").read_bytes() == before
    marked = json.loads(Path("o/trials/short-1-epochs/short.json").read_text())
    assert (marked["trial"], len(marked["epochs"]), "comparison" in marked) == (True, 1, False)
    assert run("--publish", "--out", "o", "--epochs", 1).status == 2


def test_half_finished_rows_are_not_lost(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    real, done = runner.Training.epoch, []

    def interrupted(self: Any, epochs: int) -> None:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(epochs)
        real(self, epochs)

    monkeypatch.setattr(runner.Training, "epoch", interrupted)
    stopped = run("short", "--out", "o")
    assert stopped.status == 130
    assert stopped.err == "reproduce.py: stopped. Of short, 1 epoch is kept: --resume goes on from there.\n"
    monkeypatch.setattr(runner.Training, "epoch", real)
    refused = run("short", "--out", "o")
    assert (refused.status, "--resume goes on, --again starts anew" in refused.err) == (2, True)
    assert run("short", "--out", "o", "--resume").status == 0
    assert run("short", "--out", "whole").status == 0
    assert weights("o", "short") == weights("whole", "short")
    # of another setting: neither taken for finished, nor gone on with
    add_rows(replace(SHORT, batch_size=8))
    other = run("short", "--out", "o", "--resume")
    assert (other.status, "of another setting" in other.err) == (2, True)
    assert run("short", "--out", "o", "--again").status == 0


def test_a_full_disk_loses_no_finished_epoch(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    files = importlib.import_module("minidl.train.files")
    real, checkpoints = files.write_file, []

    def write(path: Path, data: bytes) -> None:
        if Path(path).name == "checkpoint.safetensors":
            checkpoints.append(path)
            if len(checkpoints) == 2:
                raise OSError(28, "No space left on device", str(path))
        real(path, data)

    monkeypatch.setattr(files, "write_file", write)
    full = run("short", "--out", "o")
    assert full.status == 1
    assert "checkpoint.safetensors: No space left on device. Of short, 1 epoch is kept" in full.err
    assert full.err.count("\n") == 1
    assert run("short", "--out", "o", "--resume").status == 0
    assert run("short", "--out", "whole").status == 0
    assert weights("o", "short") == weights("whole", "short")


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_captured_steps_give_the_same_weights(run: Runner, loss: str) -> None:
    add_rows(replace(SHORT, loss=loss, label_smoothing=0.1 if loss == "cross_entropy" else 0.0))
    assert run("short", "--out", "eager").status == 0
    assert run("short", "--out", "captured", "--capture").status == 0
    assert weights("captured", "short") == weights("eager", "short")
    assert without_times(result_of("captured", "short")) == without_times(result_of("eager", "short"))


def test_minutes(run: Runner) -> None:
    huge = replace(SHORT, name="huge", epochs=10_000_000)
    add_rows(huge)
    done = run("huge", "short", "--out", "o", "--minutes", 5)
    assert done.status == 0
    assert "huge | not started: it needs about" in done.out
    assert not Path("o/huge/checkpoint.safetensors").exists()
    assert result_of("o", "short")["row"] == "short"


def test_a_row_beside_torch(run: Runner, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = Network("without dropout", partial(TwoConvNet, (1, 28, 28), (2, 2), (8,), 0.0, 0.0), 3_292)
    row = replace(SHORT, name="plain", network=network, epochs=40)
    add_rows(row)
    assert run("plain", "--out", "o").status == 0
    first_losses = []
    for weights in (None, Path("o/plain/weights.safetensors")):
        benchmarks.reports.compare(row, str(data_dir), 2, torch.get_num_threads(), weights)
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        ours, theirs = ([line for line in lines if side in line] for side in ("minidl", "torch"))
        assert [line[0] for line in ours] == [line[0] for line in theirs] == ["1", "2"]
        for mine, other in zip(ours, theirs, strict=True):
            assert float(mine[2]) == pytest.approx(float(other[2]), rel=1e-3)  # loss; then accuracies
            assert [float(x) for x in mine[3::2]] == pytest.approx([float(x) for x in other[3::2]], abs=5)
        first_losses.append(float(ours[0][2]))
    assert first_losses[1] < 0.95 * first_losses[0]  # it went on from the trained weights


def test_list(run: Runner) -> None:
    add_rows(Alias("twin", "the same again", "short", Reported("test_accuracy", 0.5)))
    assert run("twin", "--out", "o").status == 0
    assert result_of("o", "short")["row"] == "short"
    listed = run("--list", "--out", "o")
    assert listed.status == 0
    lines = {line.split()[0]: line for line in listed.out.splitlines() if line}
    assert "890,410" not in listed.out  # parameters stand in RESULTS.md
    assert lines["004-resnet50"].endswith("85.9 % test                  needs the user's ImageNet weights")
    heading = listed.out.splitlines()[0]
    rows = [line for name, line in lines.items() if name in catalogue.ROWS]
    assert {line[heading.index("reported") - 2 : heading.index("reported")] for line in rows} == {"  "}  # in columns
    assert {line[heading.index("ours") - 1 : heading.index("ours")] for line in rows} <= {" ", ""}
    assert "| 85.91 % | needs the user's ImageNet weights |" in results_page(Path("nowhere"))
    assert lines["000-drop02"].split()[1:8] == ["A,", "dropout", "0.2", "30", "74.8", "%", "test"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("000-bas",), "there is no row '000-bas'; did you mean 000-base"),
        (("003-K33",), "did you mean 003-k533 or 003-k333"),
        (("nonsense",), "there is no row 'nonsense'; (--list shows all)"),
        (("--report", "3"), "there is no report '3'; there are 000, 001, 002, 003, 004, 005"),
        ((), "name rows, or give"),
        (("short", "--epochs", "0"), "--epochs"),
        (("short", "--minutes", "-1"), "--minutes"),
        (("short", "--resume", "--again"), "exclude one another"),
        (("short", "--device", "tpu"), "--device"),
        (("000-base",), "no cifar10.npz, nor the files that torchvision downloads, in "),
        (("short", "--data-dir", "nowhere"), "in nowhere (there is no such folder). Name the folder"),
        (("short", "--out", "file/inside"), "--out: cannot write into file/inside/short"),
    ],
)
def test_bad_input(run: Runner, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    Path("file").write_text("in the way")
    monkeypatch.setattr(reproduce, "run_row", lambda *_: pytest.fail("a row was started"))
    refused = run(*arguments)
    assert refused.status == 2
    assert message in refused.err
    assert refused.err.startswith("reproduce.py: ")
    assert refused.err.count("\n") == 1
