"""Where the time of a training step goes:  python -m benchmarks.profile W4-64 [--steps 50]

Prints, for one eager minidl step of a workload, the time in each operation's forward and backward, in the optimizer and
in what remains: layers, tape and engine. Times are those of an operation itself, without operations it calls.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks import machine, minidl_side, workloads
from benchmarks.report import number, table
from benchmarks.worker import keep_freed_memory
from benchmarks.workloads import MINIDL, STANDING_STILL
from minidl.autograd import Function
from minidl.optim import Optimizer


class Stopwatch:
    """Adds up the seconds and the number of calls of functions, without the time of other watched ones inside them."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._inside: list[float] = []  # for each watched call that is running: seconds spent in watched calls below it

    def watch(self, owner: type, method: str, name: str) -> None:
        """Replace a method by one that is timed."""
        function = getattr(owner, method)

        def timed(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                elapsed = time.perf_counter() - start
                self.seconds[name] += elapsed - self._inside.pop()
                self.calls[name] += 1
                if self._inside:
                    self._inside[-1] += elapsed

        setattr(owner, method, timed)

    def clear(self) -> None:
        """Start from zero."""
        self.seconds.clear()
        self.calls.clear()


def _subclasses(base: Any) -> Iterator[type]:
    for child in base.__subclasses__():
        yield child
        yield from _subclasses(child)


def _watch_everything() -> Stopwatch:
    watch = Stopwatch()
    for operation in _subclasses(Function):
        for method in ("forward", "backward"):
            if method in vars(operation):
                watch.watch(operation, method, f"{operation.__name__}.{method}")
    for method in ("step", "zero_grad"):
        watch.watch(Optimizer, method, f"optimizer.{method}")
    return watch


def profile(step: Callable[[], Any], watch: Stopwatch, steps: int) -> str:
    """A table of the mean time of one step, largest part first."""
    for _ in range(3):
        step()
    watch.clear()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    total = time.perf_counter() - start
    parts = sorted(watch.seconds.items(), key=lambda item: -item[1])
    parts.append(("rest: layers, tape, engine", total - sum(watch.seconds.values())))
    parts.append(("step", total))
    rows = []
    for name, seconds in parts:
        calls = watch.calls[name] / steps if name in watch.calls else 1
        rows.append([name, f"{calls:g}", number(seconds / steps * 1e6), f"{100 * seconds / total:.1f} %"])
    return table(["part", "calls", "us", "share"], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("workload", help="such as W4-64; W4 alone takes every batch size")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    try:
        chosen = workloads.selected([options.workload])
    except ValueError as error:
        parser.error(str(error))
    for name in machine.REMOVED:
        if name in os.environ:
            print(f"warning: {name} is set, the benchmark removes it\n")
    keep_freed_memory()
    minidl_side.set_threads(MINIDL, options.threads)
    watch = _watch_everything()
    for workload in chosen:
        step = minidl_side.training_step(MINIDL, workload, True, STANDING_STILL)
        print(
            f"{workload.key} {workload.title}, mean of {options.steps} steps\n\n{profile(step, watch, options.steps)}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
