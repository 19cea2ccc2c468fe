"""Where data sets are looked for, and files that are not what they claim to be: one clear error, nothing unpickled."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torchvision

from minidl.data import DataError, cifar10, is_available, mnist
from minidl.data.datasets import CIFAR10, MNIST
from minidl.data.images import channel_statistics
from minidl.errors import ArgumentError


def arrays(train: int = 12, test: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "x_train": random.integers(0, 256, (train, 28, 28), np.uint8),
        "y_train": random.integers(0, 10, train).astype(np.uint8),
        "x_test": random.integers(0, 256, (test, 28, 28), np.uint8),
        "y_test": random.integers(0, 10, test).astype(np.uint8),
    }


def write_npz(folder: Path, name: str = "mnist.npz", **changes: Any) -> Path:
    """An .npz like MNIST's; a change replaces an array, None leaves it out."""
    folder.mkdir(exist_ok=True)
    content = {key: value for key, value in {**arrays(), **changes}.items() if value is not None}
    np.savez_compressed(folder / name, **content)
    return folder / name


def write_idx(folder: Path, content: dict[str, np.ndarray]) -> Path:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, prefix in (("train", "train"), ("test", "t10k")):
        x, y = content[f"x_{part}"], content[f"y_{part}"]
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *x.shape) + x.tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, *y.shape) + y.tobytes())
    return raw


def write_member(path: Path, member: str, shape: tuple[int, ...], data: bytes, descr: str = "|u1") -> None:
    """Replace one array of the archive by an .npy with this header and these bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()}
    content[f"{member}.npy"] = buffer.getvalue() + data
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, text in content.items():
            new.writestr(name, text)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder of this machine is in the way."""
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


# Good files


def test_npz_gives_what_it_holds(tmp_path: Path) -> None:
    write_npz(tmp_path)
    data, expected = mnist(tmp_path), arrays()
    assert data.name == "mnist"
    assert data.x_train.shape == (12, 28, 28, 1)
    assert data.y_test.dtype == np.int64
    for key, value in expected.items():
        np.testing.assert_array_equal(np.squeeze(getattr(data, key)), value)


def test_npz_in_other_forms(tmp_path: Path) -> None:
    # Keras writes labels (N, 1); a channel axis may be there; arrays may be in Fortran order, labels big-endian.
    expected = arrays()
    write_npz(
        tmp_path,
        x_train=np.asfortranarray(expected["x_train"]),
        x_test=expected["x_test"][..., None],
        y_train=expected["y_train"][:, None].astype(">i4"),
    )
    data = mnist(tmp_path)
    np.testing.assert_array_equal(data.x_train[..., 0], expected["x_train"])
    np.testing.assert_array_equal(data.x_test[..., 0], expected["x_test"])
    np.testing.assert_array_equal(data.y_train, expected["y_train"])


def test_idx_files_give_what_torchvision_reads(tmp_path: Path) -> None:
    write_idx(tmp_path, arrays())
    data = mnist(tmp_path)
    for train, x, y in ((True, data.x_train, data.y_train), (False, data.x_test, data.y_test)):
        reference = torchvision.datasets.MNIST(str(tmp_path), train=train)
        np.testing.assert_array_equal(x[..., 0], reference.data.numpy())
        np.testing.assert_array_equal(y, reference.targets.numpy())


def test_statistics_are_numpys(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2501, 3, 5, 3), np.uint8)
    images[..., 1] //= 3
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-12)
    bright = channel_statistics(np.full((2000, 2, 2, 1), 255, np.uint8))  # the largest sums
    np.testing.assert_allclose(bright, ((1.0,), (0.0,)), atol=1e-7)


# Where they are looked for


