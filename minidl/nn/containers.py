"""Modules that hold other modules: in a chain, a list or a dictionary."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, TypeVar

from minidl.errors import ArgumentError, DTypeError
from minidl.nn.module import Module, frame, indent
from minidl.nn.tree import module_hint

__all__ = ["ModuleDict", "ModuleList", "Sequential"]

S = TypeVar("S", bound="_Ordered")


class _Ordered(Module):
    """Children named "0", "1", ... that behave as a Python list: what Sequential and ModuleList share."""

    def _all(self) -> list[Module]:
        return list(self._modules.values())

    def _rebuild(self, modules: Iterable[Module]) -> None:
        """Replace all children, numbered anew."""
        modules = list(modules)
        self._modules.clear()
        for position, module in enumerate(modules):
            self.add_module(str(position), module)

    def _position(self, index: Any) -> int:
        who, length = type(self).__name__, len(self)
        try:
            position = operator.index(index)
        except TypeError:
            raise DTypeError(who, expected="an integer or a slice as index", got=type(index).__name__) from None
        if not -length <= position < length:
            raise IndexError(f"{who}: index {position} is out of range for {length} modules")
        return position % length

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._all())

    def __getitem__(self, index: Any) -> Any:
        """The module at an index, or a new container of the same kind for a slice."""
        if isinstance(index, slice):
            return self._slice(index)
        return self._all()[self._position(index)]

    def _slice(self, index: slice) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(list(self._modules)[self._position(index)], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = self._all()
        del modules[index if isinstance(index, slice) else self._position(index)]
        self._rebuild(modules)

    def append(self: S, module: Module) -> S:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self: S, modules: Iterable[Module]) -> S:
        """Add several modules at the end; returns the container."""
        if isinstance(modules, (str, Mapping)) or not isinstance(modules, Iterable):
            raise DTypeError(
                f"{type(self).__name__}.extend", expected="an iterable of modules", got=type(modules).__name__
            )
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: S, index: int, module: Module) -> S:
        """Add a module before ``index``; returns the container."""
        if not isinstance(module, Module):
            raise DTypeError(
                f"{type(self).__name__}.insert",
                expected="a Module",
                got=type(module).__name__,
                hint=module_hint(module),
            )
        modules = self._all()
        modules.insert(index, module)
        self._rebuild(modules)
        return self


class Sequential(_Ordered):
    """Modules one after another, each fed the output of the one before (``torch.nn.Sequential``).

    ``Sequential(first, second, ...)`` or ``Sequential({"name": first, ...})``; a slice is a Sequential of the same
    modules.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for position, module in enumerate(args):
                self.add_module(str(position), module)

    def _slice(self, index: slice) -> Sequential:
        return Sequential(dict(list(self._modules.items())[index]))

    def append(self, module: Module) -> Sequential:
        """Add a module at the end, under the next free number; returns the container."""
        position = len(self)
        while str(position) in self._modules:  # after a slice names need not start at 0
            position += 1
        self.add_module(str(position), module)
        return self

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Ordered):
    """A list of modules whose parameters count as its own (``torch.nn.ModuleList``); it has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _slice(self, index: slice) -> ModuleList:
        return ModuleList(self._all()[index])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Runs of equal modules on one line, as torch: ``(0-2): 3 x Linear(...)``."""
        lines, start = [], 0
        for text, run in groupby(repr(module) for module in self):
            count = len(list(run))
            if count == 1:
                lines.append(f"({start}): {indent(text)}")
            else:
                lines.append(f"({start}-{start + count - 1}): {count} x {indent(text)}")
            start += count
        return frame(self._get_name(), "", lines)


class ModuleDict(Module):
    """A dictionary of modules whose parameters count as its own (``torch.nn.ModuleDict``); it has no forward."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names, in the order they were added."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules, in the order they were added."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of name and module, in the order they were added."""
        return self._modules.items()

    def clear(self) -> None:
        """Remove every module."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Remove the module under ``key`` and return it."""
        return self._modules.pop(key)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules from a dictionary or from pairs (name, module)."""
        pairs = modules.items() if isinstance(modules, Mapping) else modules
        try:
            entries = [(name, module) for name, module in pairs]
        except (TypeError, ValueError):
            raise ArgumentError(
                "ModuleDict.update", expected="a dictionary of modules or pairs (name, module)", got=repr(modules)
            ) from None
        for name, module in entries:
            self.add_module(name, module)
