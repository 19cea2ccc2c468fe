"""The command line of the examples: options, the device, the data set, and one sentence for whatever is wrong.

Exit status: 0 done, 1 the disk failed, 2 bad input, 130 stopped by Ctrl-C (the last finished epoch is kept).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import minidl
from minidl import nn, optim, train
from minidl.data import ImageData, cifar10, is_available, mnist, shapes

TITLES = {"cifar10": "CIFAR-10", "mnist": "MNIST", "shapes": "shapes"}
CAPTURE_HELP = (
    "record the training step once and replay it (minidl.capture): faster; on a CPU, a run that was resumed then "
    "equals an uninterrupted one up to rounding"
)
LEARNING_RATES = {"sgd": 0.01, "adam": 0.001, "adamw": 0.001}


class BadInput(Exception):
    """What the user asked for cannot be done; the text is the whole message."""


@dataclass(frozen=True)
class Example:
    """What is particular to an example: its real data set, the size of its images, and its defaults.

    ``learning_rates``: the default for each optimizer. ``settings``: the options that this example has beside the
    common ones, and their defaults; ``add_options`` tells the parser of them (there the default is None).
    """

    name: str
    data: str
    size: int
    channels: int
    epochs: int
    batch_size: int
    optimizer: str
    smallest_batch: int = 1
    learning_rates: Mapping[str, float] = field(default_factory=lambda: LEARNING_RATES)
    settings: Mapping[str, Any] = field(default_factory=dict)
    add_options: Callable[[argparse.ArgumentParser], None] | None = None


@dataclass
class Options:
    """What the user asked for, with every default filled in."""

    example: Example
    device: minidl.device
    data: str
    data_dir: str | None
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    seed: int
    out: Path
    resume: bool
    capture: bool
    predict: list[Path]
    settings: dict[str, Any]  # those of the example's own options
    finished: int = 0  # epochs that are safely on the disk

    def file(self, kind: str, ending: str) -> Path:
        """A file of the run in its folder; the data set's name stands in it."""
        return self.out / f"{kind}-{self.data}.{ending}"

    def say(self, text: str) -> None:
        """Print a line that begins with the data set's name."""
        print(f"{self.data} | {text}", flush=True)


def prepare_process() -> None:
    """What a program that trains chooses for its process, and an import must not."""
    # OpenMP's threads would wait for one another by spinning: where the cores are shared with other programs, training
    # is then several times slower. Asleep, they take some microseconds to wake. Read at the first parallel kernel.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    minidl.keep_freed_memory()


def start(example: Example, description: str, main: Callable[[Options], None]) -> NoReturn:
    """Run ``main`` with the command line's options, and leave with an exit status: no traceback for bad input."""
    program = f"{example.name}.py"
    options: Options | None = None
    prepare_process()
    try:
        options = _options(_parser(example, description).parse_args(), example)
        if options.device.type == "gpu":
            minidl.set_float32_matmul_precision("high")  # TF32: training does not need more, and it is much faster
        main(options)
    except (BadInput, ImportError, *_LIBRARY_ERRORS) as error:
        fail(program, str(error), 2)
    except OSError as error:
        kept = f" The last finished epoch ({options.finished}) is kept." if options and options.finished else ""
        fail(program, f"{error.filename or 'file'}: {error.strerror or error}.{kept}", 1)
    except KeyboardInterrupt:
        if options is None or not options.finished:
            fail(program, "stopped before the first epoch was finished; nothing was written.", 130)
        again = f"go on with --resume --out {options.out}"
        fail(program, f"stopped; epoch {options.finished} is kept, {again}", 130)
    sys.exit(0)


# What the library raises for input that it cannot use. Errors of the program itself are of other types.
_LIBRARY_ERRORS = (minidl.ArgumentError, minidl.DeviceError)


def fail(program: str, message: str, status: int) -> NoReturn:
    """Leave with one line on standard error, what was printed before it first, and an exit status."""
    sys.stdout.flush()
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (--help lists all options)")


