"""Finding mistakes: where a NaN or infinity first appeared, and the forward call behind an error in backward."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from minidl.autograd.base import BaseTensor
from minidl.autograd.modes import state
from minidl.backend.arrays import is_array, namespace
from minidl.errors import Call, GraphError, calling_line

__all__ = ["after_backward", "after_forward", "check_root", "detect_anomaly", "explain", "watchers"]

F = TypeVar("F", bound=Callable[..., Any])

# The detectors in force, of all threads. Empty almost always, so that looking costs next to nothing.
watchers: list[detect_anomaly] = []


class _Origin(NamedTuple):
    """The first operation that met NaN, or infinity, and the input that brought it (None: it made it itself)."""

    operation: str
    shapes: tuple[tuple[int, ...], ...]
    input: int | None
    call: Call

    def __str__(self) -> str:
        place = "the result" if self.input is None else f"input {self.input}"
        return f"first appeared in {place} of {self.operation}, {_inputs(self.shapes)}, at {self.call}"


class detect_anomaly:
    """Inside, every forward remembers the user's line that called it, and backward stops at the first gradient that is
    NaN or infinite: a GraphError names the operation, that line, and where a NaN or infinity first appeared in forward.

    Used around forward and backward, ``with minidl.autograd.detect_anomaly(): ...``, or as a decorator. check_nan:
    False remembers the lines alone, for errors raised in backward. Infinities in forward are not refused as such (they
    mask attention), only if the result that backward starts from, or a gradient, is not finite. Every result is looked
    at, so a step takes a multiple of its time, and on a GPU waits for every operation; a captured step cannot be looked
    at. Holds for this thread. Source: torch.autograd.detect_anomaly, which checks gradients for NaN alone.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = bool(check_nan)
        self.origins: dict[str, _Origin] = {}
        self.thread = 0

    def __enter__(self) -> None:
        if state.recorder is not None:
            raise GraphError(
                "detect_anomaly", expected="a step that runs eagerly", got="a captured one", hint="Call it uncaptured."
            )
        self.thread = threading.get_ident()
        self.origins = {}
        watchers.append(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        watchers.remove(self)

    def __call__(self, function: F) -> F:
        def watched(*args: Any, **kwargs: Any) -> Any:
            with detect_anomaly(self.check_nan):
                return function(*args, **kwargs)

        return watched  # type: ignore[return-value]


def _watcher() -> detect_anomaly | None:
    """The innermost detector of this thread."""
    thread = threading.get_ident()
    return next((w for w in reversed(watchers) if w.thread == thread), None)


def _array(value: Any) -> Any:
    return value.data if isinstance(value, BaseTensor) else value


def _complaint(values: Any) -> str | None:
    """ "NaN" or "infinity" if some array holds one."""
    found = None
    for value in values:
        array = _array(value)
        if is_array(array) and array.dtype.kind == "f" and not bool(namespace(array).isfinite(array).all()):
            if bool(namespace(array).isnan(array).any()):
                return "NaN"
            found = "infinity"
    return found


def _inputs(shapes: tuple[Any, ...]) -> str:
    return f"called with shapes {', '.join(str(shape) for shape in shapes)}"


def after_forward(node: Any, inputs: tuple[Any, ...], results: Any) -> None:
    """Called by ``Function.apply`` while some detector is in force."""
    watcher = _watcher()
    if watcher is None:
        return
    call, _ = calling_line()
    node._call = call
    if not watcher.check_nan or "NaN" in watcher.origins:
        return
    what = _complaint(results if isinstance(results, tuple) else (results,))
    if what is not None and what not in watcher.origins:
        shapes = tuple([getattr(_array(x), "shape", ()) for x in inputs])
        brought = next((i for i, x in enumerate(inputs) if _complaint((x,)) == what), None)
        watcher.origins[what] = _Origin(node.name, shapes, brought, call)


def check_root(who: str, tensor: BaseTensor) -> None:
    """Called by backward for what it starts from."""
    watcher = _watcher()
    if watcher is not None and watcher.check_nan:
        what = _complaint((tensor,))
        if what is not None:
            raise GraphError(who, expected="a finite tensor to start from", got=what, hint=_origin(watcher))


def _origin(watcher: detect_anomaly) -> str:
    """Where in forward it began: the first NaN, or else the first infinity."""
    for what in ("NaN", "infinity"):
        if what in watcher.origins:
            return f"In forward, {what} {watcher.origins[what]}."
    return ""


def after_backward(node: Any, results: tuple[Any, ...]) -> None:
    """Called by the engine while some detector is in force."""
    watcher = _watcher()
    if watcher is None or not watcher.check_nan:
        return
    for i, value in enumerate(results):
        what = _complaint((value,))
        if what is not None:
            where = f"{_forward_call(node)}."
            raise GraphError(
                f"{node.name}.backward",
                expected="finite gradients",
                got=f"{what} in the gradient of input {i}",
                hint=f"{where[0].upper()}{where[1:]} {_origin(watcher)}".rstrip(),
            )


def _forward_call(node: Any) -> str:
    """The forward behind a node: shapes, settings, and the line if a detector noted it."""
    settings = {
        name: value
        for name, value in vars(node).items()
        if not name.startswith("_") and isinstance(value, (bool, int, float, str, dict))
    }
    text = f"the forward of {node.name} was {_inputs(node._input_shapes)}"
    if settings:
        text += " and " + ", ".join(f"{name}={value}" for name, value in settings.items())
    call = getattr(node, "_call", None)
    return f"{text}, at {call}" if call is not None else text


def explain(error: Exception, node: Any) -> None:
    """Attach the forward call to an error that a node's backward raised."""
    if isinstance(error, GraphError) and error.who == f"{node.name}.backward":  # after_backward has said it all
        return
    note = f"In backward: {_forward_call(node)}."
    if getattr(node, "_call", None) is None:
        note += " To see its line, run forward and backward inside minidl.autograd.detect_anomaly()."
    if hasattr(error, "add_note"):
        error.add_note(note)
    elif error.args and isinstance(error.args[0], str):  # Python 3.10
        error.args = (f"{error.args[0]}\n{note}", *error.args[1:])
