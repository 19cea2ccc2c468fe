"""The name under which torch keeps its data tools: ``minidl.utils.data.DataLoader`` is ``minidl.data.DataLoader``."""

from minidl import data

__all__ = ["data"]
