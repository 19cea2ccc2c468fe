"""Reading the files of a data set that somebody else wrote: everything is checked before a byte is believed.

An ``.npz`` is a ZIP of ``.npy`` files; nothing in it is ever unpickled, and no array is allocated before the header
of its file has been held against what the data set must be, so that no file can ask for more memory than the data set
itself takes. IDX is the format of MNIST: a header of big-endian 32-bit numbers, then bytes.
"""

from __future__ import annotations

import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from minidl.errors import ArgumentError

__all__ = ["DataError", "Format", "read_idx", "read_npz"]

WHOLE = "Copy or download the file again."
FOREIGN = "Use a file with the arrays x_train, y_train, x_test and y_test, as numpy.savez_compressed writes them."

# What zipfile and zlib raise for a damaged archive (RuntimeError: an encrypted member), and NumPy, which reads the
# header of an array as a Python literal, for one that is none.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    MemoryError,
    OverflowError,
    LookupError,
)

# The most that is read at a time, in bytes: the directory of an archive, which zipfile takes whole, has to be shorter.
_BLOCK = 1 << 20


class DataError(ArgumentError):
    """A data set is missing, damaged, or not what its name says."""


@dataclass(frozen=True)
class Format:
    """What the arrays of a data set must be: the image (H, W, C), the classes, and how many images at most."""

    name: str
    image: tuple[int, int, int]
    classes: tuple[str, ...]
    train: int
    test: int

    def count(self, part: str) -> int:
        """The number of images in ``part`` ("train" or "test") of the published set."""
        return self.train if part == "train" else self.test


def read_npz(path: Path, form: Format, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, H, W, C) uint8 and labels (N,) int64 of ``part`` ("train" or "test") of an ``.npz`` file.

    1 <= N <= the published number. Raises DataError for a file that is truncated, foreign or damaged.
    """
    try:
        with path.open("rb", buffering=0) as raw, _Blocks(raw) as file, zipfile.ZipFile(file) as archive:
            for name in ("x_train", "y_train", "x_test", "y_test"):
                if f"{name}.npy" not in archive.namelist():
                    found = ", ".join(_shown(other) for other in sorted(archive.namelist())[:8]) or "nothing"
                    raise DataError(form.name, expected=f"an array {name} in {path}", got=found, hint=FOREIGN)
            images = _read_member(archive, f"x_{part}.npy", path, form, _image_shapes(form))
            labels = _read_member(archive, f"y_{part}.npy", path, form, ((), (1,)))
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(form.name, expected=f"a whole .npz file in {path}", got=_reason(error), hint=WHOLE) from error
    except OSError as error:
        raise DataError(form.name, expected=f"a readable file {path}", got=error.strerror or str(error)) from error
    return _checked(path, form, images, labels)


def read_idx(images_path: Path, labels_path: Path, form: Format) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, H, W, 1) uint8 and labels (N,) int64 of a pair of IDX files, checked as ``read_npz`` does.

    Source: Y. LeCun, "The MNIST database of handwritten digits"; the magic number is 0x08 (bytes), then the axes.
    """
    images = _read_idx_file(images_path, form, form.image[:2])
    labels = _read_idx_file(labels_path, form, ())
    return _checked(images_path, form, images, labels)


def _image_shapes(form: Format) -> tuple[tuple[int, ...], ...]:
    # Grey images may come without an axis for their one channel.
    return (form.image, form.image[:2]) if form.image[2] == 1 else (form.image,)


