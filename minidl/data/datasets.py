"""CIFAR-10 and MNIST: where their files are looked for, and torchvision's names for them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.archive import DataError, Format, read_idx, read_npz
from minidl.data.images import ImageData, ImageDataset, channel_statistics
from minidl.data.transforms import as_recipe
from minidl.errors import ArgumentError

__all__ = ["CIFAR10", "MNIST", "cifar10", "is_available", "mnist"]

_CIFAR10 = Format(
    name="cifar10",
    image=(32, 32, 3),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    train=50000,
    test=10000,
)
_MNIST = Format(name="mnist", image=(28, 28, 1), classes=tuple("0123456789"), train=60000, test=10000)
_FORMATS = {"cifar10": _CIFAR10, "mnist": _MNIST}

# The names of MNIST's four files, as LeCun gave them and torchvision keeps them.
_IDX_PREFIX = {"train": "train", "test": "t10k"}


def cifar10(data_dir: str | os.PathLike[str] | None = None, download: bool = False) -> ImageData:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test images, (N, 32, 32, 3) RGB, ten classes.

    Looked for in ``data_dir``; without one, in the folder named by the environment variable MINIDL_DATA; without
    that, in ``./data``. There ``cifar10.npz`` (arrays x_train, y_train, x_test, y_test) comes first, then what
    torchvision downloaded (``cifar-10-batches-py``). ``download=True`` fetches it through torchvision, which checks
    its checksum. Raises DataError where it is missing or damaged. An ``.npz`` may hold fewer images, never more.
    """
    return _load(_CIFAR10, data_dir, download)


def mnist(data_dir: str | os.PathLike[str] | None = None, download: bool = False) -> ImageData:
    """MNIST (LeCun, Cortes, Burges): 60,000 training and 10,000 test images, (N, 28, 28, 1) grey, ten digits.

    Looked for as ``cifar10`` looks: ``mnist.npz``, then ``MNIST/raw`` as torchvision downloads it.
    """
    return _load(_MNIST, data_dir, download)


def is_available(name: str, data_dir: str | os.PathLike[str] | None = None) -> bool:
    """Whether ``cifar10`` or ``mnist`` would find its files where it looks, without reading or downloading them."""
    if name not in _FORMATS:
        raise ArgumentError("is_available", expected=f"one of {', '.join(_FORMATS)}", got=repr(name))
    return _find(_FORMATS[name], _folder(data_dir)) is not None


def _load(form: Format, data_dir: str | os.PathLike[str] | None, download: bool) -> ImageData:
    folder = _folder(data_dir)
    read = _find(form, folder)
    if read is None:
        if not download:
            raise _missing(form, [folder])
        read = _download(form, folder)
    x_train, y_train = read("train")
    x_test, y_test = read("test")
    mean, std = channel_statistics(x_train)
    return ImageData(form.name, x_train, y_train, x_test, y_test, form.classes, mean, std)


def _folder(data_dir: str | os.PathLike[str] | None) -> Path:
    return Path(data_dir if data_dir is not None else os.environ.get("MINIDL_DATA") or "data")


_Reader = Callable[[str], "tuple[np.ndarray, np.ndarray]"]


def _find(form: Format, folder: Path) -> _Reader | None:
    """What reads a part ("train" or "test") of the data set from ``folder``; None where its files are not there."""
    archive = folder / f"{form.name}.npz"
    if archive.is_file():
        return lambda part: read_npz(archive, form, part)
    if form is _CIFAR10:
        # These are pickles: torchvision unpickles them, after it has compared their checksums.
        if (folder / "cifar-10-batches-py").is_dir():
            return lambda part: _read_torchvision(folder, part)
        return None
    raw = folder / "MNIST" / "raw"
    pairs = {part: _idx_pair(raw, part) for part in ("train", "test")}
    if all(path.is_file() for pair in pairs.values() for path in pair):
        return lambda part: read_idx(*pairs[part], form)
    return None


def _idx_pair(raw: Path, part: str) -> tuple[Path, Path]:
    prefix = _IDX_PREFIX[part]
    return raw / f"{prefix}-images-idx3-ubyte", raw / f"{prefix}-labels-idx1-ubyte"


