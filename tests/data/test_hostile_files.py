"""Data sets from strangers: thousands of damaged files, bombs and pickles in disguise; one sentence, little memory."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutants import COUNTS, check_sentence, mutants, survey, within

from data.test_files import arrays, write_idx, write_npz
from minidl.data import DataError, mnist
from minidl.data.datasets import _MNIST

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def check(data: Any) -> None:
    """Whatever was read is a data set of the form that it claims."""
    for images, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), 28, 28, 1)
        assert labels.dtype == np.int64
        assert ((labels >= 0) & (labels < 10)).all()


def reader(path: Path, folder: Path) -> Callable[[bytes], Any]:
    def read(data: bytes) -> None:
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(mnist(folder))

    return read


def members(**changes: bytes) -> bytes:
    """A whole archive whose members have these bytes."""
    buffer = io.BytesIO()
    content = {f"{name}.npy": npy(array) for name, array in arrays().items()}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**content, **{f"{name}.npy": data for name, data in changes.items()}}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@COUNTS
def test_damaged_archives(tmp_path: Path, count: int) -> None:
    path = write_npz(tmp_path)
    refused = survey(reader(path, tmp_path), mutants(path.read_bytes(), count), (DataError,))
    assert refused > count // 2


@COUNTS
def test_whole_archives_of_damaged_arrays(tmp_path: Path, count: int) -> None:
    """The checksums are right: what is wrong is in the headers and bytes of the arrays."""
    path, good = write_npz(tmp_path), arrays()

    def files() -> Iterator[bytes]:
        for number, data in enumerate(mutants(npy(good["x_train"])[:3000], count)):
            name = list(good)[number % 4]
            yield members(**{name: data if number % 4 == 0 else next(mutants(npy(good[name])[:200], 1, number))})

    refused = survey(reader(path, tmp_path), files(), (DataError,))
    assert refused > count // 2


def headers(count: int) -> Iterator[bytes]:
    """Headers of .npy files that a mutation of bytes would hardly find."""
    random = np.random.default_rng(0)
    descriptions = [
        "'|u1'",
        "'|O'",
        "'<f8'",
        "[('a', '|u1')]",
        "'(9,9)u1'",
        "'|V999999999'",
        "'<M8[s]'",
        "3",
        "'u1,u1'",
    ]
    shapes = ["(12, 28, 28)", "(-12, 28, 28)", "(12L, 28, 28)", f"({2**62}, 28, 28)", "(12.0, 28, 28)", "((12,), 28)"]
    shapes += ["(True, 28, 28)", "12", "()", "(0, 28, 28)", "('12', 28, 28)", "(" * 90 + ")" * 90, f"({'9' * 5000},)"]
    orders = ["False", "True", "0", "None", "__import__('os').system('touch trap')"]
    for _ in range(count):
        descr, shape, order = (str(random.choice(which)) for which in (descriptions, shapes, orders))
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
        if random.integers(0, 5) == 0:
            text = next(mutants(text, 1, int(random.integers(0, 1 << 30))))
        version = [(1, 0), (1, 0), (1, 0), (2, 0), (3, 0)][random.integers(0, 5)]
        length = struct.pack("<H" if version == (1, 0) else "<I", min(len(text), 65535))
        yield members(x_train=b"\x93NUMPY" + bytes(version) + length + text + bytes(9408))


@COUNTS
def test_hostile_headers_of_arrays(tmp_path: Path, count: int) -> None:
    refused = survey(reader(write_npz(tmp_path), tmp_path), headers(count), (DataError,))
    assert refused > count // 2
    assert not (tmp_path / "work" / "trap").exists()


@COUNTS
@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_damaged_idx_files(tmp_path: Path, name: str, count: int) -> None:
    path = write_idx(tmp_path, arrays()) / name
    damaged = mutants(path.read_bytes()[: 16 + 12 * 784], count)
    refused = survey(reader(path, tmp_path), damaged, (DataError,))
    assert refused > count // 3


def bomb(kind: str) -> bytes:
    """An archive of a few kB that would like to be gigabytes."""
    zeros = bytes(1 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays().items():
            if name == "x_train" and kind in ("array", "header", "magic"):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    if kind == "array":
                        np.lib.format.write_array_header_1_0(
                            file, {"descr": "|u1", "fortran_order": False, "shape": (12, 28, 28)}
                        )
                    if kind == "header":  # a header of 4 GB in an .npy of version 2
                        file.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1))
                    for _ in range(300):
                        file.write(zeros)
            elif name == "x_train" and kind in ("lzma", "bzip2"):
                how = zipfile.ZIP_LZMA if kind == "lzma" else zipfile.ZIP_BZIP2
                archive.writestr(f"{name}.npy", npy(array) + bytes(9999), how)
            else:
                archive.writestr(f"{name}.npy", npy(array))
        for number in range(25000 if kind == "names" else 0):
            archive.writestr(f"{number:040}", b"", zipfile.ZIP_STORED)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("array", "9408 bytes .* got more"),
        ("header", r"\.npy version \(2, 0\)"),
        ("magic", "whole .npz file"),
        ("lzma", "stored or deflated"),
        ("bzip2", "stored or deflated"),
        ("names", "a directory of more than"),
    ],
)
def test_bombs(tmp_path: Path, kind: str, message: str) -> None:
    path = write_npz(tmp_path)
    path.write_bytes(bomb(kind))
    with within(seconds=5, megabytes=10), pytest.raises(DataError, match=message) as caught:
        mnist(tmp_path)
    check_sentence(caught.value)


def test_an_idx_header_asks_for_no_more_than_the_data_set(tmp_path: Path) -> None:
    path = write_idx(tmp_path, arrays()) / IMAGES
    path.write_bytes(struct.pack(">4I", 0x803, 2**32 - 1, 28, 28) + bytes(100))
    with within(seconds=1, megabytes=1), pytest.raises(DataError, match="at most 60000 entries"):
        mnist(tmp_path)
    path.write_bytes(struct.pack(">4I", 0x803, _MNIST.train, 28, 28) + bytes(100))  # an allowed size, but few bytes
    with within(seconds=1, megabytes=50), pytest.raises(DataError, match="got fewer"):
        mnist(tmp_path)


def test_names_in_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\x1b[2J\n" + "x" * 60000, b"")
    with pytest.raises(DataError, match="an array x_train") as caught:
        mnist(tmp_path)
    check_sentence(caught.value)
