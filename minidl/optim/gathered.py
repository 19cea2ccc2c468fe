"""The parameters of a group that one kernel call updates, as long as their arrays and buffers stay the same ones."""

from __future__ import annotations

from operator import attrgetter, is_, itemgetter
from typing import TYPE_CHECKING, Any

from minidl import kernels
from minidl._tensor import Tensor

if TYPE_CHECKING:
    from minidl.optim.optimizer import Optimizer

__all__ = ["Gathered"]

_data = attrgetter("data")


class Gathered:
    """Which parameters of a group are updated in one call, with their arrays; made anew when any of these changes.

    parameters, arrays and, for each name of a buffer, ``buffers``: in one order, all arrays of one type and device.
    first: positions of those whose first buffer was made just now. others: parameters that are updated one by one.
    memo: what the kernel remembers of these arrays.
    """

    def __init__(self, optimizer: Optimizer, group: dict[str, Any], names: tuple[str, ...]) -> None:
        self.group, self.state, self.names = group, optimizer.state, names
        self.every = list(group["params"])
        self.others: list[tuple[Tensor, Any]] = []
        self.waiting: list[Tensor] = []  # have neither a gradient nor, therefore, buffers
        self.memo: dict[str, Any] = {}
        self.first: list[int] = []
        self.parameters: list[Tensor] = []
        rows: list[list[Any]] = []
        like = next((p for p in self.every if kernels.dialect_of(optimizer.group_kernel, p.data) != "plain"), None)
        for parameter in self.every:
            optimizer.check_gradient(parameter)  # all of them before the first buffer is made
        for parameter in self.every:
            if like is None or parameter.dtype != like.dtype or parameter.device != like.device:
                self.others.append((parameter, parameter.data))
            elif parameter.grad is None and not _has_buffers(optimizer, parameter, names):
                self.waiting.append(parameter)
            else:
                found = [optimizer.buffer(parameter, name) for name in names]
                if found and found[0][1]:
                    self.first.append(len(rows))
                self.parameters.append(parameter)
                rows.append([array for array, _ in found])
        self.arrays = [parameter.data for parameter in self.parameters]
        self.buffers = [[row[i] for row in rows] for i in range(len(names))]
        self.entries = [self.state[parameter] for parameter in self.parameters] if names else []
        self.left = [parameter for parameter, _ in self.others]
        self._rows = [(parameter, parameter.data, parameter.data.shape) for parameter in self.parameters]

    def gradients(self, optimizer: Optimizer, group: dict[str, Any], names: tuple[str, ...]) -> list[Any] | None:
        """The parameters' gradients, raw arrays or None each; None if this object no longer describes the group.

        Called at every step: for the ten parameters of a small network all the questions must be asked in a few
        microseconds, which is why most of them are asked by ``map``.
        """
        parameters, state = group["params"], self.state
        if group is not self.group or optimizer.state is not state or names != self.names:
            return None
        if len(parameters) != len(self.every) or not all(map(is_, parameters, self.every)):
            return None
        if names:
            if not all(map(is_, map(state.get, self.parameters), self.entries)):
                return None
            try:
                for name, arrays in zip(names, self.buffers):
                    if not all(map(is_, map(_data, map(itemgetter(name), self.entries)), arrays)):
                        return None
            except KeyError:  # someone deleted a buffer
                return None
        found = []
        for parameter, array, shape in self._rows:
            if parameter.data is not array:
                return None
            gradient = parameter._grad
            if gradient is not None:
                gradient = gradient.data
                if gradient.shape != shape:
                    optimizer.check_gradient(parameter)
            found.append(gradient)
        if any(parameter.data is not array for parameter, array in self.others):
            return None
        return None if any(parameter._grad is not None for parameter in self.waiting) else found


def _has_buffers(optimizer: Optimizer, parameter: Tensor, names: tuple[str, ...]) -> bool:
    """Whether all buffers are there, in the parameter's type and on its device."""
    entry = optimizer.state.get(parameter, {})
    kept = [entry.get(name) for name in names]
    return all(
        buffer is not None
        and (name in optimizer.counters or (buffer.dtype == parameter.dtype and buffer.device == parameter.device))
        for name, buffer in zip(names, kept)
    )
