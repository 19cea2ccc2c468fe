"""minidl against PyTorch on one GPU:  python -m benchmarks.gpu --out DIR [PART ...]

Parts, in their order of worth, each of at most eight minutes: `tests` (the tests that need a GPU), `steps` (training
steps of W1 to W6: minidl eager and captured, PyTorch eager), `epochs` (examples/cifar_cnn.py, eager and captured, until
80 % of the test images are right), `costs` (of a launch, of a node of a graph, of every kernel against its floors),
`compile` (the steps again, with torch.compile). Without a name all of them. Needs a GPU, CuPy and torch with CUDA;
nothing is installed.

DIR/gpu.json and DIR/gpu.txt are written anew after every part. Exit status: 0 done, 1 a part failed, 2 no GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, report

PARTS = ("tests", "steps", "epochs", "costs", "compile")
SECONDS = 480  # the most that a part may take
ROOT = Path(__file__).parents[1]
WANTED = 0.8  # test accuracy of the example


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that the command line asks for; 2 where there is no GPU to run them on."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for gpu.json, gpu.txt and logs")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"the most for a part (default: {SECONDS})")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # run one part in this process
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    problem = missing()
    if problem:
        print(f"benchmarks.gpu: {problem}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    if options.here:
        (part,) = options.parts
        return run_part(part, options.out)
    outcome: dict[str, Any] = {"machine": machine.describe_gpu(), "parts": {}}
    print(report.header(outcome["machine"], {}), flush=True)
    for part in options.parts or PARTS:
        outcome["parts"][part] = _in_a_process(part, options.out, options.seconds)
        text = _text(outcome)
        (options.out / "gpu.json").write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
        (options.out / "gpu.txt").write_text(text, encoding="utf-8")
        print(f"\n{outcome['parts'][part]['text']}", flush=True)
    return 1 if any(found["failure"] for found in outcome["parts"].values()) else 0


def missing() -> str:
    """Why the benchmark cannot run here, in one sentence; empty where it can."""
    import minidl

    try:
        minidl.gpu.require(0)
    except minidl.DeviceError as error:
        return str(error)
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed, and there is nothing to compare with; install torch with CUDA."
    import torch

    return "" if torch.cuda.is_available() else f"this PyTorch ({torch.__version__}) sees no GPU; install one for CUDA."


def _in_a_process(part: str, out: Path, seconds: int) -> dict[str, Any]:
    """A part's findings, from a fresh process: what one part leaves behind or breaks does not touch the next."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.gpu", part, "--here", "--out", str(out)]
    target = out / f"{part}.json"
    target.unlink(missing_ok=True)
    failure = None
    try:
        status = subprocess.run(command, cwd=ROOT, timeout=seconds, check=False).returncode
        if status:
            failure = f"exit status {status}"
    except subprocess.TimeoutExpired:
        failure = f"not finished after {seconds} s"
    found: dict[str, Any] = {"text": "", "failure": None}
    if target.is_file():  # a part that is stopped leaves what it has measured so far
        found.update(json.loads(target.read_text(encoding="utf-8")))
        target.unlink()
    found["failure"] = found["failure"] or failure
    if failure:
        found["text"] += f"\n{part}: {failure}"
    found["seconds"] = round(time.perf_counter() - start, 1)
    return found


def run_part(part: str, out: Path) -> int:
    """One part, in this process; it writes what it finds into its file as it goes."""

    def write(found: dict[str, Any]) -> None:
        (out / f"{part}.json").write_text(json.dumps(found), encoding="utf-8")

    if part == "tests":
        write(_tests(out))
    elif part == "epochs":
        write(_epochs(out))
    elif part == "costs":
        from benchmarks import gpu_costs

        gpu_costs.measure(write)
    else:
        from benchmarks import gpu_steps

        gpu_steps.measure(write, compiled=part == "compile")
    return 0


def _tests(out: Path) -> dict[str, Any]:
    """The tests that need a GPU; their whole output goes into a file."""
    log = out / "tests.log"
    command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider"]
    with log.open("w", encoding="utf-8") as file:
        status = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    lines = log.read_text(encoding="utf-8").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    text = "\n".join(["tests that need a GPU", "", *failed[:40], lines[-1] if lines else "no output"])
    return {"text": text, "failure": f"pytest: exit status {status}" if status else None, "failed": failed}


def _epochs(out: Path) -> dict[str, Any]:
    """The example on CIFAR-10 (without it on shapes, which is said), eager and captured, and after how many seconds
    80 % were right."""
    runs = [_example(out / "cifar_cnn"), _example(out / "cifar_cnn_captured", "--capture")]
    failures = [run["failure"] for run in runs if run["failure"]]
    text = "\n\n".join(run.pop("text") for run in runs)
    return {"text": text, "failure": failures[0] if failures else None, "runs": runs}


def _example(folder: Path, *more: str) -> dict[str, Any]:
    """One run of the example."""
    shown = " ".join(["examples/cifar_cnn.py --device gpu", *more])
    command = [sys.executable, *shown.split(), "--epochs", "12", "--out", str(folder)]
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        return {"text": f"{shown}\n\n{done.stderr.strip()}", "failure": f"{shown} failed"}
    (history,) = folder.glob("history-*.json")
    epochs = json.loads(history.read_text(encoding="utf-8"))["epochs"]
    rows, total, reached = [], 0.0, None
    for number, epoch in enumerate(epochs, 1):
        total += epoch["seconds"]
        if reached is None and epoch["test_accuracy"] >= WANTED:
            reached = total
        rows.append([str(number), f"{epoch['seconds']:.2f}", f"{total:.1f}", f"{100 * epoch['test_accuracy']:.1f} %"])
    name = history.stem.removeprefix("history-")
    found = f"{100 * WANTED:.0f} % " + (f"after {reached:.1f} s of training" if reached else "not reached")
    title = f"{shown} on {name}: {found}; {seconds:.1f} s with everything"
    text = "\n".join([title, "", report.table(["epoch", "seconds", "in all", "test accuracy"], rows)])
    return {
        "text": text, "failure": None, "command": shown, "data": name, "seconds to 80 %": reached, "epochs": epochs
    }  # fmt: skip


def _text(outcome: dict[str, Any]) -> str:
    parts = [found["text"] for found in outcome["parts"].values()]
    return "\n\n".join([report.header(outcome["machine"], {}), *parts]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
