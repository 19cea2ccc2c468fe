"""A process that runs one column of one workload, and the driver's end of the pipe to it.

The driver asks the workers in turn, so that they never run at the same time; each is warm when it is timed.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.operations import CASES
from benchmarks.workloads import STANDING_STILL, Column


class WorkerFailed(RuntimeError):
    """A worker could not do what it was asked; the text is its last error."""


class Worker:
    """The driver's handle of a worker process. ``ask`` waits for the answer; the worker sleeps between requests."""

    def __init__(self, column: Column, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fresh interpreter, not a fork of this one
        self.column = column
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, column, threads))
        self._process.start()
        theirs.close()

    def ask(self, what: str, *arguments: Any) -> Any:
        """The answer of the method ``what`` of the worker. Raises WorkerFailed."""
        try:
            self._pipe.send((what, arguments))
            good, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed(f"{self.column.name}: the process ended ({error!r})") from error
        if not good:
            raise WorkerFailed(f"{self.column.name}: {answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.close()  # the worker reads the end of the pipe and leaves
        self._process.join(10)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _serve(pipe: Connection, column: Column, threads: int) -> None:
    """The worker: answers requests until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    if column.tuned:
        keep_freed_memory()
    side = importlib.import_module(f"benchmarks.{column.library}_side")
    side.set_threads(column, threads)
    tasks = _Tasks(column, side)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, getattr(tasks, what)(*arguments)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        pipe.send(answer)


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed instead of handing large blocks back to the system after every step.

    Otherwise each step pays for the page faults of all its activations again. Both sides get it. (The settings are
    those of minidl.keep_freed_memory, set without it: PyTorch's processes do not import minidl.)
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # from malloc.h
    libc = ctypes.CDLL(None)
    for name, value in ((mmap_max, 0), (trim_threshold, 2**30), (top_pad, 64 * 2**20)):
        if libc.mallopt(name, value) != 1:
            raise RuntimeError(f"mallopt({name}, {value}) was refused; this benchmark needs glibc")


class _Tasks:
    """What a worker can be asked for."""

    def __init__(self, column: Column, side: Any) -> None:
        self.column, self.side = column, side
        self.run: Callable[[], Any] = lambda: None

    def facts(self) -> dict[str, Any]:
        return self.side.facts()

    def losses(self, key: str, steps: int) -> list[float]:
        """The losses of the first steps of a fresh network, dropout off, at the workload's own learning rate."""
        workload = workloads.find(key)
        step = self.side.training_step(self.column, workload, False, workload.learning_rate)
        return [step().item() for _ in range(steps)]

    def prepare_step(self, key: str) -> None:
        """Make ready the training step that ``burst`` runs, dropout on where the experiment has it."""
        self.run = self.side.training_step(self.column, workloads.find(key), True, STANDING_STILL)

    def prepare_operation(self, number: int) -> list[float] | None:
        """Make ready operation ``number`` of the table for ``burst``; the fingerprint of its results."""
        module = importlib.import_module(f"benchmarks.operations_{self.column.library}")
        self.run, fingerprint = module.prepare(CASES[number])
        return fingerprint

    def burst(self, seconds: float) -> float:
        """Mean seconds a run over about ``seconds``, after a lead-in that fills the caches again."""
        clock = time.perf_counter
        end = clock() + seconds / 10
        while True:
            self.run()
            if clock() >= end:
                break
        count, start = 0, clock()
        while True:
            self.run()
            count += 1
            elapsed = clock() - start
            if elapsed >= seconds:
                return elapsed / count

    def prepare_epoch(self, images: int) -> None:
        """Make ready W7, and warm it up on a few batches."""
        self.side.epoch(self.column, 8 * workloads.EPOCH.batch)()
        self.run = self.side.epoch(self.column, images)

    def epoch(self) -> tuple[float, float]:
        """Seconds of one epoch, and its mean loss."""
        start = time.perf_counter()
        loss = self.run()
        return time.perf_counter() - start, loss

    def memory(self, key: str, steps: int) -> dict[str, float]:
        """Resident memory in MiB: before the network is built, and at the most while it is trained for some steps."""
        workload = workloads.find(key)
        small = dataclasses.replace(workload, batch=2)
        self.side.training_step(self.column, small, True, STANDING_STILL)()  # loads all code that the steps need
        before = _status("VmRSS")
        step = self.side.training_step(self.column, workload, True, STANDING_STILL)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        for _ in range(steps):
            step()
        return {"before": before, "peak": _status("VmHWM")}


def _status(name: str) -> float:
    """A figure of /proc/self/status, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
