"""no_grad, enable_grad and set_grad_enabled as contexts and decorators; every thread has its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import minidl


@pytest.fixture(autouse=True)
def mode_is_restored() -> Iterator[None]:
    yield
    left = minidl.is_grad_enabled()
    minidl.set_grad_enabled(True)
    assert left, "the test left gradients switched off"


def recorded() -> bool:
    return (minidl.ones(1, requires_grad=True) * 2).requires_grad


def test_contexts_nest() -> None:
    with minidl.no_grad():
        assert not recorded()
        with minidl.enable_grad():
            assert recorded()
            with minidl.set_grad_enabled(False):
                assert not recorded()
            assert recorded()
        assert not recorded()
    assert recorded()


def test_one_context_object_used_twice_and_inside_itself() -> None:
    context = minidl.no_grad()
    with context:
        assert not recorded()
    assert recorded()
    with context, minidl.enable_grad():
        assert recorded()
    assert recorded()


@pytest.mark.parametrize("decorate", [minidl.no_grad(), minidl.no_grad], ids=["with brackets", "without brackets"])
def test_decorator(decorate: Any) -> None:
    @decorate
    def inside(value: int, *, add: int = 0) -> tuple[bool, int]:
        """Kept."""
        return recorded(), value + add

    assert inside(1, add=2) == (False, 3)
    assert inside.__name__ == "inside"
    assert inside.__doc__ == "Kept."
    assert recorded()


def test_a_decorated_recursive_function() -> None:
    @minidl.no_grad()
    def down(n: int) -> bool:
        return (not recorded()) and (n == 0 or down(n - 1)) and not recorded()

    assert down(3)


def test_enable_grad_as_decorator() -> None:
    @minidl.enable_grad()
    def inside() -> bool:
        return recorded()

    with minidl.no_grad():
        assert inside()
        assert not recorded()


def test_set_grad_enabled_acts_at_once() -> None:
    minidl.set_grad_enabled(False)
    assert not recorded()
    minidl.set_grad_enabled(True)
    assert recorded()


def test_set_grad_enabled_as_decorator_acts_only_inside() -> None:
    @minidl.set_grad_enabled(False)
    def inside() -> bool:
        return recorded()

    assert recorded(), "decorating must not change the mode outside"
    assert not inside()


def test_an_error_restores_the_mode() -> None:
    @minidl.no_grad()
    def fails() -> None:
        raise KeyError

    with pytest.raises(KeyError), minidl.no_grad():
        raise KeyError
    assert recorded()
    with pytest.raises(KeyError):
        fails()


def test_a_decorated_generator_as_in_torch() -> None:
    """torch's decorator holds inside the generator's body and not between its steps."""

    @minidl.no_grad()
    def steps() -> Iterator[bool]:
        yield recorded()
        yield recorded()

    inside = []
    for step in steps():
        inside.append(step)
        assert recorded()
    assert inside == [False, False]


def test_each_thread_has_its_own_mode() -> None:
    seen: list[bool] = []
    with minidl.no_grad():
        thread = threading.Thread(target=lambda: seen.append(recorded()))
        thread.start()
        thread.join()
        assert not recorded()
    assert seen == [True]


def test_backward_runs_under_no_grad() -> None:
    x = minidl.tensor([2.0], requires_grad=True)
    y = x * x
    with minidl.no_grad():
        y.backward()
    assert x.grad.item() == 4.0


def test_create_graph_records_even_under_no_grad() -> None:
    x = minidl.tensor([2.0], requires_grad=True)
    y = x**3
    with minidl.no_grad():
        (g,) = minidl.autograd.grad(y, x, create_graph=True)
    assert g.requires_grad
