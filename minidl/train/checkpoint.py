"""Checkpoints: everything that a run needs to go on bit for bit, in one safetensors file without pickle.

Tensors are stored under their path, such as ``model.conv1.weight`` or ``optimizer.state.0.exp_avg``; all else
(settings, counters, random states, figures) is JSON in the file's header, with a checksum over everything. One file, so
that its parts cannot be of different epochs; written by rename, so that a kill at any moment leaves the last good one.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from minidl._tensor import Tensor
from minidl.backend.random import default_generator
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.train.files import read_metadata, read_tensors, shown, write_tensors

__all__ = ["Stateful", "load_checkpoint", "read_notes", "save_checkpoint"]

_KEY = "minidl_checkpoint"
_CHECKSUM = "minidl_crc32"
_VERSION = 2  # 1 was the same without a checksum

# What load_state_dict raises where a state is not of its kind; minidl's own errors are passed on as they are.
_UNFIT = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)


class Stateful(Protocol):
    """What a checkpoint can hold: a model, an optimizer, a scheduler, a loader, a history."""

    def state_dict(self) -> dict[Any, Any]: ...

    def load_state_dict(self, state: Any, /) -> Any: ...


def save_checkpoint(
    path: str | os.PathLike[str], parts: Mapping[str, Stateful], notes: Mapping[str, Any] | None = None
) -> None:
    """Write the state of every part, of this thread's generator, and the notes (anything that JSON holds).

    ``save_checkpoint("run.safetensors", {"model": model, "optimizer": optimizer, "loader": loader})`` between two
    epochs or, where the loader is among the parts, two batches; ``load_checkpoint`` with the same parts goes on from
    there. Parts are whatever has ``state_dict`` and ``load_state_dict``: schedules, histories, averaged models and
    EarlyStopping too. Raises OSError where it cannot be written: the file that was there before is then untouched.
    """
    arrays: dict[str, np.ndarray] = {}
    states = {name: _encode(part.state_dict(), name, arrays) for name, part in parts.items()}
    text = json.dumps(
        {
            "version": _VERSION,
            "notes": dict(notes or {}),
            "generator": default_generator().get_state(),
            "parts": states,
        }
    )
    write_tensors("save_checkpoint", path, arrays, {_KEY: text, _CHECKSUM: _checksum(text, arrays)})


def load_checkpoint(
    path: str | os.PathLike[str], parts: Mapping[str, Stateful], *, strict: bool = True
) -> dict[str, Any]:
    """Give every part, and this thread's generator, the state that ``save_checkpoint`` wrote; returns the notes.

    The parts must be those that were saved, made in the same way (the same network, the same optimizer), on any
    device. With ``strict=False`` parts that the file lacks stay as they are, parts of the file that are not asked for
    are passed over, and so is the generator: ``load_checkpoint(path, {"model": model}, strict=False)``.

    Raises FileNotFoundError; ArgumentError for a file that is damaged, of another kind or of other parts; what the
    parts' ``load_state_dict`` raises where they do not fit (RuntimeError, with all names, for a model). Whatever it
    raises, parts and generator are then as they were before.
    """
    who = "load_checkpoint"
    arrays, metadata = read_tensors(who, path)
    document = _document(who, path, metadata)
    if document["version"] > 1 and metadata.get(_CHECKSUM) != _checksum(metadata[_KEY], arrays):
        raise _damaged(who, path, "bytes that are not those that were written")
    missing, unexpected = sorted(set(parts) - set(document["parts"])), sorted(set(document["parts"]) - set(parts))
    if strict and (missing or unexpected):
        raise ArgumentError(
            who,
            expected=f"the parts that {path} holds ({shown(', '.join(sorted(document['parts'])))})",
            got=", ".join(sorted(parts)) or "none",
            hint=f"Not in the file: {', '.join(missing) or 'none'}; not asked for: "
            f"{shown(', '.join(unexpected)) or 'none'}.",
        )
    wanted = {name: part for name, part in parts.items() if name in document["parts"]}
    try:
        states = {name: _decode(document["parts"][name], arrays) for name in wanted}
    except _UNFIT as error:
        raise _damaged(who, path, repr(error)) from error
    before = _Before(wanted)
    try:
        for name, part in wanted.items():
            before.keep(name)
            _give(who, path, name, part.load_state_dict, states[name])
        if strict:  # last: the loader may share it
            _give(who, path, "the generator", default_generator().set_state, document["generator"])
    except BaseException:
        before.restore()
        raise
    return document["notes"]


def _give(who: str, path: str | os.PathLike[str], name: str, load_state_dict: Any, state: Any) -> None:
    try:
        load_state_dict(state)
    except _UNFIT as error:
        if isinstance(error, (ArgumentError, DTypeError, ShapeError)) and str(error).isprintable():
            raise  # one of ours, without control characters from the file
        raise ArgumentError(
            who, expected=f"a state that fits {name} in {path}", got=shown(f"{type(error).__name__}: {error}")
        ) from error


class _Before:
    """What the parts were before a load, on the host, to put it back where the load fails halfway."""

    def __init__(self, parts: Mapping[str, Stateful]) -> None:
        self.parts = parts
        self.states: dict[str, tuple[Any, dict[str, np.ndarray]]] = {}
        self.generator = default_generator().get_state()

    def keep(self, name: str) -> None:
        arrays: dict[str, np.ndarray] = {}
        state = _encode(self.parts[name].state_dict(), name, arrays)
        self.states[name] = state, {key: array.copy() for key, array in arrays.items()}

    def restore(self) -> None:
        for name, (state, arrays) in self.states.items():
            self.parts[name].load_state_dict(_decode(state, arrays))
        default_generator().set_state(self.generator)


def read_notes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The notes of a checkpoint, without loading it; raises as ``load_checkpoint`` does."""
    return _document("read_notes", path, read_metadata("read_notes", path))["notes"]


