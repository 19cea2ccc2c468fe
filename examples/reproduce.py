"""Run the documented experiments:  python examples/reproduce.py 001-lenet --data-dir FOLDER

Every row is one experiment of a lab report, on the whole of CIFAR-10 or MNIST. --list shows them all with the reported
figures and ours. Each finished row leaves a result (JSON), its weights and a picture in its folder under --out.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from command_line import CAPTURE_HELP, BadInput, Parser, choose_device, fail, integer, positive, prepare_process
from reporting import check_folder
from reports.catalogue import REPORTS, ROWS, UnknownRow, find, in_order, trained_by
from reports.figures import percent
from reports.images import load_images
from reports.pictures import draw_curves
from reports.place import PUBLISHED, Place, read_result
from reports.publish import publish
from reports.record import Row, Study
from reports.runner import Options, RowError, estimate_seconds, run_row

import minidl
from minidl.data import ImageData, is_available
from minidl.train import read_notes

NAME = "reproduce.py"


class Session:
    """The rows of one call, in order: what is to do, what is done, how long the rest takes."""

    def __init__(self, given: argparse.Namespace, rows: list[Row | Study]) -> None:
        self.given, self.out, self.rows = given, given.out, rows
        self.start = time.monotonic()
        self.finished: list[str] = []
        self.current: Place | None = None
        self.options = Options(
            device=choose_device(given.device),
            resume=given.resume,
            capture=given.capture,
            say=self.say,
            left=self._show_left,
            weights=given.weights,
        )
        self.data: dict[str, ImageData] = {}
        self.bar: Any = None
        self.position = ""  # of the row in the list
        self.later = 0.0  # seconds that the rows after this one will take

    def say(self, text: str) -> None:
        """Print a line, above the bars where there are any."""
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.write(text, file=sys.stdout)
            sys.stdout.flush()

    def place(self, row: Row | Study) -> Place:
        return Place(self.out, row.name, self.given.epochs if isinstance(row, Row) else None)

    def run(self) -> None:
        """Run every row that is not finished, in order."""
        todo = [row for row in self.rows if self._is_to_do(row)]
        self._check(todo)
        for row in todo:
            for name in _data_names(row):
                if name not in self.data:
                    self.data[name] = load_images(name, self.given.data_dir)
        seconds = self._estimates(todo)
        with self._list_bar(len(todo)) as self.bar:
            for number, row in enumerate(todo):
                rest = sum(seconds[other.name] for other in todo[number:])
                self.position, self.later = f"row {number + 1}/{len(todo)}", rest - seconds[row.name]
                self._show_left(seconds[row.name])
                if self._lacks_time(row, seconds[row.name]):
                    continue
                about = f", about {_duration(rest)} for it and the rest" if rest else ""
                self._run_one(row, f"{self.position}{about}")
                if self.bar is not None:
                    self.bar.update(1)
        self.bar = None

    def _show_left(self, seconds: float) -> None:
        """Write over the bar of the list how long this row and those after it will take."""
        if self.bar is not None:
            self.bar.set_description_str(f"{self.position}, about {_duration(seconds + self.later)} left")

    def _run_one(self, row: Row | Study, position: str) -> None:
        place = self.current = self.place(row)
        self.say(f"{row.name} | {row.title} | {position}")
        if isinstance(row, Row):
            result = run_row(row, self.data[row.images.name], place, self.options)
            draw_curves(place.picture(), row, result)
        else:
            place.folder.mkdir(parents=True, exist_ok=True)
            asked = {name: getattr(self.given, name) for name in row.options}
            result = {
                "row": row.name,
                "title": row.title,
                "figures": row.make(place, self.data, [find(name) for name in row.needs], **asked),
                "comparison": {"reported_text": row.reported.text},
            }
            place.write_result(result)
        self.finished.append(row.name)
        self.say(f"{row.name} | {_verdict(result)}")
        self.say(f"{row.name} | written: {place.result}")

    def _is_to_do(self, row: Row | Study) -> bool:
        """Whether the row is still to run. Raises BadInput for a half-finished one that could be lost."""
        place, asked = self.place(row), row.name in self.given.names
        if self.given.again and asked:
            return self._has_weights(row, place)
        if place.finished(row):
            if asked:
                self.say(f"{row.name} | is finished in {place.folder}; --again runs it anew")
            return False
        if place.checkpoint.exists() and not self.given.resume and not self.given.again:
            done = read_notes(place.checkpoint).get("epochs", 0)
            raise BadInput(
                f"{place.folder} holds {done} finished epochs of {row.name}: --resume goes on, --again starts anew."
            )
        return self._has_weights(row, place)

    def _has_weights(self, row: Row | Study, place: Place) -> bool:
        """Whether the weights are there that the user has to bring; raises BadInput for a row that was asked for."""
        if not isinstance(row, Row) or not row.pretrained or self.given.weights is not None:
            return True
        if self.given.resume and place.checkpoint.exists():
            return True
        needs = f"needs the user's {row.pretrained}: --weights FILE"
        if row.name in [trained_by(name).name for name in self.given.rows]:
            raise BadInput(f"{row.name} {needs} (a .pth goes through examples/convert_checkpoint.py first)")
        self.say(f"{row.name} | skipped: it {needs}")
        return False

    def _check(self, rows: list[Row | Study]) -> None:
        """What would stop a row is said before the first one starts."""
        for row in rows:
            for name in _data_names(row):
                if not is_available(name, self.given.data_dir):
                    raise BadInput(_missing(name, self.given.data_dir))
        for row in rows:
            check_folder(self.place(row).folder)

    def _estimates(self, rows: list[Row | Study]) -> dict[str, float]:
        """Seconds for each row; measured where a plan of time is asked for or several rows are to run."""
        seconds = {}
        if len(rows) > 1:
            self.say(f"measuring how long {len(rows)} rows will take, a few seconds each ...")
        for row in rows:
            if not isinstance(row, Row):
                seconds[row.name] = 10.0
            elif self.given.minutes is None and len(rows) == 1:
                seconds[row.name] = 0.0
            else:
                ready = all(self.out.joinpath(name, "weights.safetensors").exists() for name in row.needs)
                bare = row if ready else replace(row, starts_from="")
                seconds[row.name] = estimate_seconds(bare, self.data[row.images.name], self.place(row), self.options)
        return seconds

    def _lacks_time(self, row: Row | Study, seconds: float) -> bool:
        if self.given.minutes is None:
            return False
        left = 60 * self.given.minutes - (time.monotonic() - self.start)
        missing = [name for name in row.needs if not Place(self.out, name).weights.exists()]
        if missing:
            self.say(f"{row.name} | not started: it needs {', '.join(missing)}")
            return True
        if seconds <= left:
            return False
        self.say(f"{row.name} | not started: it needs about {_duration(seconds)}, {_duration(max(left, 0))} are left")
        return True

    def _list_bar(self, rows: int) -> Any:
        if not sys.stderr.isatty():
            return _NoBar()
        from tqdm import tqdm

        return tqdm(total=rows, bar_format="{desc} |{bar}| {elapsed}", dynamic_ncols=True)


class _NoBar:
    """In place of the bar over the list where there is no terminal."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _data_names(row: Row | Study) -> tuple[str, ...]:
    return (row.images.name,) if isinstance(row, Row) else row.images