def test_order_of_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"named": 3, "environment": 4, "here": 5}
    write_npz(tmp_path / "named", **arrays(test=counts["named"]))
    write_npz(tmp_path / "environment", **arrays(test=counts["environment"]))
    here = tmp_path / "work" / "data"
    write_idx(here, arrays(test=9))
    assert len(mnist().x_test) == 9
    write_npz(here, **arrays(test=counts["here"]))  # an .npz comes before torchvision's files
    assert len(mnist().x_test) == counts["here"]
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "environment"))
    assert len(mnist().x_test) == counts["environment"]
    assert len(mnist(tmp_path / "named").x_test) == counts["named"]
    assert len(MNIST(tmp_path / "named", train=False)) == counts["named"]
    assert len(MNIST(tmp_path / "nowhere", train=False)) == counts["environment"]


def test_is_available_says_what_loading_would_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_available("mnist")
    assert not is_available("mnist", tmp_path)
    write_npz(tmp_path)
    assert is_available("mnist", tmp_path)
    assert not is_available("cifar10", tmp_path)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    assert is_available("mnist")
    with pytest.raises(ArgumentError, match="cifar10, mnist"):
        is_available("imagenet")


def test_a_folder_without_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10\.npz or torchvision's cifar-10-batches-py in .*work, got neither"):
        cifar10(tmp_path / "work")
    with pytest.raises(DataError, match=r"gone \(no such folder\).*MINIDL_DATA.*download=True"):
        mnist(tmp_path / "gone")
    with pytest.raises(DataError, match="cifar10"):
        CIFAR10(tmp_path / "gone")


def test_a_named_folder_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npz(tmp_path / "environment")
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "environment"))
    with pytest.raises(DataError, match="work"):
        mnist(tmp_path / "work")


# torchvision


def test_altered_torchvision_files_are_refused_unread(tmp_path: Path) -> None:
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    trap = tmp_path / "sprung"
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (batches / name).write_bytes(b"cbuiltins\nopen\n(V" + str(trap).encode() + b"\nVw\ntR.")
    assert is_available("cifar10", tmp_path)
    with pytest.raises(DataError, match="published checksums"):
        cifar10(tmp_path)
    assert not trap.exists()


def test_torchvisions_cifar10_is_taken_as_it_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    random = np.random.default_rng(3)
    content = {
        train: (random.integers(0, 256, (n, 32, 32, 3), np.uint8), list(range(n)))
        for train, n in ((True, 7), (False, 4))
    }

    class Reader:
        def __init__(self, root: str, train: bool, download: bool) -> None:
            assert root == str(tmp_path)
            assert not download
            self.data, self.targets = content[train]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Reader)
    data = cifar10(tmp_path)
    np.testing.assert_array_equal(data.x_train, content[True][0])
    np.testing.assert_array_equal(data.y_test, content[False][1])


def test_missing_torchvision_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataError, match=r'got no torchvision\. pip install "minidl\[torchvision\]"'):
        mnist(tmp_path, download=True)


def test_download_is_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "MNIST", no_network)
    with pytest.raises(DataError, match="no route to host"):
        mnist(tmp_path, download=True)

    def arrives(root: str, train: bool, download: bool) -> None:
        assert download
        write_idx(Path(root), arrays())

    monkeypatch.setattr(torchvision.datasets, "MNIST", arrives)
    assert len(mnist(tmp_path, download=True).x_train) == 12
    monkeypatch.setattr(torchvision.datasets, "MNIST", no_network)
    assert len(mnist(tmp_path, download=True).x_train) == 12  # already there: nothing is fetched


