"""Files that are whole or not there: writing by rename, and arrays in the safetensors format, checked when read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import ArgumentError, ExtraError

__all__ = ["read_metadata", "read_tensors", "shown", "write_file", "write_tensors"]

# The types of a safetensors file that NumPy has as well.
_TYPES = frozenset({"BOOL", "U8", "I8", "I16", "I32", "I64", "F16", "F32", "F64"})

# The longest header that is read, in bytes: room for 100,000 tensors, and little enough that parsing it takes neither
# long nor much memory. (The library's own limit is 100 MB, which may become gigabytes of names.)
_HEADER = 1 << 24


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Put a file of these bytes in the place of ``path``.

    The bytes go to a temporary file beside it, are flushed to the disk, and the file is renamed: whenever the process
    is killed or the disk fills, ``path`` is the old file or the new one, never a part. Raises OSError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name too outlives a power cut
    finally:
        os.close(folder)


def write_tensors(
    who: str, path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write arrays by name and texts by name as a safetensors file, whole or not at all."""
    safetensors_numpy = _safetensors(who)
    # The library takes the bytes as they lie in memory, so that a transposed view would be written wrongly.
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = safetensors_numpy.save(contiguous, dict(metadata))
    if int.from_bytes(data[:8], "little") > _HEADER:
        raise ArgumentError(
            who,
            expected=f"names and texts that take {_HEADER} bytes in the header of {path}",
            got=f"{int.from_bytes(data[:8], 'little')} bytes",
            hint="Put long lists of numbers into a tensor.",
        )
    write_file(path, data)


def read_tensors(who: str, path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the texts of a safetensors file. FileNotFoundError, or ArgumentError for what is none."""
    safetensors_numpy = _safetensors(who)
    with _opened(who, path, safetensors_numpy) as file:
        names = list(file.keys())
        foreign = {name: kind for name in names if (kind := file.get_slice(name).get_dtype()) not in _TYPES}
        if foreign:
            name, kind = next(iter(foreign.items()))
            raise ArgumentError(
                who,
                expected=f"tensors of types that NumPy has in {path}",
                got=f'{shown(kind)} for "{shown(name)}"',
                hint="Convert them to float32 where they were made.",
            )
        try:
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
        except (ValueError, OverflowError) as error:  # shapes of no element that NumPy cannot have: (2**62, 0)
            raise _not_whole(who, path, b"", _reason(error)) from error


def read_metadata(who: str, path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts of a safetensors file, without its arrays; raises as ``read_tensors`` does."""
    with _opened(who, path, _safetensors(who)) as file:
        return file.metadata() or {}


def _safetensors(who: str) -> Any:
    try:
        from safetensors import numpy as safetensors_numpy
    except ImportError as error:
        raise ExtraError(who, "safetensors") from error
    return safetensors_numpy


def _opened(who: str, path: str | os.PathLike[str], safetensors_numpy: Any) -> Any:
    """The open file, its header checked by the library: every offset lies inside, nothing overlaps or is left over."""
    with open(path, "rb") as file:  # missing, a folder, forbidden: Python's own errors say so best
        start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) == 8 and length <= _HEADER:
        try:
            return safetensors_numpy.safe_open(os.fspath(path), framework="numpy")
        except OSError:
            raise
        except Exception as error:  # SafetensorError derives from Exception alone
            raise _not_whole(who, path, start, _reason(error)) from error
    got = f"a header of {length} bytes, of which {_HEADER} are read at most" if len(start) == 8 else "no header"
    raise _not_whole(who, path, start, got)


def _not_whole(who: str, path: str | os.PathLike[str], start: bytes, got: str) -> ArgumentError:
    hint = "Copy or write the file again."
    if start[:4] == b"PK\x03\x04" or start[:1] == b"\x80":
        got = "a ZIP or pickle file, such as torch.save writes"
        hint = "Pickles are never read: examples/convert_checkpoint.py makes safetensors of one."
    return ArgumentError(who, expected=f"a whole safetensors file in {path}", got=got, hint=hint)


def _reason(error: BaseException) -> str:
    return shown(error) or type(error).__name__


def shown(value: object) -> str:
    """What a file says, for a message: on one line, without control characters, and not too long of it."""
    text = str(value)[:200]
    return text if text.isprintable() else ascii(text)[1:-1]