def _document(who: str, path: str | os.PathLike[str], metadata: dict[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ArgumentError(
            who, expected=f"a checkpoint in {path}", got="weights alone", hint="Load weights with minidl.load."
        )
    try:
        document = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise _damaged(who, path, str(error)) from error
    wanted = {"version": int, "notes": dict, "generator": dict, "parts": dict}
    if not isinstance(document, dict) or not all(isinstance(document.get(k), kind) for k, kind in wanted.items()):
        raise _damaged(who, path, "a header without version, notes, generator and parts")
    if document["version"] not in (1, _VERSION):
        raise ArgumentError(
            who, expected=f"a checkpoint of version {_VERSION} in {path}", got=shown(document["version"])
        )
    return document


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """The CRC-32 of the JSON text and of every tensor's name, type, shape and bytes."""
    value = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"


def _damaged(who: str, path: str | os.PathLike[str], reason: str) -> ArgumentError:
    return ArgumentError(who, expected=f"a whole checkpoint in {path}", got=shown(reason))


# A state is a tree of dicts, lists, tuples, numbers and texts with tensors as leaves. JSON has neither tensors, nor
# tuples, nor keys that are numbers: each of these becomes a dict whose one key begins with a dollar sign.


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """``value`` as JSON holds it; its tensors go into ``arrays`` under their paths."""
    if isinstance(value, (Tensor, np.ndarray)):
        if path in arrays:
            raise ArgumentError("save_checkpoint", expected="one tensor for every path", got=f"two as {path}")
        arrays[path] = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        return {"$tensor": path}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _encode(item, f"{path}.{key}", arrays) for key, item in value.items()}
        return {"$items": [[_encode(k, path, arrays), _encode(v, f"{path}.{k}", arrays)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{path}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DTypeError(
        "save_checkpoint", expected=f"numbers, texts, lists, dicts and tensors in {path}", got=type(value).__name__
    )


def _decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What ``_encode`` was given."""
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return Tensor(arrays[value["$tensor"]])
    if "$tuple" in value:
        return tuple(_decode(item, arrays) for item in value["$tuple"])
    if "$items" in value:
        return {_decode(key, arrays): _decode(item, arrays) for key, item in value["$items"]}
    return {key: _decode(item, arrays) for key, item in value.items()}
