"""What a program may choose for its process: memory that is kept for the next arrays."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
import minidl

if sys.argv[1] == "keep":
    assert minidl.keep_freed_memory() is True

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in (10_000_000, 11_000_000, 12_000_000):  # 40 to 48 MB: more than glibc keeps by itself
        np.ones(size, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages()
print(pages())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_kept_when_asked_for() -> None:
    def faults(what: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < 10 < faults("leave")
