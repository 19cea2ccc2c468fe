"""Whether operations are recorded: ``no_grad``, ``enable_grad``, ``set_grad_enabled``; each thread has its own mode."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled", "state"]

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    """What a thread's operations look at: whether to record for backward, and who listens (see ``recorder``)."""

    enabled = True
    recorder: Any = None


state = _State()


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded for backward."""
    return state.enabled


class _Mode:
    """A context manager and decorator that sets the mode and puts the previous one back."""

    _target: bool

    def __enter__(self) -> None:
        self._previous = state.enabled
        state.enabled = self._target

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.enabled = self._previous

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            previous = state.enabled
            state.enabled = self._target
            try:
                return function(*args, **kwargs)
            finally:
                state.enabled = previous

        return wrapped  # type: ignore[return-value]

    def _wrap_generator(self, function: Any) -> Any:
        """The mode holds inside the generator's body, not in the loop that draws from it."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            sent = None
            while True:
                previous = state.enabled
                state.enabled = self._target
                try:
                    value = generator.send(sent)
                except StopIteration as stop:
                    return stop.value
                finally:
                    state.enabled = previous
                sent = yield value

        return wrapped


class no_grad(_Mode):
    """Nothing inside is recorded: ``with no_grad(): ...`` or ``@no_grad()``."""

    _target = False

    def __new__(cls, function: Any = None) -> Any:
        mode = super().__new__(cls)
        return mode if function is None else mode(function)  # @no_grad without brackets, as torch allows


class enable_grad(no_grad):
    """Operations inside are recorded even where an outer ``no_grad`` is in force."""

    _target = True


class set_grad_enabled(_Mode):
    """Set the mode at once; as a context manager, put the previous one back at the end."""

    def __init__(self, mode: bool) -> None:
        self._target = bool(mode)
        self._before = state.enabled
        state.enabled = self._target

    def __enter__(self) -> None:
        self._previous = self._before
        state.enabled = self._target

    def __call__(self, function: F) -> F:
        state.enabled = self._before  # used as a decorator it acts only inside the function
        return super().__call__(function)
