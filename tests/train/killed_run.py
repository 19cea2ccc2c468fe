"""A small run that writes a checkpoint every other batch, as a program for ``test_killed.py`` to kill.

``python killed_run.py once FOLDER``: one life of the run, with the kernels of this machine.
``python killed_run.py lives FOLDER``: without Numba, so that it may fork: each line on standard input, a number N,
starts a life whose process kills itself at the N-th point of writing (0: never); its process number is answered, then
how it ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__" and sys.argv[1] == "lives":
    sys.modules["numba"] = None  # type: ignore[assignment]

import numpy as np

import minidl
from minidl import nn, optim
from minidl.data import DataLoader, TensorDataset
from minidl.train import EarlyStopping, History, load_checkpoint, save_checkpoint

BATCHES = 24


class Run:
    """Everything that remembers: dropout, batch statistics, moments, order, a schedule, figures, the best weights."""

    def __init__(self) -> None:
        minidl.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = optim.lr_scheduler.OneCycleLR(self.optimizer, 0.05, total_steps=BATCHES)
        random = np.random.default_rng(0)
        images, labels = random.standard_normal((44, 20)).astype(np.float32), random.integers(0, 4, 44)
        data, own = TensorDataset(minidl.tensor(images), minidl.tensor(labels)), minidl.Generator(1)
        self.loader = DataLoader(data, 8, shuffle=True, generator=own)
        self.history = History()
        self.stopping = EarlyStopping(self.model, patience=100)

    def train(self, path: Path) -> None:
        """To the end, from the checkpoint where there is one."""
        done = load_checkpoint(path, vars(self))["batches"] if path.exists() else 0
        while done < BATCHES:
            for x, y in self.loader:
                self.optimizer.zero_grad()
                nn.functional.cross_entropy(self.model(x), y).backward()
                self.optimizer.step()
                self.schedule.step()
                done += 1
                if done % 2 == 0 or done == BATCHES:
                    save_checkpoint(path, vars(self), {"batches": done})
                if done == BATCHES:
                    return
            figure = self.model[4].weight.abs().sum().item()
            self.history.add(figure=figure)
            self.stopping.update(figure)


class Points:
    """Counts the moments at which a kill would hurt most, and dies at the chosen one."""

    def __init__(self, chosen: int) -> None:
        self.left = chosen
        for name in ("fsync", "replace"):
            setattr(os, name, self.around(getattr(os, name)))
        opened = Path.open
        Path.open = lambda path, mode="r", *rest: self.halved(opened(path, mode, *rest), mode)  # type: ignore

    def point(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            self.point()
            result = function(*arguments)
            self.point()
            return result

        return wrapped

    def halved(self, file: Any, mode: str) -> Any:
        """The file, if it is written to, writes the first half of the bytes, and there is a point between."""
        if "w" not in mode:
            return file
        points, real = self, file

        class Halved:
            def __enter__(self) -> Any:
                points.point()
                return self

            def __exit__(self, *_: object) -> None:
                real.close()

            def write(self, data: bytes) -> None:
                real.write(data[: len(data) // 2])
                real.flush()
                points.point()
                real.write(data[len(data) // 2 :])

            flush, fileno = real.flush, real.fileno

        return Halved()


def lives(path: Path) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            Points(int(line))
            Run().train(path)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    target = Path(sys.argv[2]) / "c"
    if sys.argv[1] == "once":
        print("ready", flush=True)
        Run().train(target)
    else:
        lives(target)
