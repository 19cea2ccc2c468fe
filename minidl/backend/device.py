"""Devices: "cpu", "gpu", "gpu:1"; "cuda" means the same as "gpu"."""

from __future__ import annotations

from minidl.errors import ArgumentError

__all__ = ["CPU", "Device"]


class Device:
    """Where an array lies: ``Device("cpu")``, ``Device("gpu")`` (the first GPU), ``Device("gpu:1")``."""

    __slots__ = ("index", "type")

    type: str
    index: int

    def __init__(self, name: str | Device = "cpu", index: int | None = None) -> None:
        if isinstance(name, Device):
            self.type, self.index = name.type, name.index
            return
        kind, colon, number = str(name).partition(":")
        kind = "gpu" if kind == "cuda" else kind
        if kind not in ("cpu", "gpu") or (colon and not number.isdigit()) or (colon and index is not None):
            raise ArgumentError("device", expected='"cpu", "gpu" or "gpu:N"', got=repr(name))
        self.type = kind
        self.index = int(number) if colon else index or 0
        if kind == "cpu" and self.index:
            raise ArgumentError("device", expected='one CPU, "cpu"', got=repr(name))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            other = Device(other)
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return f"gpu:{self.index}" if self.type == "gpu" else "cpu"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


CPU = Device("cpu")
