"""Training steps on a GPU: minidl eager and captured against PyTorch, in alternating bursts timed by CUDA events."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

import minidl
from benchmarks import minidl_side, report, torch_side, workloads
from benchmarks.workloads import CAPTURED, MINIDL, STANDING_STILL, TORCH, Workload
from minidl.backend import gpu

__all__ = ["measure"]

COMPILED = dataclasses.replace(workloads.TORCH_COMPILED, name="reduce-overhead")
TURNS = 7
BURST = 0.25  # seconds
CHECKED_STEPS = 5
TOLERANCE = 1e-3  # relative, of losses in full float32

# The workloads with a target first: PyTorch's time / minidl's captured time. Eager minidl: at most 2.5 times PyTorch's.
TARGETS = {"W1-4": 5.0, "W1-128": 4.0, "W3-32": 3.0, "W3-128": 1.5, "W4-64": 2.5}
EAGER_TARGET = 0.4

Step = Callable[[], Any]


def _ours(column: Any, workload: Workload, dropout: bool, learning_rate: float) -> Step:
    images, labels = (minidl.from_numpy(array).to("gpu") for array in workloads.batch(workload))
    network = minidl_side._network(workload, dropout).to("gpu")
    step = minidl_side._step(column, workload, network, learning_rate)
    return lambda: step(images, labels)[0]


def _theirs(column: Any, workload: Workload, dropout: bool, learning_rate: float) -> Step:
    images, labels = (torch.from_numpy(array).to("cuda") for array in workloads.batch(workload))
    images = images.to(memory_format=torch.channels_last)
    network = torch_side._network(column, workload, dropout).to("cuda")
    parameters = list(network.parameters())
    if workload.optimizer == "SGD":
        optimizer: Any = torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9, fused=True)
    else:
        optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)

    def forward(x: Any, y: Any) -> Any:
        return F.cross_entropy(network(x), y)

    if column.compiled:
        forward = torch.compile(forward, mode="reduce-overhead")

    def step() -> Any:
        optimizer.zero_grad()
        loss = forward(images, labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _prepare(column: Any, workload: Workload, dropout: bool, learning_rate: float) -> Step:
    make = _ours if column.library == "minidl" else _theirs
    return make(column, workload, dropout, learning_rate)


def _precision(tf32: bool) -> None:
    minidl.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


class _Clock:
    """CUDA events of one library, around a number of steps."""

    def __init__(self, column: Any) -> None:
        cuda = gpu.cupy().cuda
        self._event = cuda.Event if column.library == "minidl" else lambda: torch.cuda.Event(enable_timing=True)
        self._elapsed = cuda.get_elapsed_time if column.library == "minidl" else lambda a, b: a.elapsed_time(b)

    def seconds(self, step: Step, count: int) -> float:
        """Seconds a step, over ``count`` of them."""
        start, stop = self._event(), self._event()
        start.record()
        for _ in range(count):
            step()
        stop.record()
        stop.synchronize()
        return self._elapsed(start, stop) / 1000 / count


def _losses(column: Any, workload: Workload) -> list[float]:
    step = _prepare(column, workload, False, workload.learning_rate)
    return [step().item() for _ in range(CHECKED_STEPS)]


def measure_workload(workload: Workload, columns: list[Any]) -> dict[str, Any]:
    """The seconds of every burst of every column, and how far the first losses agree."""
    result: dict[str, Any] = {"workload": workload.key, "title": workload.title, "seconds": {}, "failure": None}
    result["unavailable"] = {}
    _precision(tf32=False)
    losses = {column.name: _losses(column, workload) for column in columns if not column.compiled}
    reference = losses[TORCH.name]
    differences = [abs(a - b) / abs(b) for values in losses.values() for a, b in zip(values, reference)]
    result["loss difference"] = max(d if d == d else float("inf") for d in differences)
    if not result["loss difference"] <= TOLERANCE:
        result["failure"] = f"LOSSES DIFFER ({losses})"
        return result
    _precision(tf32=True)
    running: list[tuple[Any, Step, _Clock, int]] = []
    for column in columns:
        try:
            step, clock = _prepare(column, workload, True, STANDING_STILL), _Clock(column)
            clock.seconds(step, 10)  # compiles, records, fills the pools
            running.append((column, step, clock, max(5, int(BURST / clock.seconds(step, 10)))))
        except Exception as error:
            if not column.optional:
                raise
            result["unavailable"][column.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    for turn in range(TURNS):
        for column, step, clock, count in running if turn % 2 == 0 else reversed(running):
            result["seconds"].setdefault(column.name, []).append(clock.seconds(step, count))
    result["summary"] = report.summary(result["seconds"])
    result["ratios"] = {name: report.ratio(result["seconds"], name) for name in result["seconds"]}
    return result


def _row(result: dict[str, Any], names: list[str]) -> list[str]:
    key = f"{result['workload']} {result['title']}"
    if result["failure"]:
        return [f"{key}: {result['failure']}", *[""] * (len(names) + 4)]
    cells = [key]
    for name in names:
        seconds = result["seconds"].get(name)
        cells.append("n/a" if seconds is None else report.number(1e6 * report.middle(seconds)[0]))
    eager, captured = (report.ratio(result["seconds"], c.name) for c in (MINIDL, CAPTURED))
    target = TARGETS.get(result["workload"])
    for ratio, goal in ((eager, EAGER_TARGET), (captured, target)):
        cells.append("" if ratio is None else f"{ratio['median']:.2f} ({ratio['q1']:.2f} to {ratio['q3']:.2f})")
        cells.append("" if goal is None else f"{goal:g}")
    return cells


def text_of(results: list[dict[str, Any]], columns: list[Any]) -> str:
    """The table: microseconds a step, medians; ratios are PyTorch's time / minidl's, turn by turn."""
    names = [column.name for column in columns]
    headings = ["", *names, "ratio eager", "target", "ratio captured", "target"]
    lines = ["us a step; ratios: torch tuned / minidl", "", report.table(headings, [_row(r, names) for r in results])]
    for result in results:
        lines += [f"{result['workload']} {name}: n/a, {why}" for name, why in result["unavailable"].items()]
    return "\n".join(lines)


def measure(write: Callable[[dict[str, Any]], None], compiled: bool) -> None:
    """All workloads, those with targets first; what has been found is written after each."""
    torch.backends.cudnn.benchmark = True
    columns = [MINIDL, CAPTURED, TORCH, *([COMPILED] if compiled else [])]
    ordered = sorted(workloads.WORKLOADS, key=lambda w: w.key not in TARGETS)  # stable: their own order otherwise
    results: list[dict[str, Any]] = []
    for workload in ordered:
        results.append(measure_workload(workload, columns))
        failed = [f"{r['workload']}: {r['failure']}" for r in results if r["failure"]]
        found = {"text": text_of(results, columns), "results": results, "failure": "; ".join(failed) or None}
        write(found)
        print(f"{workload.key} measured", flush=True)
