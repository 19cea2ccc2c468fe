"""Results into the repository: the JSON of every finished row, its pictures, and RESULTS.md, written from these."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from minidl.train.files import write_file
from reports.catalogue import REPORTS, ROWS, trained_by
from reports.figures import compare, percent
from reports.pictures import draw_comparison, draw_curves
from reports.place import PUBLISHED, Place, read_result
from reports.record import Alias, Report, Row, Study, describe

__all__ = ["publish", "results_page"]


def publish(out: Path, folder: Path = PUBLISHED) -> Path:
    """Copy the results of the rows that are finished under ``out`` into ``folder``, draw their pictures there, and
    write RESULTS.md beside it; returns that page. A published row of another setting than its record's is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in ROWS.values():
        if isinstance(row, Alias):
            continue
        place = Place(out, row.name)
        if place.finished(row):
            shutil.copyfile(place.result, folder / place.result.name)
            if isinstance(row, Study):
                for name in row.pictures:
                    shutil.copyfile(place.picture(name), folder / f"{name}.png")
        result = _published(row, folder)
        if isinstance(row, Row) and result is not None:
            draw_curves(folder / f"{row.name}.png", row, result)
    for report in REPORTS:
        results = {row.name: result for row in report.rows if (result := _published(row, folder)) is not None}
        for name in report.comparisons:
            draw_comparison(folder / f"{name}.png", report, name, results)
    page = folder.parent / "RESULTS.md"
    write_file(page, results_page(folder).encode())
    return page


def results_page(folder: Path = PUBLISHED) -> str:
    """RESULTS.md: every row with the reported figure beside ours, from the result files in ``folder``."""
    done = {row.name: result for row in ROWS.values() if (result := _published(row, folder)) is not None}
    compared = [_compared(ROWS[name], result) for name, result in done.items()]
    judged = [comparison for comparison in compared if "agrees" in comparison]
    lines = [
        "# The lab reports, reproduced",
        "",
        "Written by `python examples/reproduce.py --publish` from the files in `results/`; the settings are the",
        "records beside this page. Every row is a full run on the whole of CIFAR-10 or MNIST.",
        "`python examples/reproduce.py ROW --data-dir FOLDER` runs a row again; `python -m benchmarks.reports ROW`",
        "trains it in minidl and in PyTorch side by side, from the same weights on the same batches.",
        "",
        f"{len(done)} of {len(ROWS)} rows are run. {len(judged)} of them have a reported figure to stand beside; "
        f"{sum(comparison['agrees'] for comparison in judged)} of these are at least the reported figure less what is "
        "allowed: 1.5 points, or two standard errors of the difference where that is more (where the report says that "
        "nothing is learned: one point to either side).",
        "",
        "Accuracies are of the test images unless another part is named. Minutes are wall time, on machines that had "
        "other work to do as well. A row's name leads to its curves.",
    ]
    for report in REPORTS:
        lines += ["", f"## {report.number}: {report.subject}", "", *_table(report, done, folder)]
        lines += _remarks(report, done)
        for name in [*report.comparisons, *(p for row in report.rows if isinstance(row, Study) for p in row.pictures)]:
            if (folder / f"{name}.png").exists():
                lines += ["", f"![{_title(report, name)}]({_link(folder, f'{name}.png')})"]
    return "\n".join(lines) + "\n"


def _table(report: Report, done: dict[str, Any], folder: Path) -> list[str]:
    head = "row | what | reported | ours | points | parameters | epochs | minutes | device | seed"
    lines = [f"| {head} |", f"| {' | '.join(['---'] * 4 + ['---:'] * 4 + ['---'] * 2)} |"]
    for row in report.rows:
        work, result = trained_by(row.name), done.get(row.name)
        name = row.name
        if result is not None and (folder / f"{work.name}.png").exists():
            name = f"[{row.name}]({_link(folder, f'{work.name}.png')})"
        cells = [name, row.title, _reported(row), _ours(row, result), _points(row, result)]
        if isinstance(work, Row):
            cells.append(f"{work.network.parameters:,}")
            if result is None:
                cells += [str(work.epochs), "", "", str(work.seed)]
            else:
                minutes = f"{result['seconds'] / 60:.0f}" if result["seconds"] > 90 else f"{result['seconds'] / 60:.1f}"
                cells += [_epochs(work, result), minutes, result["device"], str(work.seed)]
        else:
            cells += [""] * 5
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _epochs(row: Row, result: dict[str, Any]) -> str:
    trained = len(result["epochs"])
    return f"{trained}, best {result['figures']['epoch']}" if row.patience else str(trained)