def _read_member(
    archive: zipfile.ZipFile, member: str, path: Path, form: Format, tails: tuple[tuple[int, ...], ...]
) -> np.ndarray:
    """One array of the archive whose shape is (N,) + one of ``tails``, read only after its header has passed."""
    part = "train" if "train" in member else "test"
    limit = form.count(part)
    where = f"{member} in {path}"
    if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # The header of an LZMA member may ask for gigabytes to unpack a few bytes.
        raise DataError(form.name, expected=f"{where} stored or deflated", got="another compression", hint=FOREIGN)
    with archive.open(member) as file:
        shape, fortran_order, dtype = _npy_header(file)
        is_image = member.startswith("x")
        if dtype != np.uint8 if is_image else dtype.kind not in "ui":  # objects (pickles) are neither
            expected = "uint8" if is_image else "integers"
            raise DataError(form.name, expected=f"{expected} as {where}", got=f"the type {_shown(dtype)}", hint=FOREIGN)
        if not shape or shape[1:] not in tails or not 1 <= shape[0] <= limit:
            wanted = " or ".join(str(("N", *tail)).replace("'", "") for tail in tails)
            raise DataError(
                form.name,
                expected=f"the shape {wanted}, N from 1 to {limit}, as {where}",
                got=_shown(shape),
                hint=FOREIGN,
            )
        array = np.empty(shape[::-1] if fortran_order else shape, dtype)
        _fill(file, array, where, form)
    if fortran_order:
        array = np.ascontiguousarray(array.T)
    return array.reshape(len(array), *tails[0])  # a missing axis of length 1 is put in, a needless one taken out


class _Blocks(io.BufferedReader):
    """A file of which nobody reads more than ``_BLOCK`` bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = _BLOCK + 1 if size is None or size < 0 else size
        data = super().read(min(wanted, _BLOCK + 1))
        if len(data) > _BLOCK:
            raise ValueError(f"a directory of more than {_BLOCK} bytes")
        return data


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, memory order and type from the header of an .npy file; ValueError where it is none."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):  # from version 2 on a header may be 4 GB long
        raise ValueError(f".npy version {version}, which plain arrays do not need")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, about literals of Python 2
        return np.lib.format.read_array_header_1_0(file)


def _fill(file: IO[bytes], array: np.ndarray, where: str, form: Format) -> None:
    """Read exactly the bytes of ``array``; reading to the end makes zipfile compare its checksum."""
    data = array.reshape(-1).view(np.uint8).data
    while len(data):
        block = file.read(min(len(data), _BLOCK))
        if not block:
            raise DataError(form.name, expected=f"{array.nbytes} bytes as {where}", got="fewer", hint=WHOLE)
        data[: len(block)] = block
        data = data[len(block) :]
    if file.read(1):
        raise DataError(form.name, expected=f"{array.nbytes} bytes as {where}", got="more", hint=WHOLE)


def _read_idx_file(path: Path, form: Format, tail: tuple[int, ...]) -> np.ndarray:
    axes = 1 + len(tail)
    try:
        with path.open("rb") as file:
            header = file.read(4 + 4 * axes)
            if len(header) < 4 + 4 * axes or header[:4] != bytes([0, 0, 8, axes]):
                raise DataError(
                    form.name,
                    expected=f"an IDX file of bytes with {axes} axes in {path}",
                    got=repr(header[:4]),
                    hint=WHOLE,
                )
            shape = struct.unpack(f">{axes}I", header[4:])
            limit = max(form.train, form.test)
            if shape[1:] != tail or not 1 <= shape[0] <= limit:
                raise DataError(
                    form.name, expected=f"at most {limit} entries of shape {tail} in {path}", got=str(shape), hint=WHOLE
                )
            array = np.empty(shape, np.uint8)
            _fill(file, array, str(path), form)
    except OSError as error:
        raise DataError(form.name, expected=f"a readable file {path}", got=error.strerror or str(error)) from error
    return array


def _checked(path: Path, form: Format, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(images) != len(labels):
        raise DataError(
            form.name,
            expected=f"as many labels as images in {path}",
            got=f"{len(images)} images and {len(labels)} labels",
            hint=FOREIGN,
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(form.classes):
        raise DataError(
            form.name,
            expected=f"labels from 0 to {len(form.classes) - 1} in {path}",
            got=f"{low} to {high}",
            hint=FOREIGN,
        )
    return images.reshape(-1, *form.image), labels.astype(np.int64)


def _reason(error: BaseException) -> str:
    return _shown(error) or type(error).__name__


def _shown(value: object) -> str:
    """What a file says, for a message: on one line, without control characters, and not too long of it."""
    text = str(value)[:200]
    return text if text.isprintable() else ascii(text)[1:-1]