def _missing(name: str, data_dir: str | None) -> str:
    where = data_dir or os.environ.get("MINIDL_DATA") or "./data"
    absent = "" if Path(where).is_dir() else " (there is no such folder)"
    return (
        f"no {name}.npz, nor the files that torchvision downloads, in {where}{absent}. Name the folder that holds it "
        f'with --data-dir, or fetch it into ./data: python -c "import minidl; minidl.data.{name}(download=True)"'
    )


def _verdict(result: dict[str, Any]) -> str:
    comparison = result.get("comparison", {})
    if "ours" in comparison:
        text = (
            f"{comparison['measure'].replace('_', ' ')}: ours {percent(comparison['ours'])}, reported "
            f"{percent(comparison['reported'])}, {100 * comparison['difference']:+.1f} points"
        )
        return text + ("" if comparison["agrees"] else " (more than allowed)")
    shown = {
        k: v for k, v in result["figures"].items() if k in ("test_accuracy", "train_accuracy", "mean", "std_of_images")
    }
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in (shown or result["figures"]).items())


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def show_list(out: Path) -> None:
    """Print every row with its network, epochs, the reported figure and ours so far."""
    print(f"{'row':<22} {'network':<45} {'epochs':>6}  {'reported':<28} ours")
    for report in REPORTS:
        print(f"\n{report.number}: {report.subject}")
        for row in report.rows:
            work = trained_by(row.name)
            result = read_result(Place(out, work.name).result) or read_result(PUBLISHED / f"{work.name}.json")
            network, epochs = (work.network.name, str(work.epochs)) if isinstance(work, Row) else ("", "")
            print(f"{row.name:<22} {network:<45} {epochs:>6}  {_reported(row):<28} {_ours(row, result)}".rstrip())


def _reported(row: Any) -> str:
    reported = row.reported
    if reported.value is None:
        return textwrap.shorten(reported.text, 28, placeholder=" ...")  # the whole stands in RESULTS.md
    return f"{percent(reported.value)} {_part(reported.measure)}"


