"""``Tensor`` and what it is made of: one class for each subject, put together in tensor.py."""

from minidl._tensor.conversions import where_to
from minidl._tensor.drawing import check_fractional, host_generator
from minidl._tensor.graph import RemovableHandle
from minidl._tensor.tensor import Tensor

__all__ = ["RemovableHandle", "Tensor", "check_fractional", "host_generator", "where_to"]
