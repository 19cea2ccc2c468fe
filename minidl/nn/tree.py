"""The tree of modules: what an attribute is (a parameter, a buffer, a child), and how to walk over all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minidl._tensor import Tensor
from minidl.errors import ArgumentError, DTypeError
from minidl.nn.parameter import Parameter

if TYPE_CHECKING:
    from minidl.nn.module import Module

__all__ = ["Tree", "join", "module_hint"]


class Tree:
    """A node of the tree: three tables, of parameters, buffers and children, behind the attributes."""

    def __init__(self) -> None:
        # Straight into __dict__, because __setattr__ below needs these tables to exist.
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, _non_persistent_buffers=set())

    # -- attributes ------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        tables = self.__dict__
        if isinstance(value, (Parameter, Tree)):
            kind = "parameter" if isinstance(value, Parameter) else "module"
            if "_parameters" not in tables:
                raise AttributeError(
                    f"cannot assign {kind} '{name}' before Module.__init__() call: "
                    f"begin {type(self).__name__}.__init__ with super().__init__()"
                )
            home = "_parameters" if kind == "parameter" else "_modules"
            for table in ("_parameters", "_buffers", "_modules"):
                if table != home:
                    tables[table].pop(name, None)
            tables.pop(name, None)
            self._non_persistent_buffers.discard(name)
            tables[home][name] = value
            return
        for table, wanted in (("_parameters", "Parameter"), ("_modules", "Module"), ("_buffers", "Tensor")):
            if name in tables.get(table, ()):
                # A name that is registered keeps its role: only None, or for a buffer another tensor, may follow.
                if value is not None and not (table == "_buffers" and isinstance(value, Tensor)):
                    raise TypeError(
                        f"{type(self).__name__}: cannot assign {type(value).__name__} as '{name}' "
                        f"({wanted} or None expected)"
                    )
                tables[table][name] = value
                return
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Called only when the ordinary lookup has failed.
        tables = self.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            if name in tables.get(table, ()):
                return tables[table][name]
        message = f"'{type(self).__name__}' object has no attribute '{name}'"
        if "_parameters" not in tables:
            if not name.startswith("__"):
                message += f" (was super().__init__() called in {type(self).__name__}.__init__?)"
        elif close := difflib.get_close_matches(name, dir(self), n=1):
            message += f". Did you mean '{close[0]}'?"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> None:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[table]:
                del self.__dict__[table][name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        tables = self.__dict__
        registered = (key for table in ("_parameters", "_buffers", "_modules") for key in tables.get(table, ()))
        return sorted({*super().__dir__(), *registered})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under ``name``; None reserves the name, as for a layer without bias."""
        self._check_name("register_parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise DTypeError(
                f"{type(self).__name__}.register_parameter",
                expected=f"a Parameter or None for '{name}'",
                got=type(param).__name__,
                hint="Wrap the tensor in minidl.nn.Parameter(...).",
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is no parameter; it moves with the module and, if ``persistent``, is saved with it."""
        self._check_name("register_buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise DTypeError(
                f"{type(self).__name__}.register_buffer",
                expected=f"a Tensor or None for '{name}'",
                got=type(tensor).__name__,
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers.discard(name)
        else:
            self._non_persistent_buffers.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under ``name``, reachable as an attribute."""
        self._check_name("add_module", name, "_modules")
        if module is not None and not isinstance(module, Tree):
            raise DTypeError(
                f"{type(self).__name__}.add_module",
                expected=f"a Module or None for '{name}'",
                got=type(module).__name__,
                hint=module_hint(module),
            )
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as ``add_module``."""
        self.add_module(name, module)

    def _check_name(self, method: str, name: str, table: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot call {method} before Module.__init__() call: call super().__init__() first")
        who = f"{type(self).__name__}.{method}"
        if not isinstance(name, str):
            raise DTypeError(who, expected="a name that is a string", got=type(name).__name__)
        if name == "" or "." in name:
            raise ArgumentError(who, expected="a name that is not empty and has no dot", got=repr(name))
        tables = self.__dict__
        others = {"_parameters", "_buffers", "_modules"} - {table}
        if name in tables or hasattr(type(self), name) or any(name in tables[other] for other in others):
            raise ArgumentError(who, expected="a free name", got=f"'{name}', which is already an attribute")

    # -- the tree --------------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names, each module once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, with their dotted paths; each once unless asked otherwise."""
        memo = set() if memo is None else memo
        itself: Any = self
        if itself in memo:
            return
        if remove_duplicate:
            memo.add(itself)
        yield prefix, itself
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def _named_members(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules: Any = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        )
        for path, module in modules:
            for name, tensor in module.__dict__[table].items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield join(path, name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names; a shared parameter comes once, under its first name."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once: what an optimizer takes."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers (running statistics and the like) with their dotted names."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path, such as ``"features.0"``; the empty path is the module itself."""
        module: Any = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(
                    f"{type(self).__name__}.get_submodule('{target}'): {type(module).__name__} has no module '{name}'; "
                    f"it has {', '.join(module._modules) or 'none'}"
                )
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path, such as ``"features.0.weight"``."""
        return self._get_member("get_parameter", "_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path, such as ``"bn1.running_mean"``."""
        return self._get_member("get_buffer", "_buffers", target)

    def _get_member(self, method: str, table: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = module.__dict__[table].get(name)
        if found is None:
            raise AttributeError(
                f"{type(self).__name__}.{method}('{target}'): {type(module).__name__} has no '{name}' there; "
                f"it has {', '.join(module.__dict__[table]) or 'none'}"
            )
        return found


def module_hint(value: object) -> str:
    """Advice for the commonest slip: the class itself in place of an instance."""
    return f"Write {value.__name__}() with brackets." if isinstance(value, type) and issubclass(value, Tree) else ""


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