def _parser(example: Example, description: str) -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"{example.name}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 done, 1 the disk failed, 2 bad input, 130 stopped by Ctrl-C",
    )
    real = TITLES[example.data]
    add = parser.add_argument
    add("--device", default="auto", help="auto (a GPU if there is one), cpu, gpu or gpu:N (default: auto)")
    add(
        "--data",
        default="auto",
        choices=["auto", example.data, "shapes"],
        help=f"auto: {real} if it is on this machine, else shapes, which minidl draws itself (default: auto)",
    )
    add("--data-dir", metavar="FOLDER", help=f"the folder with {example.data}.npz (default: $MINIDL_DATA, else ./data)")
    add("--epochs", type=integer(0), default=example.epochs, metavar="N", help=f"default: {example.epochs}")
    least = example.smallest_batch
    add("--batch-size", type=integer(least), metavar="N", help=f"at least {least} (default: {example.batch_size})")
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in example.learning_rates.items())
    add("--lr", type=positive, metavar="X", help=f"learning rate (default: {rates})")
    add("--optimizer", choices=list(example.learning_rates), help=f"default: {example.optimizer}; sgd has momentum 0.9")
    add("--seed", type=integer(0), metavar="N", help="of initial weights, order and augmentation (default: 0)")
    add("--out", type=Path, metavar="FOLDER", help=f"for all results (default: runs/{example.name}-DATA)")
    add("--resume", action="store_true", help="go on after the last finished epoch of the run in --out")
    add("--capture", action="store_true", help=CAPTURE_HELP)
    add("--predict", nargs="+", type=Path, default=[], metavar="IMAGE", help="classify images by the weights in --out")
    if example.add_options is not None:
        example.add_options(parser)
    return parser


