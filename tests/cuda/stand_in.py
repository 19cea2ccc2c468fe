"""A stand-in for CuPy on machines without a GPU: strict where CuPy is, counting what crosses between host and device.

``install`` puts a module named cupy in CuPy's place whose arrays are NumPy arrays inside, so that minidl's real path
to the GPU runs: operations, launcher, kernels, products, optimizers, transfers, capture. What CuPy refuses is refused:
an array has no ``__array__``, NumPy arrays do not mix with it, results of reductions stay on the device, a value is not
read while a stream is captured. Every copy between the sides is counted.

Work given to a stream is done at once, but while the stream is captured it is also written on a tape. When the capture
ends, everything that was done is undone and all memory that was allocated meanwhile is poisoned, as on a real GPU
nothing would have happened yet; ``Graph.launch`` poisons that memory again and runs through the tape. What a replay
takes from an earlier run, other than through memory that existed before the capture, is then NaN.
"""

from __future__ import annotations

import contextlib
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from stand_in_memory import CUDARuntimeError, MemoryPool, OutOfMemoryError, capture_forbids, poison, root_of

__all__ = ["CUDARuntimeError", "Device", "Event", "Graph", "OutOfMemoryError", "StandIn", "Stream"]


class Device:
    """One of the devices; as a context the current one."""

    def __init__(self, id: int | None = None) -> None:
        self.id = StandIn.now.device if id is None else int(id)

    def __enter__(self) -> Device:
        self._before, StandIn.now.device = StandIn.now.device, self.id
        return self

    def __exit__(self, *error: object) -> None:
        StandIn.now.device = self._before

    def use(self) -> None:
        StandIn.now.device = self.id

    def synchronize(self) -> None:
        StandIn.now.synchronized("Device.synchronize")


class Event:
    """A moment of a stream; here of the clock."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        StandIn.now.synchronized("Event.synchronize")


class Graph:
    """A recorded tape, as ``Stream.end_capture`` gives it."""

    def __init__(self, tape: list[Callable[[], None]], allocated: list[np.ndarray]) -> None:
        self.tape, self.allocated = tape, allocated

    def launch(self, stream: Stream | None = None) -> None:
        for memory in self.allocated:
            poison(memory)
        for work in self.tape:
            work()
        StandIn.now.replays += 1

    def upload(self, stream: Stream | None = None) -> None: ...


class Stream:
    """A stream: an address, and a tape while it is captured."""

    count = 0

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        Stream.count += 1
        self.ptr = 0 if null else 4096 * Stream.count
        self.tape: list[Callable[[], None]] | None = None

    def __enter__(self) -> Stream:
        self._before, StandIn.now.stream = StandIn.now.stream, self
        return self

    def __exit__(self, *error: object) -> None:
        StandIn.now.stream = self._before

    def use(self) -> Stream:
        StandIn.now.stream = self
        return self

    def synchronize(self) -> None:
        StandIn.now.synchronized("Stream.synchronize")

    def wait_event(self, event: Any) -> None: ...

    def record(self, event: Any = None) -> Event:
        found = event or Event()
        found.record(self)
        return found

    def is_capturing(self) -> bool:
        return self.tape is not None

    def begin_capture(self, mode: int | None = None) -> None:
        self.tape = []
        self.undo: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # memory from before the capture, as it was
        self.allocated: dict[int, np.ndarray] = {}  # memory of the capture itself

    def end_capture(self) -> Graph:
        assert self.tape is not None
        graph = Graph(self.tape, list(self.allocated.values()))
        self.tape = None
        for memory, before in self.undo.values():
            memory[...] = before
        for memory in graph.allocated:
            poison(memory)
        return graph


class StandIn:
    """One stand-in device library: the module, its state and its counters. ``now`` is the one that is installed."""

    now: StandIn

    def __init__(self, devices: int = 1) -> None:
        self.devices, self.device = devices, 0
        self.stream = self.null = Stream(null=True)
        self.pool = self.default_pool = MemoryPool()
        self.to_device: list[int] = []  # bytes of every copy from the host
        self.to_host: list[int] = []
        self.synchronizations = self.replays = self.launches = 0
        self.module: Any = None  # the module named cupy (stand_in_module.py)

    # What arrays and streams tell it.

    def synchronized(self, what: str) -> None:
        """The host waits for the device."""
        if self.stream.is_capturing():
            raise capture_forbids(what)
        self.synchronizations += 1

    def allocated(self, array: np.ndarray) -> None:
        """An array has got memory of its own."""
        self.pool.malloc(array.nbytes)
        weakref.finalize(root_of(array), self.pool.free, array.nbytes).atexit = False
        if self.stream.tape is not None:
            self.stream.allocated[id(root_of(array))] = array

    def work(self, action: Callable[[], None], *written: np.ndarray) -> None:
        """Do what changes ``written`` and nothing else; on a capturing stream note it, to be done again."""
        stream = self.stream
        if stream.tape is not None:
            for memory in written:
                root = root_of(memory)
                own = any(np.may_share_memory(memory, room) for room in stream.allocated.values())
                if not own and id(root) not in stream.undo:
                    stream.undo[id(root)] = root, root.copy()
            stream.tape.append(action)
        action()

    @contextlib.contextmanager
    def counting(self) -> Iterator[types.SimpleNamespace]:
        """Counts copies, waits and replays inside the context."""
        found = types.SimpleNamespace()
        before = len(self.to_device), len(self.to_host), self.synchronizations, self.replays
        yield found
        found.to_device = self.to_device[before[0] :]
        found.to_host = self.to_host[before[1] :]
        found.synchronizations = self.synchronizations - before[2]
        found.replays = self.replays - before[3]
