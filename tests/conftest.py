"""What all tests share: torch's threads, torchvision's missing operators, the table of gradients, no skips in CI."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Two thread pools, torch's and Numba's, take turns in these tests: on a busy machine threads that wait by spinning
# would hold up the ones that work. Read when the first of them is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch
from gradients.report import Report

# The torchvision wheel for this torch has no CPU operators; its import asks for the schemas of two of them.
try:
    torch.ops.torchvision.nms  # noqa: B018
except AttributeError:
    TORCHVISION_SCHEMAS = torch.library.Library("torchvision", "DEF")
    TORCHVISION_SCHEMAS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    TORCHVISION_SCHEMAS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

torch.set_num_threads(1)  # small arrays: more threads only get into each other's way

REPORT = pytest.StashKey[Report]()
FORBIDDEN_SKIPS = pytest.StashKey[list[str]]()
COMPILER = pytest.StashKey["subprocess.Popen[bytes] | None"]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report()
    config.stash[FORBIDDEN_SKIPS] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take the items out of the cycle collector's sight; for a whole run, let the second core compile kernels."""
    # Twenty thousand items and torch's modules live to the end: each full collection walked all of them in vain.
    gc.collect()
    gc.freeze()
    whole = len(session.items) > 3000 and not session.config.option.collectonly
    script = Path(__file__).with_name("compile_kernels.py")
    # It says that it compiles, in the middle of the tests' dots.
    quiet = subprocess.DEVNULL
    session.config.stash[COMPILER] = subprocess.Popen([sys.executable, str(script)], stderr=quiet) if whole else None


def pytest_unconfigure(config: pytest.Config) -> None:
    compiler = config.stash.get(COMPILER, None)
    if compiler is not None:
        compiler.terminate()
        compiler.wait()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Where the checks of tests/gradients note their errors."""
    return request.config.stash[REPORT]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    result = yield
    if result.skipped and not hasattr(result, "wasxfail") and item.get_closest_marker("gpu") is None:
        item.config.stash[FORBIDDEN_SKIPS].append(item.nodeid)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A file that skips itself while it is read skips all its tests."""
    result = yield
    if result.skipped:
        collector.config.stash[FORBIDDEN_SKIPS].append(collector.nodeid)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where the environment says CI, a skipped test is a failed run, unless it needs a GPU."""
    if os.environ.get("CI") and session.config.stash[FORBIDDEN_SKIPS]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[REPORT].lines()
    if lines:
        terminalreporter.section("worst relative error against torch, float64")
        for line in lines:
            terminalreporter.write_line(line)
    if os.environ.get("CI"):
        for name in config.stash[FORBIDDEN_SKIPS]:
            terminalreporter.write_line(f"skipped without the marker gpu: {name}", red=True)