def _ours(row: Any, result: dict[str, Any] | None) -> str:
    if result is None:
        return f"needs the user's {row.pretrained}" if isinstance(row, Row) and row.pretrained else ""
    figures = result["figures"]
    measure = row.reported.measure or "test_accuracy"
    return f"{percent(figures[measure])} {_part(measure)}" if measure in figures else "done"


def _part(measure: str) -> str:
    return measure.removesuffix("_accuracy").replace("_", " ")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, checked; ``names`` are the rows that were asked for."""
    parser = Parser(
        prog=NAME,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 done, 1 the disk failed, 2 bad input, 130 stopped by Ctrl-C",
    )
    add = parser.add_argument
    add("rows", nargs="*", metavar="ROW", help="names of rows, such as 001-lenet")
    add("--report", action="append", default=[], metavar="NUMBER", help="all rows of a report, such as 003")
    add("--all", action="store_true", help="all rows")
    add("--list", action="store_true", help="show all rows, the reported figures and ours so far")
    add("--minutes", type=positive, metavar="N", help="start no row that is not finished within N minutes from now")
    add("--epochs", type=integer(1), metavar="N", help="a trial of N epochs, kept apart from full results")
    add("--resume", action="store_true", help="go on after the last finished epoch of rows that were stopped")
    add("--again", action="store_true", help="run finished and half-finished rows anew")
    add("--device", default="auto", help="auto (a GPU if there is one), cpu, gpu or gpu:N (default: auto)")
    add("--data-dir", metavar="FOLDER", help="with cifar10.npz and mnist.npz (default: $MINIDL_DATA, else ./data)")
    add(
        "--out", type=Path, default=Path("runs/reports"), metavar="FOLDER", help="for all files (default: runs/reports)"
    )
    add("--weights", type=Path, metavar="FILE", help="your ImageNet weights for 004-resnet50, as finetune_resnet.py")
    add("--points", type=integer(50), default=5000, metavar="N", help="images in an embedding (default: 5000)")
    add("--publish", action="store_true", help="put the finished rows' results into the repository, and RESULTS.md")
    add("--capture", action="store_true", help=CAPTURE_HELP)
    given = parser.parse_args(arguments)
    if given.resume and given.again:
        raise BadInput("--resume and --again exclude one another (--help lists all options)")
    numbers = {report.number: report for report in REPORTS}
    names = [find(name).name for name in given.rows]
    for number in given.report:
        if number not in numbers:
            raise BadInput(f"there is no report {number!r}; there are {', '.join(numbers)}")
        names += [row.name for row in numbers[number].rows]
    given.names = list(ROWS) if given.all else list(dict.fromkeys(names))
    if not given.names and not given.list and not given.publish:
        raise BadInput("name rows, or give --report, --all, --list or --publish (--help lists all options)")
    if given.publish and given.epochs:
        raise BadInput("--publish: a trial of --epochs is no result (--help lists all options)")
    given.names = [trained_by(name).name for name in given.names]
    if given.weights is not None and not any(getattr(ROWS[name], "pretrained", "") for name in given.names):
        raise BadInput("--weights: none of these rows begins with weights of yours (--help lists all options)")
    return given


def main(arguments: list[str]) -> NoReturn:
    """Do what the command line asks, and leave with an exit status: no traceback for bad input."""
    prepare_process()
    session: Session | None = None
    try:
        given = parse(arguments)
        if given.list:
            show_list(given.out)
        else:
            session = Session(given, in_order(given.names))
            session.run()
            if given.publish:
                print(f"written: {publish(given.out)}")
    except (BadInput, UnknownRow, RowError, ImportError, minidl.ArgumentError, minidl.DeviceError) as error:
        fail(NAME, str(error), 2)
    except BrokenPipeError:  # whoever read the output has left, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(NAME, f"{error.filename or 'file'}: {error.strerror or error}.{_kept(session)}", 1)
    except KeyboardInterrupt:
        fail(NAME, f"stopped.{_kept(session)}", 130)
    sys.exit(0)


def _kept(session: Session | None) -> str:
    """What a stopped call leaves behind, for the last line."""
    if session is None or session.current is None:
        return " Nothing was written."
    done = f" Finished: {', '.join(session.finished)}." if session.finished else ""
    place = session.current
    if place.name in session.finished or not place.checkpoint.exists():
        return done or " No epoch was finished."
    epochs = read_notes(place.checkpoint).get("epochs", 0)
    return (
        f"{done} Of {place.name}, {epochs} epoch{' is' if epochs == 1 else 's are'} kept: --resume goes on from there."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
