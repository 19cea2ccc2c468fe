"""minidl against PyTorch on the CPU:  python -m benchmarks.cpu [--only W1 W4-64 ...] [--out FILE.json]

Training steps of the experiments' networks (W1 to W6), an epoch end to end (W7), peak memory and, with --operations,
single operations. benchmarks/README.md says how to read the table. Exit status 1 where losses or results differ.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine, operations, report, workloads
from benchmarks.report import Result
from benchmarks.worker import Worker, WorkerFailed
from benchmarks.workloads import CAPTURED, EPOCH, MINIDL, TORCH, Column, Workload

CHECKED_STEPS = 5
LOSS_TOLERANCE = 1e-4  # relative; float32 rounding, which five steps enlarge, stays below 3e-5
RESULT_TOLERANCE = 1e-3
PAUSE = 0.03  # seconds between turns: OpenMP's threads spin for some milliseconds after their last work
MEMORY_WORKLOAD = "W3-128"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for, print it, write JSON; 1 where the sides do not compute the same."""
    options = _options(arguments)
    removed = machine.clean_environment()
    about = machine.describe(options.threads, removed)
    facts = _facts(options.threads)
    about["minidl"], about["torch"] = facts[MINIDL.name], facts[TORCH.name]
    settings = {
        "settings": f"{options.rounds} rounds of fresh processes, {options.bursts} bursts of {options.seconds} s"
    }
    print(report.header(about, settings), flush=True)

    columns = _columns(options)
    names = [column.name for column in columns]
    outcome: dict[str, Any] = {"machine": about, **settings, "steps": [], "epoch": [], "memory": {}, "operations": []}
    if options.operations:
        outcome["operations"] = measure_operations(options)
        print("\n" + report.operations_table(outcome["operations"]), flush=True)
    steps = [workload for workload in options.workloads if workload is not EPOCH]
    for workload in steps:
        outcome["steps"].append(measure_steps(workload, columns, options))
        print(f"{workload.key} measured", file=sys.stderr, flush=True)
    if steps:
        print("\n" + "\n".join(["ms a step", "", report.steps_table(outcome["steps"], names, 1e-3), ""]))
        print("\n".join(report.notes(outcome["steps"])), flush=True)
    if any(workload.key == MEMORY_WORKLOAD for workload in steps):
        outcome["memory"] = measure_memory(columns, options.threads)
        print("\n" + report.memory_table(outcome["memory"]), flush=True)
    if EPOCH in options.workloads:
        columns = [MINIDL, *([CAPTURED] if CAPTURED in columns else []), TORCH, workloads.TORCH_LOADER]
        outcome["epoch"] = [measure_epoch(columns, options)]
        title = f"seconds an epoch of {options.epoch_images} images; torch tuned: images in memory"
        names = [column.name for column in columns]
        print("\n" + "\n".join([title, "", report.steps_table(outcome["epoch"], names, 1), ""]))
        print("\n".join(report.notes(outcome["epoch"])), flush=True)
    about["load at end"] = round(os.getloadavg()[0], 2)
    print(f"\nload at end:          {about['load at end']}")
    if options.out:
        options.out.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
    everything = [*outcome["steps"], *outcome["epoch"], *outcome["operations"]]
    return 1 if any(result["failure"] for result in everything) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", metavar="W", help="workloads: W1 is LeNet at every batch size, W1-4 one of them")
    add("--rounds", type=int, default=3, help="rounds of fresh processes (default: 3)")
    add("--bursts", type=int, default=5, help="bursts of every column in a round, taken in turn (default: 5)")
    add("--seconds", type=float, default=0.5, help="length of a burst (default: 0.5)")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="for both sides (default: all cores)")
    add("--epoch-images", type=int, default=50_000, help="images in W7's epoch (default: 50000)")
    add("--operations", action="store_true", help="measure single operations too")
    add("--compile", action="store_true", help="a column for torch.compile (needs a C++ compiler)")
    add("--default-malloc", action="store_true", help="a column for minidl without malloc tuning")
    add("--out", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(arguments)
    try:
        options.workloads = workloads.selected(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.threads > len(os.sched_getaffinity(0)):
        parser.error("--threads cannot be more than the cores of this machine")
    if min(options.rounds, options.bursts, options.threads, options.epoch_images) < 1 or options.seconds <= 0:
        parser.error("--rounds, --bursts, --seconds, --threads and --epoch-images must be above 0")
    return options


def _columns(options: argparse.Namespace) -> list[Column]:
    columns = [MINIDL, CAPTURED]
    if options.default_malloc:
        columns.append(workloads.MINIDL_DEFAULT)
    columns += [TORCH, workloads.TORCH_DEFAULT]
    if options.compile:
        columns.append(workloads.TORCH_COMPILED)
    return columns


@contextmanager
def _workers(columns: Sequence[Column], threads: int) -> Iterator[list[Worker]]:
    """A fresh process for every column, ended afterwards."""
    with ExitStack() as stack:
        workers = []
        for column in columns:
            workers.append(Worker(column, threads))
            stack.callback(workers[-1].close)
        yield workers


def _facts(threads: int) -> dict[str, dict[str, Any]]:
    with _workers((MINIDL, TORCH), threads) as workers:
        return {worker.column.name: worker.ask("facts") for worker in workers}


def _turns(workers: list[Worker], bursts: int, seconds: float) -> dict[str, list[float]]:
    """Seconds a run of every worker, burst by burst: one after the other, in an order that is reversed every time."""
    for worker in workers:
        worker.ask("burst", seconds)  # warms up
    measured: dict[str, list[float]] = {worker.column.name: [] for worker in workers}
    for turn in range(bursts):
        for worker in workers if turn % 2 == 0 else reversed(workers):
            time.sleep(PAUSE)
            measured[worker.column.name].append(worker.ask("burst", seconds))
    return measured


def _result(workload: Workload) -> Result:
    return {
        "workload": workload.key,
        "title": workload.title,
        "targets": dataclasses.asdict(workload.targets),
        "loss difference": None,
        "failure": None,
        "unavailable": {},
        "seconds": {},
    }


def _finish(result: Result) -> Result:
    """Add medians and ratios, for readers of the JSON file."""
    result["summary"] = report.summary(result["seconds"])
    result["ratios"] = {c.name: report.ratio(result["seconds"], c.name) for c in (MINIDL, CAPTURED)}
    return result


def difference(losses: dict[str, list[float]]) -> float:
    """The largest relative difference between a column's losses and tuned torch's, NaN counting as infinite."""
    worst = 0.0
    for values in losses.values():
        for ours, theirs in zip(values, losses[TORCH.name], strict=True):
            relative = abs(ours - theirs) / abs(theirs)
            worst = max(worst, relative if relative == relative else float("inf"))
    return worst


def _check_losses(result: Result, workers: list[Worker], key: str) -> list[Worker]:
    """Ask for the first losses; the workers that can be timed. Disagreement is noted as the result's failure."""
    losses = {}
    for worker in workers:
        try:
            losses[worker.column.name] = worker.ask("losses", key, CHECKED_STEPS)
        except WorkerFailed as error:
            if not worker.column.optional:
                raise
            result["unavailable"][worker.column.name] = str(error)
    worst = result["loss difference"] = max(difference(losses), result["loss difference"] or 0.0)
    if not worst <= LOSS_TOLERANCE:
        shown = "; ".join(f"{name} {' '.join(f'{x:.6g}' for x in values)}" for name, values in losses.items())
        result["failure"] = f"LOSSES DIFFER ({shown})"
    return [worker for worker in workers if worker.column.name in losses]


def measure_steps(workload: Workload, columns: Sequence[Column], options: argparse.Namespace) -> Result:
    """Training steps of one workload, after a check that all columns compute the same losses."""
    result = _result(workload)
    for _ in range(options.rounds):
        with _workers([c for c in columns if c.name not in result["unavailable"]], options.threads) as workers:
            workers = _check_losses(result, workers, workload.key)
            if result["failure"]:
                return result
            for worker in workers:
                worker.ask("prepare_step", workload.key)
            for name, bursts in _turns(workers, options.bursts, options.seconds).items():
                result["seconds"].setdefault(name, []).extend(bursts)
    return _finish(result)


def measure_epoch(columns: Sequence[Column], options: argparse.Namespace) -> Result:
    """W7: whole epochs, one a round and column."""
    result = _result(EPOCH)
    result["images"] = options.epoch_images
    for turn in range(options.rounds):
        with _workers([c for c in columns if c.name not in result["unavailable"]], options.threads) as workers:
            workers = _check_losses(result, workers, EPOCH.key)
            if result["failure"]:
                return result
            for worker in workers if turn % 2 == 0 else reversed(workers):
                try:
                    worker.ask("prepare_epoch", options.epoch_images)
                except WorkerFailed as error:
                    if not worker.column.optional:
                        raise
                    result["unavailable"][worker.column.name] = str(error)
                    continue
                time.sleep(PAUSE)
                seconds, loss = worker.ask("epoch")
                result["seconds"].setdefault(worker.column.name, []).append(seconds)
                result.setdefault("mean loss", {}).setdefault(worker.column.name, []).append(loss)
    return _finish(result)


def measure_memory(columns: Sequence[Column], threads: int) -> dict[str, dict[str, float]]:
    """Resident memory of a loop of steps, each column in a process that has done nothing else."""
    memory = {}
    for column in columns:
        if not column.compiled:
            with _workers([column], threads) as workers:
                memory[column.name] = workers[0].ask("memory", MEMORY_WORKLOAD, 20)
    return memory


def measure_operations(options: argparse.Namespace) -> list[Result]:
    """Single operations, in bursts of a tenth of the usual length."""
    results: list[Result] = [
        {"operation": dataclasses.asdict(c), "failure": None, "seconds": {}} for c in operations.CASES
    ]
    for _ in range(options.rounds):
        with _workers(operations.COLUMNS, options.threads) as workers:
            for number, result in enumerate(results):
                ours, theirs = (worker.ask("prepare_operation", number) for worker in workers)
                if not _same(ours, theirs):
                    result["failure"] = f"results differ: minidl {ours}, torch {theirs}"
                for name, bursts in _turns(workers, options.bursts, options.seconds / 10).items():
                    result["seconds"].setdefault(name, []).extend(bursts)
    return results


def _same(ours: list[float] | None, theirs: list[float] | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return len(ours) == len(theirs) and all(abs(a - b) <= RESULT_TOLERANCE * abs(b) for a, b in zip(ours, theirs))


if __name__ == "__main__":
    sys.exit(main())