def _reported(row: Any) -> str:
    reported = row.reported
    if reported.value is None:
        return reported.text
    text = f"{percent(reported.value, 2 if reported.value * 1000 % 1 > 1e-6 else 1)}{_part(reported.measure)}"
    return f"{text} ({reported.text})" if reported.text else text


def _ours(row: Any, result: dict[str, Any] | None) -> str:
    if result is None:
        pretrained = row.pretrained if isinstance(row, Row) else ""
        return f"needs the user's {pretrained}" if pretrained else "not run yet"
    figures, measure = result["figures"], row.reported.measure or "test_accuracy"
    if measure in figures:
        text = f"{percent(figures[measure], 2)}{_part(measure)}"
        plain = figures.get(measure.replace("_accuracy", "_plain_accuracy"))
        return text if plain is None else f"{text} (images as they are: {percent(plain, 2)})"
    if "mean" in figures:
        means, deviations = (" ".join(f"{value:.4f}" for value in figures[key]) for key in ("mean", "std_of_images"))
        return f"means {means}, per-image standard deviations {deviations}"
    if "macro avg" in figures:
        average = figures["macro avg"]
        return (
            f"accuracy {figures['accuracy']:.2f}, macro precision {average['precision']:.2f}, "
            f"recall {average['recall']:.2f}, F1 {average['f1-score']:.2f}"
        )
    if "right" in figures:
        return f"{figures['right']} of {figures['shown']} right"
    return "below"


def _points(row: Any, result: dict[str, Any] | None) -> str:
    comparison = {} if result is None else _compared(row, result)
    if "difference" not in comparison:
        return ""
    text = f"{100 * comparison['difference']:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")
    return text if comparison["agrees"] else f"**{text}**"


def _part(measure: str) -> str:
    part = measure.removesuffix("_accuracy")
    return {"test": "", "best_test": ", best epoch", "all_test": ""}.get(part, f", {part.replace('train', 'training')}")


def _remarks(report: Report, done: dict[str, Any]) -> list[str]:
    """What was assumed and where ours differs, a line for each row that has something to say."""
    assumed: dict[str, list[str]] = {}
    comments = []
    for row in report.rows:
        for text in row.assumed if isinstance(row, Row) else ():
            assumed.setdefault(text, []).append(row.name)
        if isinstance(row, Alias):
            comments.append(f"- {row.name}: the same run as {row.same_as}.{' ' if row.comment else ''}{row.comment}")
        elif row.comment and row.name in done:
            comments.append(f"- {row.name}: {row.comment}")
    lines = []
    if assumed:
        lines += ["", "Assumed, where the report leaves it out:", ""]
        trained = [row.name for row in report.rows if isinstance(row, Row)]
        for text, names in assumed.items():
            lines.append(f"- {text} ({'all rows' if names == trained else ', '.join(names)})")
    if comments:
        lines += ["", "Remarks:", "", *comments]
    return lines


def _title(report: Report, name: str) -> str:
    if name in report.comparisons:
        return report.comparisons[name][0]
    return next(row.title for row in report.rows if isinstance(row, Study) and name in row.pictures)


def _published(row: Any, folder: Path) -> dict[str, Any] | None:
    """The published result of a row, an alias included; None where it is of another setting than the record."""
    work = trained_by(row.name)
    result = read_result(folder / f"{work.name}.json")
    if result is None or (isinstance(work, Row) and result["setting"] != describe(work)):
        return None
    return result


def _compared(row: Any, result: dict[str, Any]) -> dict[str, Any]:
    """The comparison of the row's own reported figure: that of an alias may differ from that of its run."""
    return {} if isinstance(row, Study) else compare(row.reported, result["figures"])


def _link(folder: Path, name: str) -> str:
    return f"{os.path.basename(folder)}/{name}"
