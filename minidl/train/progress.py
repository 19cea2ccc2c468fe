"""Progress on the screen: a bar with loss, accuracy, images a second and the time left, or plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from minidl.errors import ExtraError

if TYPE_CHECKING:
    from minidl.train.loop import RunningFigures

__all__ = ["Progress"]


class Progress:
    """The progress of one pass over ``total`` images, on standard error; ``label`` begins every line.

    On a terminal a bar (tqdm), refreshed five times a second; elsewhere, as in a log file, a line every 15 seconds.
    Where the first batch of the process takes more than two seconds, a notice says that Numba is compiling.
    Figures are read only when they are shown: on a GPU every reading waits for the device.
    """

    _compiled = False  # whether this process has finished a batch

    def __init__(self, label: str, total: int) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise ExtraError("Progress", "tqdm") from error
        self.label = label
        self._tqdm = tqdm
        self._total, self._done, self._waiting = total, 0, 0
        self._start = self._shown = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            # When to redraw is decided in update: tqdm is not to decide it a second time.
            self._bar = tqdm(
                total=total, desc=label, unit=" images", leave=False, dynamic_ncols=True, mininterval=0, miniters=1
            )
        self._notice: threading.Timer | None = None
        if not Progress._compiled:
            self._notice = threading.Timer(2.0, self._say_compiling)
            self._notice.daemon = True
            self._notice.start()

    def update(self, images: int, figures: RunningFigures) -> None:
        """Count the images of a batch; show ``figures``, if it is time to."""
        if self._notice is not None:
            self._notice.cancel()
            self._notice, Progress._compiled = None, True
            self._start = self._shown = time.monotonic() if self._bar is None else self._shown
        self._done += images
        self._waiting += images
        now = time.monotonic()
        if self._bar is not None:
            if now - self._shown >= 0.2:
                self._bar.set_postfix_str(_text(figures), refresh=False)
                self._bar.update(self._waiting)
                self._shown, self._waiting = now, 0
        elif now - self._shown >= 15:
            rate = self._done / (now - self._start)
            self._write(f"{100 * self._done / self._total:.0f} % | {_text(figures)} | {rate:,.0f} images/s")
            self._shown = now

    def close(self) -> None:
        """Take the bar away."""
        if self._notice is not None:
            self._notice.cancel()
        if self._bar is not None:
            self._bar.close()

    def _say_compiling(self) -> None:
        self._write("Numba compiles the kernels now; this happens once, later runs find them in its cache ...")

    def _write(self, text: str) -> None:
        self._tqdm.write(f"{self.label} | {text}", file=sys.stderr)


def _text(figures: RunningFigures) -> str:
    return f"loss {figures.loss:.4f}, accuracy {100 * figures.accuracy:.1f} %"