def integer(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value < 2**63:
            raise argparse.ArgumentTypeError(f"expected an integer of at least {least}, got {text!r}")
        return value

    return read


def positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def share(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to less than 1, got {text!r}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _options(given: argparse.Namespace, example: Example) -> Options:
    """The options with defaults filled in; those of a resumed run come from its checkpoint."""
    device = choose_device(given.device)
    data = _choose_data(given, example)
    out = given.out or Path("runs") / f"{example.name}-{data}"
    defaults: dict[str, Any] = {"batch_size": example.batch_size, "optimizer": example.optimizer, "seed": 0}
    defaults.update(example.settings)
    if given.resume and not given.predict:
        defaults = _settings_of_run(given, example, out / f"checkpoint-{data}.safetensors", data)
    chosen = {name: getattr(given, name) if getattr(given, name) is not None else defaults[name] for name in defaults}
    lr = given.lr if given.lr is not None else defaults.get("lr", example.learning_rates[chosen["optimizer"]])
    return Options(
        example=example,
        device=device,
        data=data,
        data_dir=given.data_dir,
        epochs=given.epochs,
        batch_size=chosen["batch_size"],
        lr=lr,
        optimizer=chosen["optimizer"],
        seed=chosen["seed"],
        out=out,
        resume=given.resume,
        capture=given.capture,
        predict=given.predict,
        settings={name: chosen[name] for name in example.settings},
    )


def choose_device(name: str) -> minidl.device:
    if name == "auto":
        return minidl.device("gpu" if minidl.gpu.is_available() else "cpu")
    try:
        device = minidl.device(name)
    except minidl.ArgumentError as error:
        raise BadInput(f"argument --device: expected auto, cpu, gpu or gpu:N, got {name!r}") from error
    if device.type == "gpu":
        minidl.gpu.require(device.index)
    return device


def _choose_data(given: argparse.Namespace, example: Example) -> str:
    """The name of the data set. A data set asked for by name, or by naming its folder, is never replaced by another."""
    folder = given.data_dir or os.environ.get("MINIDL_DATA")
    if given.data == "shapes" or (given.predict and given.data != "auto"):
        return str(given.data)
    if given.predict and given.out is not None:
        found = sorted(given.out.glob("weights-*.safetensors"))
        names = [path.stem.removeprefix("weights-") for path in found]
        return names[0] if len(names) == 1 else example.data
    if is_available(example.data, given.data_dir):
        return example.data
    if folder and (given.data_dir is not None or given.data == example.data):
        missing = "" if Path(folder).is_dir() else " (there is no such folder)"
        raise BadInput(
            f"no {example.data}.npz, nor the files that torchvision downloads, in {folder}{missing}. Name the folder "
            f"that holds it with --data-dir, or give --data {example.data} without a folder to download it."
        )
    if given.data == example.data:
        return example.data  # asked for by name: load_data downloads it
    if not given.predict:
        _announce_shapes(example)
    return "shapes"


def _announce_shapes(example: Example) -> None:
    real, ask = TITLES[example.data], f"--data {example.data}"
    lines = [
        f"THIS IS NOT {real}.  {example.data}.npz was not found on this machine,",
        "so the network learns `shapes`: ten classes of geometric shapes that minidl",
        f"draws itself. Its figures say nothing about {real}.",
        "",
        f"{real} instead:  {ask}  downloads it through torchvision;",
        f"{ask} --data-dir FOLDER  takes {example.data}.npz from a folder.",
    ]
    width = max(len(line) for line in lines)
    print("\n".join(["*" * (width + 6), *(f"*  {line:<{width}}  *" for line in lines), "*" * (width + 6)]), flush=True)


def _settings_of_run(given: argparse.Namespace, example: Example, path: Path, data: str) -> dict[str, Any]:
    """Batch size, learning rate, optimizer, seed and the example's own settings of the run to go on with; they cannot
    be changed half-way."""
    if not path.is_file():
        raise BadInput(
            f"--resume: there is no {path}, so no epoch of a run with {data} was finished there. Name its folder with "
            "--out and its data set with --data, or leave --resume out."
        )
    about = minidl.train.read_notes(path).get("about")
    names = ("batch_size", "lr", "optimizer", "seed")
    own = about.get("settings", {}) if isinstance(about, dict) else None
    known = isinstance(about, dict) and isinstance(own, dict) and {"example", "data", *names} <= set(about)
    if not known or (about["example"] == example.name and set(own) != set(example.settings)):
        raise BadInput(f"--resume: {path} was not written by this example.")
    if (about["example"], about["data"]) != (example.name, data):
        raise BadInput(f"--resume: {path} is a run of {about['example']}.py with {about['data']}, not with {data}.")
    settings = {name: about[name] for name in names} | own
    for name, value in settings.items():
        asked = getattr(given, name)
        if asked is not None and asked != value:
            option = f"--{name.replace('_', '-')}"
            raise BadInput(
                f"--resume: the run in {path.parent} was started with {option} {value}, not {asked}; leave the "
                "option out, or start anew in another --out."
            )
    return settings


def load_data(options: Options) -> ImageData:
    """The data set of the options; downloaded where it was asked for by name, without a folder, and is not here."""
    if options.data == "shapes":
        return shapes(options.example.size, options.example.channels)
    load = cifar10 if options.data == "cifar10" else mnist
    download = not is_available(options.data, options.data_dir)
    if download:
        options.say("downloading through torchvision into ./data ...")
    return load(options.data_dir, download=download)


def make_optimizer(options: Options, model: nn.Module) -> optim.Optimizer:
    """The optimizer that was asked for, over all parameters that are not frozen."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    momentum = options.settings.get("momentum", 0.9)
    if options.optimizer == "sgd":
        return optim.SGD(parameters, lr=options.lr, momentum=momentum)
    if momentum != 0.9:
        raise BadInput(f"--momentum: {options.optimizer} has none; leave it out, or choose --optimizer sgd.")
    kind = optim.Adam if options.optimizer == "adam" else optim.AdamW
    return kind(parameters, lr=options.lr)


def make_step(options: Options, model: nn.Module, optimizer: optim.Optimizer) -> train.Step:
    """What training does with a batch; recorded and replayed with --capture."""
    step = train.training_step(model, optimizer)
    return minidl.capture(step) if options.capture else step
