"""Records small enough for tests, beside those of the reports; as a program: killed again and again, then finished.

    python small_rows.py KILLS DATA_DIR OUT

runs the row "small" in children that are killed with SIGKILL at random moments, each going on where the one before was
stopped, and a last one that is left alone. Children are forked from a process that has imported everything and run
nothing, which is much quicker than starting Python every time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import reproduce
from reports import catalogue
from reports.record import Alias, Images, Network, Optimizer, Reported, Row

from minidl.data import Augmentation
from minidl.models import TwoConvNet

IMAGES = Images("mnist", validation=20)
TINY = Network("tiny", partial(TwoConvNet, (1, 28, 28), (2, 2), (8,)), 3_292)
SMALL = Row(
    "small",
    "dropout, augmentation and a state in the optimizer",
    IMAGES,
    TINY,
    Optimizer("Adam", 0.003),
    epochs=100,
    batch_size=16,
    reported=Reported("test_accuracy", 0.1),
    augmentation=Augmentation(crop_padding=2, flip=0.5),
    figures_every=2,
)


def add_rows(*rows: Row | Alias) -> dict[str, Any]:
    """Put rows into the catalogue; returns it."""
    catalogue.ROWS.update({row.name: row for row in rows})
    return catalogue.ROWS


def _main(kills: int, data_dir: str, out: str) -> None:
    add_rows(SMALL)
    arguments = ["small", "--resume", "--device", "cpu", "--data-dir", data_dir, "--out", out]
    moments = random.Random(0)
    for number in range(kills + 1):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 1)
            reproduce.main(arguments)
        os.close(write)
        with os.fdopen(read) as output:
            if number < kills:
                if number % 4:  # wait for the first epoch of this child; else it is killed before or in that one
                    next((line for line in output if "| epoch" in line), None)
                    time.sleep(moments.uniform(0.0, 0.03))
                else:
                    time.sleep(moments.uniform(0.0, 0.6))
                os.kill(child, signal.SIGKILL)
            text = output.read()
        _, status = os.waitpid(child, 0)
    print(text)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
