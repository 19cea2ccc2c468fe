"""Random numbers: per-thread generators, counter-based streams for kernels, NumPy on the host for weights and order."""

from __future__ import annotations

import secrets
import threading
from typing import Any, NamedTuple

import numpy as np

from minidl.backend import graph
from minidl.errors import ArgumentError

__all__ = ["AUGMENTATION", "DROPOUT", "Generator", "Stream", "default_generator", "manual_seed"]

# The last word of a Philox counter says what the numbers are for, so that two uses of one step never share bits.
DROPOUT, AUGMENTATION = 1, 2


class _Words(NamedTuple):
    seed: int
    step: int
    site: int


class Stream(_Words):
    """The key and counter of one draw: Philox4x32-10 with key = seed and counter = (element // 4, step, site).

    ``source`` is the generator that it came from, so that a recorded step can draw anew.
    """

    source: Generator | None = None


class Generator:
    """A source of random numbers whose whole state is a seed, a step and NumPy's host state.

    ``stream(site)`` hands out the next counter for a kernel (dropout, augmentation); ``host`` is a
    ``numpy.random.Generator`` for initial weights and permutations. Same seed, same calls: same bits.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(secrets.randbits(63) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Restart from ``seed`` (an integer in [-2**63, 2**64)); returns itself, as torch does."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not -(2**63) <= seed < 2**64:
            raise ArgumentError("manual_seed", expected="an integer in [-2**63, 2**64)", got=repr(seed))
        self.seed = int(seed) % 2**64
        self.step = 0
        self.host = np.random.Generator(np.random.PCG64(self.seed))
        return self

    def initial_seed(self) -> int:
        """The seed that the generator was last restarted from."""
        return self.seed

    def stream(self, site: int) -> Stream:
        """The next stream of counter-based numbers for ``site``; every call advances the step by one."""
        stream = Stream(self.seed, self.step, site)
        stream.source = self
        self.step += 1
        recording = graph.recording()
        return stream if recording is None else _live(stream, recording)

    def get_state(self) -> dict[str, Any]:
        """The whole state as plain numbers and strings, ready for JSON."""
        return {"seed": self.seed, "step": self.step, "host": self.host.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that ``get_state`` gave."""
        missing = {"seed", "step", "host"} - set(state)
        if missing:
            raise ArgumentError("Generator.set_state", expected="the keys seed, step and host", got=str(sorted(state)))
        step = state["step"]
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise ArgumentError("Generator.set_state", expected="step as an integer of at least 0", got=repr(step)[:80])
        self.manual_seed(state["seed"])
        self.step = step
        self.host.bit_generator.state = state["host"]


def _live(first: Stream, recording: graph.Recording) -> Stream:
    """A stream inside a CUDA graph: its step is an array on the GPU, (1,) uint64, drawn anew before every replay."""
    source, step = first.source, [first.step]
    assert source is not None

    def draw() -> None:
        step[0] = source.stream(first.site).step

    recording.actions.append(draw)
    graph.condition(lambda: source.seed == first.seed)
    _, place = graph.numbers(lambda now: (now,), graph.Live(lambda: step[0]), dtype=np.uint64)
    stream = Stream(first.seed, place, first.site)
    stream.source = source
    return stream


_thread = threading.local()


def default_generator() -> Generator:
    """This thread's generator; each thread has its own, so that threads that train side by side do not disturb."""
    try:
        return _thread.generator
    except AttributeError:
        _thread.generator = Generator()
        return _thread.generator


def manual_seed(seed: int) -> Generator:
    """Seed everything random in this thread: initial weights, permutations, dropout and augmentation."""
    return default_generator().manual_seed(seed)
