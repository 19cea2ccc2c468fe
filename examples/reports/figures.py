"""What stands in a result: best and final figures, and how they compare with the reported one."""

from __future__ import annotations

import math
from typing import Any

from reports.record import Reported

__all__ = ["compare", "percent", "summarize"]

# Ours may lie below the reported figure by this much, or by two standard errors of the difference, before it counts
# as another result.
TOLERANCE = 0.015


def summarize(epochs: list[dict[str, Any]], kept: int) -> dict[str, Any]:
    """The figures that the report's own can stand beside: those of the epoch whose weights are kept, and best ones.

    ``kept`` counts from 1. For a figure ``x`` of the epochs the summary holds ``x`` and, for accuracies, ``best_x``.
    """
    record = epochs[kept - 1]
    summary: dict[str, Any] = {"epoch": kept}
    for name, value in record.items():
        if name.endswith(("_loss", "_accuracy")):
            summary[name] = value
        if name.endswith("_accuracy"):
            summary[f"best_{name}"] = max(epoch[name] for epoch in epochs)
    return summary


def compare(reported: Reported, summary: dict[str, Any]) -> dict[str, Any]:
    """Ours beside the reported figure: ``reported``, ``ours``, ``difference`` (all fractions), ``allowed``, ``agrees``.

    Allowed below the report: the larger of 1.5 points and two standard errors of the difference between two runs on
    ``reported.images`` images each. Where the report says that nothing is learned: 1 point to either side.
    """
    if reported.value is None:
        return {"reported_text": reported.text} if reported.text else {}
    ours = summary[reported.measure]
    if reported.chance:
        allowed = 0.01
        agrees = abs(ours - reported.value) <= allowed
    else:
        variance = ours * (1 - ours) + reported.value * (1 - reported.value)
        allowed = max(TOLERANCE, 2 * math.sqrt(variance / reported.images))
        agrees = ours >= reported.value - allowed
    comparison: dict[str, Any] = {
        "measure": reported.measure,
        "reported": reported.value,
        "ours": round(ours, 5),
        "difference": round(ours - reported.value, 5),
        "allowed": round(allowed, 5),
        "agrees": agrees,
    }
    if reported.text:
        comparison["reported_text"] = reported.text
    return comparison


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction in per cent; a dash for none."""
    return "–" if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.{digits}f} %"
