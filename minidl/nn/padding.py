"""Borders as layers: constant, reflected, replicated, circular, around one, two or three axes."""

from __future__ import annotations

from typing import Any, ClassVar

from minidl._tensor import Tensor
from minidl.backend.dtypes import is_real
from minidl.errors import DTypeError, ShapeError
from minidl.nn import functional as F
from minidl.nn.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """``padding``: one width for all sides, or (left, right, top, bottom, front, back) as far as there are axes."""

    _axes: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        who, sides = type(self).__name__, 2 * self._axes
        widths = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * sides
        if len(widths) != sides or not all(hasattr(w, "__index__") and not isinstance(w, bool) for w in widths):
            raise DTypeError(who, expected=f"padding as an integer or {sides} integers", got=repr(padding))
        self.padding = tuple(w.__index__() for w in widths)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (self._axes + 1, self._axes + 2) and self._mode != "constant":
            raise ShapeError(
                type(self).__name__, expected=f"{self._axes + 1} or {self._axes + 2} axes", got=str(input.shape)
            )
        return F.pad(input, self.padding, self._mode, getattr(self, "value", None))

    def extra_repr(self) -> str:
        return str(self.padding)


class _Constant(_Pad):
    _mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        if not is_real(value):
            raise DTypeError(type(self).__name__, expected="value as a number", got=repr(value))
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_Constant):
    """A border of one value around the last axis (``torch.nn.ConstantPad1d``)."""

    _axes = 1


class ConstantPad2d(_Constant):
    """A border of one value around the last two axes (``torch.nn.ConstantPad2d``)."""

    _axes = 2


class ConstantPad3d(_Constant):
    """A border of one value around the last three axes (``torch.nn.ConstantPad3d``)."""

    _axes = 3


class ZeroPad1d(_Pad):
    """A border of zeros around the last axis (``torch.nn.ZeroPad1d``)."""

    _axes, _mode = 1, "constant"


class ZeroPad2d(_Pad):
    """A border of zeros around the last two axes (``torch.nn.ZeroPad2d``)."""

    _axes, _mode = 2, "constant"


class ZeroPad3d(_Pad):
    """A border of zeros around the last three axes (``torch.nn.ZeroPad3d``)."""

    _axes, _mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """A mirrored border around the last axis (``torch.nn.ReflectionPad1d``)."""

    _axes, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """A mirrored border around the last two axes (``torch.nn.ReflectionPad2d``)."""

    _axes, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """A mirrored border around the last three axes (``torch.nn.ReflectionPad3d``)."""

    _axes, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The edge repeated around the last axis (``torch.nn.ReplicationPad1d``)."""

    _axes, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The edge repeated around the last two axes (``torch.nn.ReplicationPad2d``)."""

    _axes, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The edge repeated around the last three axes (``torch.nn.ReplicationPad3d``)."""

    _axes, _mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The other end as a border of the last axis (``torch.nn.CircularPad1d``)."""

    _axes, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """The other end as a border of the last two axes (``torch.nn.CircularPad2d``)."""

    _axes, _mode = 2, "circular"


class CircularPad3d(_Pad):
    """The other end as a border of the last three axes (``torch.nn.CircularPad3d``)."""

    _axes, _mode = 3, "circular"
