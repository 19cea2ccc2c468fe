"""One line on standard error when kernels are compiled, so that a slow first step explains itself."""

from __future__ import annotations

import sys
from typing import Any

from numba.core import event

__all__ = ["announce_compilation"]


class _Notice(event.Listener):
    """Speaks at the first compilation of a kernel in this process; what comes from the cache on disk is none."""

    said = False

    def on_start(self, event: Any) -> None:
        function = getattr(event.data.get("dispatcher"), "py_func", None)
        if self.said or not getattr(function, "__module__", "").startswith("minidl."):
            return
        self.said = True
        print(
            "minidl: compiling kernels for this processor, some 20 seconds for a small network; once, they are kept.",
            file=sys.stderr,
        )

    def on_end(self, event: Any) -> None:
        pass


def announce_compilation() -> None:
    """Listen to Numba from now on."""
    event.register("numba:compile", _Notice())
