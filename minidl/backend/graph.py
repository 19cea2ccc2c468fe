"""CUDA graphs: what a step asks of the GPU, recorded once and from then on asked for with a single call.

A ``Recording`` has a stream, a memory pool, a cuBLAS workspace and a table of numbers of its own, which live as long as
it does: the recorded kernels go on using their addresses. The step is first run a few times as it is (``warm``), so
that kernels are compiled, libraries loaded and buffers made; then it runs once more while the stream is captured
(``record``): nothing happens on the GPU, but every launch is noted. ``replay`` launches all of it.

Recorded launches have their arguments by value. What changes from step to step (learning rates, counters, the places
in random streams) must therefore reach a kernel through memory: such a number is a ``Live`` one, and ``numbers`` gives
it a place in the table, which is filled and sent to the device before every replay, if anything in it has changed.

The functions ``live``, ``numbers``, ``each_step`` and ``condition`` are how the code of a step takes part; outside a
recording they cost next to nothing and do the plain thing. Source: torch.cuda.graphs; the CUDA programming guide.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from minidl.backend import cublas, gpu
from minidl.errors import GraphError

__all__ = ["Live", "Recording", "condition", "each_step", "live", "numbers", "recording"]

TABLE_BYTES = 2**16  # the driver copies this much from pageable memory without waiting for the device
ALIGNMENT = 16
_HOST_TO_DEVICE = 1  # cudaMemcpyHostToDevice


class Live:
    """A number that is read anew at every replay. It has no arithmetic: used as a plain number it would be frozen."""

    __slots__ = ("read",)

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read

    def __repr__(self) -> str:
        return f"<a live number, now {self.read()}>"


class _Slot(NamedTuple):
    """Numbers in the table: how they are computed, from what, and where they stand on the host."""

    compute: Callable[..., Any]
    inputs: tuple[Any, ...]
    host: np.ndarray

    def fill(self) -> None:
        self.host[...] = self.compute(*[x.read() if type(x) is Live else x for x in self.inputs])


class _State(threading.local):
    """The recording that captures this thread's step at the moment."""

    active: Recording | None = None


_state = _State()


def recording() -> Recording | None:
    """The recording that captures this thread's step at the moment, or None."""
    return _state.active


def live(read: Callable[[], float]) -> Any:
    """``read()``; while a step is recorded a ``Live`` number, for ``numbers`` to take."""
    return read() if _state.active is None else Live(read)


def numbers(compute: Callable[..., Any], *inputs: Any, dtype: Any = np.float64) -> tuple[Any, Any]:
    """What a kernel wants to know: ``compute(*inputs)`` as numbers, and None; or beside them the array to read instead.

    Where an input is ``Live``, the second result is a device array of these numbers in ``dtype``, up to date at every
    replay: the kernel takes it as an OPTIONAL array and reads from it where it is not null.
    """
    values = compute(*[x.read() if type(x) is Live else x for x in inputs])
    if not any(type(x) is Live for x in inputs):
        return values, None
    active = _state.active
    if active is None:
        raise GraphError("capture", expected="live numbers inside the recording that made them", got="one outside")
    return values, active.place(compute, inputs, len(values), np.dtype(dtype))


def each_step(action: Callable[[], object]) -> None:
    """Do ``action`` on the host now, and again before every replay of the step that is being recorded."""
    action()
    if _state.active is not None:
        _state.active.actions.append(action)


def condition(holds: Callable[[], bool]) -> None:
    """Note what has to hold for a recording to fit: where it no longer does, the step is recorded anew."""
    if _state.active is not None:
        _state.active.conditions.append(holds)


class Recording:
    """A step's work on the GPU, ready to be launched. Made on the current device; all of its memory stays its own."""

    def __init__(self) -> None:
        cupy = gpu.cupy()
        self._cuda = cupy.cuda
        self._pool = self._cuda.MemoryPool()
        gpu.register_pool(self._pool)
        self._stream = self._cuda.Stream(non_blocking=True)
        self._segments: list[Callable[[], None]] = []
        self.actions: list[Callable[[], object]] = []
        self.conditions: list[Callable[[], bool]] = []
        self._slots: list[_Slot] = []
        self._host, self._used, self._sent = np.zeros(TABLE_BYTES, np.uint8), 0, b""
        self._workspace: Any = None
        with self._here():
            self._table = cupy.zeros(TABLE_BYTES, np.uint8)

    @contextmanager
    def _here(self) -> Iterator[None]:
        """Inside, work goes to the private stream and memory comes from the private pool.

        What the stream outside was asked for before is done before, and what it is asked for later after.
        """
        outside = self._cuda.get_current_stream()
        self._stream.wait_event(outside.record())
        try:
            with self._stream, self._cuda.using_allocator(self._pool.malloc):
                yield
        finally:
            outside.wait_event(self._stream.record())

    # --- Making it --------------------------------------------------------------------------------------------------

    def warm(self, step: Callable[[], Any]) -> Any:
        """Run the step as it is, on the stream and with the memory that it will be recorded on."""
        with self._here():
            return step()

    def record(self, step: Callable[[], Any]) -> Any:
        """Run the step once while it is captured, and launch what was captured; gives what the step returns."""
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()  # an array or event that is collected half-way would call CUDA while it listens
        _state.active = self
        try:
            with self._here():
                self._stream.begin_capture()
                try:
                    result = step()
                    self._end_segment()
                finally:
                    if self._stream.is_capturing():  # the step has failed: what it did so far is thrown away
                        with suppress(RuntimeError):
                            self._stream.end_capture()
                self._workspace = cublas.release(self._stream.ptr)
            return result
        finally:
            _state.active = None
            if collecting:
                gc.enable()

    def split(self, call: Callable[[], Any]) -> Any:
        """Inside ``record``: make a call that cannot be captured, now and at every replay, between two graphs."""
        self._end_segment()
        self._segments.append(call)
        _state.active = None
        try:
            return call()
        finally:
            _state.active = self
            self._stream.begin_capture()

    def _end_segment(self) -> None:
        graph = self._stream.end_capture()
        self._segments.append(graph.launch)
        self._send()
        graph.launch()

    def place(self, compute: Callable[..., Any], inputs: tuple[Any, ...], count: int, dtype: np.dtype[Any]) -> Any:
        """A device array in the table that holds ``compute(*inputs)`` at every replay."""
        start, stop = self._used, self._used + count * dtype.itemsize
        if stop > TABLE_BYTES:
            raise GraphError(
                "capture", expected=f"at most {TABLE_BYTES} bytes of numbers that change from step to step", got="more"
            )
        self._used = -(-stop // ALIGNMENT) * ALIGNMENT
        slot = _Slot(compute, inputs, self._host[start:stop].view(dtype))
        slot.fill()
        self._slots.append(slot)
        return self._table[start:stop].view(dtype)

    # --- Using it ---------------------------------------------------------------------------------------------------

    def fits(self) -> bool:
        """Whether everything that was noted with ``condition`` still holds."""
        return all(holds() for holds in self.conditions)

    def replay(self) -> None:
        """Do the step again, on the current stream."""
        for action in self.actions:
            action()
        for slot in self._slots:
            slot.fill()
        self._send()
        for segment in self._segments:
            segment()

    def _send(self) -> None:
        """Bring the table to the device, if it has changed: at once to the driver, in order with the launches."""
        now = self._host[: self._used].tobytes()
        if now != self._sent:
            stream = self._cuda.get_current_stream().ptr
            self._cuda.runtime.memcpyAsync(
                self._table.data.ptr, self._host.ctypes.data, self._used, _HOST_TO_DEVICE, stream
            )
            self._sent = now
