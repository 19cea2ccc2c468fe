"""A row of the lab reports in PyTorch:  python -m benchmarks.reports 001-lr0.01 --epochs 2 --data-dir FOLDER

Where a row ends below its report, the question is whether the setting or the engine makes the difference. This trains
the row with both, from the same first weights on the same batches, and prints their figures side by side; from those
of a finished row with --weights. Dropout draws other numbers in torch, those of --torch-seed; all else is the same. The
torch network is made from minidl's own text (``minidl/models/experiments.py``) with torch's layers in it.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import minidl
from minidl.models import experiments

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from reports.catalogue import UnknownRow, find
from reports.images import load_images
from reports.place import Place
from reports.record import Row
from reports.runner import Options, Training


class TorchSide:
    """The row's network and optimizer in torch, with the first weights of ``training``; ``seed`` is that of dropout."""

    def __init__(self, training: Training, seed: int | None) -> None:
        self.row, self.loaders = training.row, training.loaders
        self.model = torch_network(self.row)
        state = {name: torch.from_numpy(t.detach().numpy().copy()) for name, t in training.model.state_dict().items()}
        self.model.load_state_dict(state)
        optimizer = self.row.optimizer
        self.optimizer = getattr(torch.optim, optimizer.kind)(
            self.model.parameters(), lr=optimizer.lr, **optimizer.options
        )
        if seed is not None:
            torch.manual_seed(seed)

    def step(self, images: Any, labels: Any) -> tuple[float, int]:
        """Train on a batch; its loss and right answers before the step."""
        self.model.train()
        self.optimizer.zero_grad()
        outputs = self.model(images)
        loss = self._loss(outputs, labels)
        loss.backward()
        self.optimizer.step()
        return loss.item(), int((outputs.argmax(1) == labels).sum())

    def accuracy(self, name: str) -> float:
        """Of a part that judges the network."""
        self.model.eval()
        right = count = 0
        with torch.no_grad():
            for images, labels in self.loaders.evaluation[name]:
                right += int((self.model(to_torch(images)).argmax(1) == to_torch(labels)).sum())
                count += len(labels)
        return right / count

    def _loss(self, outputs: Any, labels: Any) -> Any:
        if self.row.loss == "mse":
            targets = torch.nn.functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
            return torch.nn.functional.mse_loss(outputs, targets)
        return torch.nn.functional.cross_entropy(outputs, labels)


def torch_network(row: Row) -> Any:
    """The row's network made of torch's layers."""
    text = Path(experiments.__file__).read_text(encoding="utf-8")
    text = text.replace("from minidl import nn", "from torch import nn")
    text = text.replace("from minidl._tensor import Tensor", "from torch import Tensor")
    module = ModuleType("torch_experiments")
    exec(compile(text, "torch_experiments", "exec"), module.__dict__)
    make = row.network.make
    if not isinstance(make, partial):
        return getattr(module, make.__name__)()
    # an argument that is a layer of minidl, such as the activation, becomes torch's of the same name
    arguments = [getattr(torch.nn, a.__name__) if isinstance(a, type) else a for a in make.args]
    return getattr(module, make.func.__name__)(*arguments, **make.keywords)


def to_torch(tensor: minidl.Tensor) -> Any:
    return torch.from_numpy(tensor.numpy())


def compare(
    row: Row,
    data_dir: str | None,
    epochs: int,
    threads: int,
    weights: Path | None = None,
    torch_seed: int | None = None,
) -> None:
    """Train both sides, batch by batch, and print a line for each epoch and side."""
    torch.set_num_threads(threads)
    options = Options(minidl.device("cpu"), resume=False, capture=False, say=print, bars=False)
    training = Training(row, load_images(row.images.name, data_dir), Place(Path("."), row.name), options)
    if weights is not None:
        training.model.load_state_dict(minidl.load(weights))
    other = TorchSide(training, torch_seed)
    judges = list(training.loaders.evaluation)
    print(f"{row.name}: {row.network.name}, {row.optimizer.kind} {row.optimizer.lr:g}, batches of {row.batch_size}")
    print(f"{'epoch':>5}  {'':<7} {'training loss':>13} {'accuracy':>9}" + "".join(f" {name:>14}" for name in judges))
    for epoch in range(1, epochs + 1):
        progress = minidl.train.Progress(f"epoch {epoch}/{epochs}, minidl", len(training.loaders.train.dataset))
        figures = minidl.train.RunningFigures()
        loss_sum, right = 0.0, 0
        training.model.train()
        for images, labels in training.loaders.train:
            loss, outputs = training.step(images, labels)
            figures.add(loss, outputs, labels)
            their_loss, their_right = other.step(to_torch(images), to_torch(labels))
            loss_sum, right = loss_sum + their_loss * len(labels), right + their_right
            progress.update(len(labels), figures)
        progress.close()
        ours = [minidl.train.evaluate(training.model, training.loaders.evaluation[name]).accuracy for name in judges]
        theirs = [other.accuracy(name) for name in judges]
        sides = (
            ("minidl", figures.loss, figures.accuracy, ours),
            ("torch", loss_sum / figures.images, right / figures.images, theirs),
        )
        for side, mean_loss, accuracy, judged in sides:
            parts = "".join(f" {100 * value:>12.2f} %" for value in judged)
            print(f"{epoch:>5}  {side:<7} {mean_loss:>13.4f} {100 * accuracy:>7.2f} %{parts}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", help="a row that trains in the plain way, such as 001-lr0.01")
    parser.add_argument("--epochs", type=int, default=2, help="default: 2")
    parser.add_argument("--data-dir", help="with cifar10.npz and mnist.npz (default: $MINIDL_DATA, else ./data)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: 2)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="begin with these, such as a finished row's")
    parser.add_argument("--torch-seed", type=int, metavar="N", help="of torch's dropout (default: as torch starts)")
    given = parser.parse_args()
    try:
        row = find(given.row)
    except UnknownRow as error:
        parser.error(str(error))
    if not isinstance(row, Row) or row.method is not None or row.starts_from or row.pretrained:
        parser.error(f"{given.row} does not train in the plain way")
    minidl.keep_freed_memory()  # glibc's setting, so for torch as well
    compare(row, given.data_dir, given.epochs, given.threads, given.weights, given.torch_seed)


if __name__ == "__main__":
    main()