# Hostile files


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    for name in ("x_train", "y_train"):
        write_npz(tmp_path, **{name: np.array([Trap(trap)] * 12, dtype=object)})
        with pytest.raises(DataError, match=f"{name}.npy.*type object"):
            mnist(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, r"an array x_train .* got x_test\.npy, y_test\.npy, y_train\.npy"),
        ({"y_test": None, "labels": np.zeros(5)}, "an array y_test .* labels.npy"),
        ({"x_train": np.zeros((12, 28, 28), np.float32)}, "uint8 as x_train.npy .* float32"),
        ({"x_train": np.zeros((12, 32, 32, 3), np.uint8)}, r"shape \(N, 28, 28, 1\) or \(N, 28, 28\)"),
        ({"x_train": np.zeros((12, 28, 28, 3), np.uint8)}, r"\(12, 28, 28, 3\)"),
        ({"x_train": np.zeros((0, 28, 28), np.uint8)}, r"\(0, 28, 28\)"),
        ({"x_train": np.uint8(0)}, r"got \(\)"),
        ({"x_test": np.zeros((10001, 28, 28), np.uint8)}, "N from 1 to 10000"),
        ({"y_train": np.zeros(12)}, "integers as y_train.npy .* float64"),
        ({"y_train": np.zeros((12, 10), np.uint8)}, r"\(12, 10\)"),
        ({"y_train": np.zeros(11, np.uint8)}, "12 images and 11 labels"),
        ({"y_train": np.full(12, 10, np.uint8)}, "labels from 0 to 9 .* 10 to 10"),
        ({"y_train": np.full(12, -1, np.int8)}, "got -1 to -1"),
    ],
)
def test_a_foreign_npz_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_npz(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        mnist(tmp_path)


@pytest.mark.parametrize("text", [b"", b"<html>not found</html>", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_archive(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mnist.npz").write_bytes(text)
    with pytest.raises(DataError, match=r"a whole \.npz file in .*mnist\.npz.*download the file again"):
        mnist(tmp_path)


def test_a_header_that_asks_for_more_than_the_data_set(tmp_path: Path) -> None:
    path = write_npz(tmp_path)
    write_member(path, "x_train", (10**15, 28, 28), b"")
    with pytest.raises(DataError, match="N from 1 to 60000"):
        mnist(tmp_path)
    write_member(path, "x_train", (60000, 28, 28), bytes(1000))
    with pytest.raises(DataError, match="got fewer"):
        mnist(tmp_path)
    write_member(path, "x_train", (12, 28, 28), bytes(3 << 20))
    with pytest.raises(DataError, match=r"9408 bytes .* got more"):
        mnist(tmp_path)


def test_damage_is_always_one_clear_error(tmp_path: Path) -> None:
    """Cut anywhere or with bytes altered, a file either still gives the same arrays or a DataError."""
    whole = write_npz(tmp_path).read_bytes()
    expected, random = arrays(), np.random.default_rng(0)
    damaged = [whole[:length] for length in random.integers(0, len(whole), 60)]
    for _ in range(300):
        text = bytearray(whole)
        # Half of the damage in the last 400 bytes, the archive's directory; half at the headers or anywhere.
        place = random.choice([random.integers(len(whole) - 400, len(whole)), random.integers(0, len(whole))])
        text[place] = random.integers(0, 256)
        damaged.append(bytes(text))
    refused = 0
    for text in damaged:
        (tmp_path / "mnist.npz").write_bytes(text)
        try:
            data = mnist(tmp_path)
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(data.x_train[..., 0], expected["x_train"])
            np.testing.assert_array_equal(data.y_test, expected["y_test"])
    assert refused > 150


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train-images-idx3-ubyte", b"\x1f\x8b\x08\x00" + bytes(20), "IDX file of bytes with 3 axes"),
        ("train-images-idx3-ubyte", b"\x00\x00\x08", "IDX file"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 2**31, 28, 28), "at most 60000 entries"),
        ("train-images-idx3-ubyte", struct.pack(">4I", 0x803, 12, 28, 28) + bytes(99), "got fewer"),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 0x801, 12) + bytes(13), "got more"),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 0x801, 3) + bytes(3), "12 images and 3 labels"),
        ("t10k-labels-idx1-ubyte", struct.pack(">2I", 0x801, 5) + bytes([11] * 5), "labels from 0 to 9"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, file: str, text: bytes, message: str) -> None:
    (write_idx(tmp_path, arrays()) / file).write_bytes(text)
    with pytest.raises(DataError, match=message):
        mnist(tmp_path)
