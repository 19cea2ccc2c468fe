"""Numba's cache on disk, with an eye on all the files that a kernel is made from.

Numba compiles functions of other files, and the constants imported from them, into a kernel, but looks only at the
kernel's own file when it asks whether the cached code is still good. Here the question covers every file of
``minidl.kernels`` that the kernel's file imports, directly or through others. Nothing of Numba's own is changed: each
kernel gets a cache object that differs from Numba's in this stamp alone.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

__all__ = ["njit"]

_KERNELS = Path(__file__).parent.parent
_IMPORT = re.compile(r"^from minidl\.kernels\.([\w.]+) import (\(.*?\)|.*?$)", re.MULTILINE | re.DOTALL)


@functools.cache
def _files(path: Path) -> frozenset[Path]:
    """The file itself and those of ``minidl.kernels`` that it imports, directly or through others."""
    found = {path}
    for module, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
        place = _KERNELS.joinpath(*module.split("."))
        modules = [place / name for name in re.findall(r"\w+", names)] if place.is_dir() else [place]
        for file in (module.with_suffix(".py") for module in modules):
            found |= _files(file) if file.is_file() else set()
    return frozenset(found)


@functools.cache
def _digest(path: Path) -> bytes:
    """A hash of all these files."""
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in sorted(_files(path)))).digest()


class _Compiled(caching.CompileResultCacheImpl):
    def __init__(self, function: Any) -> None:
        super().__init__(function)
        stamp = self.locator.get_source_stamp()
        digest = _digest(Path(function.__code__.co_filename))
        self.locator.get_source_stamp = lambda: (stamp, digest)


class _Cache(caching.FunctionCache):
    _impl_class = _Compiled


def njit(**options: Any) -> Callable[[Any], Any]:
    """``numba.njit(**options)`` for kernels; with ``cache=True`` they are kept on disk."""
    cache = options.pop("cache", False)
    compile = numba.njit(**options)

    def decorate(function: Any) -> Any:
        kernel = compile(function)
        if cache and Path(function.__code__.co_filename).is_file() and hasattr(kernel, "_cache"):
            kernel._cache = _Cache(function)
        elif cache and kernel is not function:  # in an archive, or in a Numba that keeps its cache elsewhere
            kernel.enable_caching()
        return kernel

    return decorate
