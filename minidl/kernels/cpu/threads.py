"""Launching parallel kernels from several Python threads at once.

Numba's `omp` and `tbb` layers may be entered by two Python threads at a time, its `workqueue` layer may not (it ends
the process). Every wrapper around a kernel with ``parallel=True`` therefore writes::

    with parallel_region():
        _kernel(...)

which takes a lock where the layer is `workqueue` and costs a tenth of a microsecond elsewhere. Numba chooses its layer
at the first parallel launch; until that is known, the lock is taken.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numba

__all__ = ["parallel_region"]

_lock = threading.RLock()


class _Undecided:
    """The region while the threading layer is unknown: takes the lock, and looks after each launch."""

    def __enter__(self) -> None:
        _lock.acquire()

    def __exit__(self, *_: object) -> None:
        global _region
        try:
            _region = _lock if numba.threading_layer() == "workqueue" else nullcontext()
        except ValueError:  # nothing parallel was launched: still unknown
            pass
        finally:
            _lock.release()


_region: AbstractContextManager[Any] = _Undecided()


def parallel_region() -> AbstractContextManager[Any]:
    """Context in which a parallel kernel may be launched, whichever threading layer Numba has chosen."""
    return _region
