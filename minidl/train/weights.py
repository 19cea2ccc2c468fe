"""``minidl.save`` and ``minidl.load``: a state_dict as a safetensors file, the same file that torch users read."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from minidl._tensor import Tensor
from minidl.backend.device import CPU, Device
from minidl.errors import ArgumentError, DTypeError
from minidl.train.files import read_metadata, read_tensors, write_tensors

__all__ = ["load", "load_metadata", "save"]


def save(obj: Mapping[str, Tensor], f: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a state_dict as a safetensors file, whatever the ending of its name: whole, or not at all.

    obj: names and Tensors (or NumPy arrays) of any shape, on any device. metadata: texts to go with them. Raises
    DTypeError for anything that is not such a mapping (an optimizer's state belongs into a checkpoint:
    ``minidl.train.save_checkpoint``), OSError where the file cannot be written. Like ``torch.save``, without pickle;
    torch reads the file with ``safetensors.torch.load_file``.
    """
    if not isinstance(obj, Mapping):
        raise DTypeError(
            "save",
            expected="a dict of names and Tensors",
            got=type(obj).__name__,
            hint="Save model.state_dict(), not the model: code is never written to a file.",
        )
    for texts in (metadata or {}).items():
        if not all(isinstance(text, str) for text in texts):
            raise DTypeError("save", expected="metadata of names and texts", got=repr(texts)[:80])
    arrays = {}
    for name, value in obj.items():
        if not isinstance(name, str) or not isinstance(value, (Tensor, np.ndarray)):
            raise DTypeError(
                "save",
                expected="names and Tensors",
                got=f"{type(value).__name__} for {name!r}",
                hint="An optimizer is saved with minidl.train.save_checkpoint.",
            )
        arrays[name] = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    write_tensors("save", f, arrays, metadata or {})


def load(
    f: str | os.PathLike[str], map_location: str | Device | None = None, *, weights_only: bool = True
) -> dict[str, Tensor]:
    """The state_dict in a safetensors file, in the order of the file.

    map_location: the device to load to, default the CPU. weights_only: only True, since pickles are never read. Raises
    FileNotFoundError; ArgumentError for a file that is truncated or of another kind, such as torch's ``.pth``.
    """
    if weights_only is not True:
        raise ArgumentError(
            "load",
            expected="weights_only=True",
            got=repr(weights_only),
            hint="minidl reads weights alone; it never unpickles.",
        )
    device = CPU if map_location is None else Device(map_location)
    arrays, _ = read_tensors("load", f)
    return {name: Tensor(array).to(device=device) for name, array in arrays.items()}


def load_metadata(f: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that ``save`` wrote with the weights; raises as ``load`` does."""
    return read_metadata("load_metadata", f)
