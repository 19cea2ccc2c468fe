"""The figures as text: medians, quartiles, ratios, targets. Tables are Markdown, to be kept as they are."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.operations import CASES
from benchmarks.workloads import CAPTURED, MINIDL, TORCH

Result = dict[str, Any]  # of one workload, as it stands in the JSON file


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, low, high


def summary(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and quartiles of every column, in seconds."""
    return {name: dict(zip(("median", "q1", "q3"), middle(bursts))) for name, bursts in seconds.items()}


def ratio(seconds: dict[str, list[float]], column: str, other: str = TORCH.name) -> dict[str, float] | None:
    """Time of ``other`` / time of ``column``, turn by turn: median and quartiles. Above 1: ``column`` is faster."""
    if column not in seconds or other not in seconds:
        return None
    turns = [theirs / ours for ours, theirs in zip(seconds[column], seconds[other], strict=True)]
    return dict(zip(("median", "q1", "q3"), middle(turns)))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, the first one to the left."""
    cells = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    rule = [":" + "-" * (width - 1) if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    cells.insert(1, rule)
    lines = []
    for row in cells:
        padded = [
            text.ljust(width) if i == 0 else text.rjust(width) for i, (text, width) in enumerate(zip(row, widths))
        ]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _spread(seconds: Sequence[float], unit: float) -> str:
    median, low, high = (number(value / unit) for value in middle(seconds))
    return f"{median} ({low} to {high})"


def _ratio(result: Result, column: str) -> str:
    found = ratio(result["seconds"], column)
    return "" if found is None else f"{found['median']:.2f} ({found['q1']:.2f} to {found['q3']:.2f})"


def _time(result: Result, column: str, unit: float) -> str:
    if column in result["unavailable"]:
        return "n/a"
    return _spread(result["seconds"][column], unit) if column in result["seconds"] else ""


def steps_table(results: list[Result], columns: Sequence[str], unit: float) -> str:
    """One row a workload: time of every column (``unit`` 1e-3: ms), ratios of the two minidl columns, targets."""
    captured = CAPTURED.name in columns
    headings = ["", *columns, "ratio eager", "target"] + (["ratio captured", "target"] if captured else [])
    rows = []
    for result in results:
        key = f"{result['workload']} {result['title']}"
        if result["failure"]:
            rows.append([f"{key}: {result['failure']}", *[""] * (len(headings) - 1)])
            continue
        row = [key, *[_time(result, column, unit) for column in columns]]
        targets = result["targets"]
        row += [_ratio(result, MINIDL.name), str(targets["eager"])]
        if captured:
            row += [_ratio(result, CAPTURED.name), f"{targets['captured']}, moonshot {targets['moonshot']}"]
        rows.append(row)
    return table(headings, rows)


def notes(results: list[Result]) -> list[str]:
    """The reasons for every n/a, and how well the losses agree."""
    lines = []
    for result in results:
        lines += [f"{result['workload']} {name}: n/a, {why}" for name, why in result["unavailable"].items()]
    differences = [r["loss difference"] for r in results if r.get("loss difference") is not None]
    if differences:
        lines.append(f"losses of the first steps agree in all columns to {max(differences):.1e} (relative)")
    return lines


def memory_table(memory: dict[str, dict[str, float]]) -> str:
    """Resident memory of a W3-128 step, by column."""
    rows = [
        [name, f"{m['before']:.0f}", f"{m['peak']:.0f}", f"{m['peak'] - m['before']:.0f}"] for name, m in memory.items()
    ]
    return table(["W3-128, MiB resident", "before the network", "peak of the steps", "peak less before"], rows)


def operations_table(results: list[Result]) -> str:
    """One row an operation: microseconds, rate, share of the machine's peak, ratio."""
    peaks: dict[str, list[float]] = {}
    for case, result in zip(CASES, results, strict=True):
        if case.kind.startswith("peak"):
            peaks.setdefault(case.unit, []).extend(case.amount / middle(s)[0] / 1e9 for s in result["seconds"].values())
    rows = []
    for case, result in zip(CASES, results, strict=True):
        seconds = result["seconds"]
        ours, theirs = (middle(seconds[column.name])[0] for column in (MINIDL, TORCH))
        rates = [case.amount / time / 1e9 for time in (ours, theirs)]
        shape = " x ".join(map(str, case.shape))
        rows.append(
            [
                f"{case.kind}, {case.place}",
                shape,
                number(ours * 1e6),
                number(theirs * 1e6),
                f"{number(rates[0])} {case.unit}",
                f"{number(rates[1])} {case.unit}",
                f"{100 * rates[0] / max(peaks[case.unit]):.0f} %",
                _ratio(result, MINIDL.name) + ("  RESULTS DIFFER" if result["failure"] else ""),
            ]
        )
    headings = ["operation", "input", "minidl us", "torch us", "minidl", "torch", "minidl of peak", "ratio"]
    return table(headings, rows)


def header(machine: dict[str, Any], settings: dict[str, Any]) -> str:
    """Machine, versions, environment and settings, one a line."""
    lines = []
    for name, value in {**machine, **settings}.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
        lines.append(f"{name + ':':<21} {value}")
    return "\n".join(lines)