def _read_torchvision(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    torchvision_datasets = _torchvision("cifar10", f"to read {folder / 'cifar-10-batches-py'}")
    try:
        pictures = torchvision_datasets.CIFAR10(str(folder), train=part == "train", download=False)
    except RuntimeError as error:
        raise DataError(
            "cifar10",
            expected=f"the files of cifar-10-batches-py in {folder} with their published checksums",
            got="missing or altered ones",
            hint="Delete that folder and load with download=True.",
        ) from error
    return pictures.data, np.asarray(pictures.targets, np.int64)


def _download(form: Format, folder: Path) -> _Reader:
    torchvision_datasets = _torchvision(form.name, "to download")
    make = torchvision_datasets.CIFAR10 if form is _CIFAR10 else torchvision_datasets.MNIST
    try:
        make(str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:  # no network, no room, a wrong checksum
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            form.name,
            expected=f"to download the data set into {folder}",
            got=reason,
            hint=f"Put {form.name}.npz into a folder and name that folder.",
        ) from error
    read = _find(form, folder)
    if read is None:
        raise _missing(form, [folder])
    return read


def _torchvision(name: str, purpose: str) -> Any:
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        # RuntimeError: torch and torchvision are of versions that do not fit together.
        absent = importlib.util.find_spec("torchvision") is None
        raise DataError(
            name,
            expected=f"torchvision {purpose}",
            got="no torchvision" if absent else f"one that cannot be imported ({error})",
            hint='pip install "minidl[torchvision]"',
        ) from error
    return datasets


def _missing(form: Format, folders: list[Path]) -> DataError:
    other = "cifar-10-batches-py" if form is _CIFAR10 else "MNIST/raw"
    places = [f"{folder}{'' if folder.is_dir() else ' (no such folder)'}" for folder in folders]
    return DataError(
        form.name,
        expected=f"{form.name}.npz or torchvision's {other} in {' or '.join(places)}",
        got="neither",
        hint=f"Name the folder that holds {form.name}.npz (data_dir, or the environment variable MINIDL_DATA), or load"
        " with download=True.",
    )


class _TorchvisionLike:
    """What torchvision's CIFAR10 and MNIST have in common; ``_form`` says which it is.

    root: folder in which to look, as ``cifar10(data_dir)`` does, and into which to download; the folder in the
    environment variable MINIDL_DATA is looked in second. train: the training or the test images. transform,
    target_transform: called with the image and the label. download: fetch what is not there.

    ``dataset[i]`` is ``(image, label)``: the image is a uint8 array (H, W, C) where torchvision has a PIL image, the
    label an int. ``data`` (N, H, W, C) uint8 and ``targets`` (N,) int64 are the arrays. A transform made of
    RandomCrop, RandomHorizontalFlip, ToTensor and Normalize that amounts to an ``Augmentation`` is done by DataLoader
    for whole batches; any other is called image by image.
    """

    _form: Format

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        folders = [Path(root)]
        if os.environ.get("MINIDL_DATA"):
            folders.append(Path(os.environ["MINIDL_DATA"]))
        read = next((found for folder in folders if (found := _find(self._form, folder))), None)
        if read is None:
            if not download:
                raise _missing(self._form, folders)
            read = _download(self._form, folders[0])
        self.data, self.targets = read("train" if train else "test")
        self.train, self.transform, self.target_transform = train, transform, target_transform
        self.classes = list(self._form.classes)
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        position = range(len(self))[i]  # IndexError outside, negative ones from the end
        image, label = self.data[position], int(self.targets[position])
        return (
            image if self.transform is None else self.transform(image),
            label if self.target_transform is None else self.target_transform(label),
        )

    def whole_batches(self) -> ImageDataset | None:
        """The same as an ImageDataset, where the transforms amount to one."""
        recipe = as_recipe(self.transform, self._form.image) if self.target_transform is None else None
        if recipe is None:
            return None
        return ImageDataset(self.data, self.targets, recipe.mean, recipe.std, recipe.augmentation)


class CIFAR10(_TorchvisionLike):
    __doc__ = f"CIFAR-10 under torchvision's name. {_TorchvisionLike.__doc__}"
    _form = _CIFAR10


class MNIST(_TorchvisionLike):
    __doc__ = f"MNIST under torchvision's name. {_TorchvisionLike.__doc__}"
    _form = _MNIST
