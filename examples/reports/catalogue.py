"""All reports and their rows, found by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from reports import (
    average_pooling,
    batches_and_learning_rates,
    digits_and_jitter,
    dropout_and_tuning,
    fast_training,
    optimizers_and_activations,
)
from reports.record import Alias, Report, Row, Study

__all__ = ["REPORTS", "ROWS", "UnknownRow", "find", "in_order", "trained_by"]

REPORTS: tuple[Report, ...] = (
    dropout_and_tuning.REPORT,
    batches_and_learning_rates.REPORT,
    optimizers_and_activations.REPORT,
    average_pooling.REPORT,
    digits_and_jitter.REPORT,
    fast_training.REPORT,
)
ROWS: dict[str, Row | Alias | Study] = {row.name: row for report in REPORTS for row in report.rows}


class UnknownRow(Exception):
    """A name that no row has; the text suggests the nearest ones."""


def find(name: str) -> Row | Alias | Study:
    """The row of that name. Raises UnknownRow with the names that are most like it."""
    if name in ROWS:
        return ROWS[name]
    near = difflib.get_close_matches(name.lower(), ROWS, n=3, cutoff=0.5)
    near = near or [row for row in ROWS if row.startswith(name[:3])][:3]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    raise UnknownRow(f"there is no row {name!r}; {meant}(--list shows all)")


def trained_by(name: str) -> Row | Study:
    """The row that does the work for ``name``: of an alias, the one that it stands for."""
    row = ROWS[name]
    if not isinstance(row, Alias):
        return row
    work = ROWS[row.same_as]
    assert not isinstance(work, Alias), f"{name} stands for another alias"
    return work


def in_order(names: Iterable[str]) -> list[Row | Study]:
    """The rows that do the work for ``names``, each once, every row after those whose weights it needs."""
    ordered: dict[str, Row | Study] = {}

    def add(name: str) -> None:
        row = trained_by(name)
        for needed in row.needs:
            add(needed)
        ordered.setdefault(row.name, row)

    for name in names:
        add(name)
    return list(ordered.values())
