"""The table at the end of a run: each operation with its cases and its worst relative errors against torch."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ORDERS", "Report"]

ORDERS = ("forward", "gradient", "second order")


@dataclass
class Report:
    """Collects errors while the tests run and draws the table."""

    cases: dict[str, set[str]] = field(default_factory=dict)
    worst: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, operation: str, case: str, order: str, error: float) -> None:
        """Note the error that one check of one case found."""
        self.cases.setdefault(operation, set()).add(case)
        self.worst[operation, order] = max(error, self.worst.get((operation, order), 0.0))

    def lines(self) -> list[str]:
        """The table, one row an operation, in the order of the tests."""
        if not self.cases:
            return []
        width = max(len("all"), *(len(name) for name in self.cases))
        head = f"{'operation':<{width}}  {'cases':>5}" + "".join(f"  {order:>12}" for order in ORDERS)
        rows = [self._row(name, len(cases), [name], width) for name, cases in self.cases.items()]
        total = self._row("all", sum(map(len, self.cases.values())), list(self.cases), width)
        return [head, *rows, "-" * len(head), total]

    def _row(self, label: str, cases: int, operations: list[str], width: int) -> str:
        row = f"{label:<{width}}  {cases:>5}"
        for order in ORDERS:
            errors = [self.worst[name, order] for name in operations if (name, order) in self.worst]
            row += f"  {max(errors):>12.1e}" if errors else f"  {'-':>12}"
        return row
