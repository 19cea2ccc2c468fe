"""The record of an experiment: every setting that its result depends on, what was reported, and what is our guess.

A record is data. A report is a list of records in a module named by its subject; one runner (``runner.py``) serves them
all, and a new experiment is a new record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from minidl import nn
from minidl.data import Augmentation

__all__ = [
    "NO_AUGMENTATION",
    "Alias",
    "Images",
    "Network",
    "Optimizer",
    "Report",
    "Reported",
    "Row",
    "Study",
    "describe",
]


NO_AUGMENTATION = Augmentation()


@dataclass(frozen=True)
class Images:
    """Which images train, validate and test, and how their pixels are scaled.

    ``mean`` and ``std`` of each channel, pixels in [0, 1]; None: those of the training set. ``validation``: that many
    images are taken from the training set at random. ``test_parts``: the test images are split at random into these
    named parts instead of serving whole. ``split_seed`` draws both splits.
    """

    name: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    validation: int = 0
    test_parts: Mapping[str, int] = field(default_factory=dict)
    split_seed: int = 0


@dataclass(frozen=True)
class Network:
    """A network: the name that the report's reader knows, what makes it, and its exact number of parameters."""

    name: str
    make: Callable[[], nn.Module]
    parameters: int


@dataclass(frozen=True)
class Optimizer:
    """A class of ``minidl.optim`` by name, its learning rate, and the arguments that are not the default."""

    kind: str
    lr: float
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reported:
    """What the report says. ``measure`` names our figure that stands beside ``value`` (a fraction in [0, 1]), or beside
    ``text``; without a name the test accuracy.

    ``images``: how many images the figure rests on. ``chance``: the report says that the network does not learn; then
    a higher figure is a difference too. ``text``: the report's finding in words, where it gives no single figure.
    """

    measure: str = ""
    value: float | None = None
    images: int = 10_000
    chance: bool = False
    text: str = ""


@dataclass(frozen=True)
class Row:
    """An experiment: a network trained once.

    ``loss``: cross_entropy, or mse (against one-hot targets). ``augmentation`` is done to training images,
    ``evaluation_augmentation`` to all others, with ``also_plain`` naming the parts that are judged without it as well.
    ``patience``: stop after that many epochs without a better validation accuracy, keep the best weights; 0: train all
    epochs, keep the last. ``planned_epochs``: how many are expected under early stopping, for plans of time.
    ``starts_from``: the row whose final weights are the first ones here. ``pretrained``: weights that the network
    begins with and that the user has to bring (``--weights``), in words. ``begins_like``: the row that is bit for bit
    the beginning of this one (the same setting with fewer epochs), taken over where it is finished.
    ``label_smoothing``: of the training loss. ``method``: a subclass of ``reports.method.Method``, for a row that does
    more than train in the plain way; its name is part of the setting. ``figures_every``: steps between the running
    figures that are kept; 0: none. ``keep_weights``: also those of the start and the middle of training.
    """

    name: str
    title: str
    images: Images
    network: Network
    optimizer: Optimizer
    epochs: int
    batch_size: int
    reported: Reported
    augmentation: Augmentation = NO_AUGMENTATION
    evaluation_augmentation: Augmentation = NO_AUGMENTATION
    also_plain: tuple[str, ...] = ()
    loss: str = "cross_entropy"
    patience: int = 0
    planned_epochs: int = 0
    seed: int = 0
    starts_from: str = ""
    pretrained: str = ""
    begins_like: str = ""
    label_smoothing: float = 0.0
    method: Callable[..., Any] | None = None
    figures_every: int = 0
    keep_weights: bool = False
    assumed: tuple[str, ...] = ()
    comment: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The rows whose weights this one cannot do without."""
        return (self.starts_from,) if self.starts_from else ()


@dataclass(frozen=True)
class Alias:
    """A row that the report shows twice: its result is that of the row ``same_as``."""

    name: str
    title: str
    same_as: str
    reported: Reported
    comment: str = ""


@dataclass(frozen=True)
class Study:
    """A row that trains nothing: figures or pictures made from the data or from the weights of the rows in ``needs``.

    ``make(place, data, rows)`` does it and returns the figures for the result file: it is given the data sets by name
    and the records of the rows in ``needs``. ``pictures``: the names of the pictures that it leaves beside the result.
    ``options``: the command line's options that ``make`` takes by name as well.
    """

    name: str
    title: str
    make: Callable[..., dict[str, Any]]
    reported: Reported
    needs: tuple[str, ...] = ()
    images: tuple[str, ...] = ("cifar10",)
    pictures: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Report:
    """One lab report: its number, its subject, its rows in the order of the report, and the comparisons it draws.

    ``comparisons``: by the name of the picture, its title and the rows whose curves it sets side by side.
    """

    number: str
    subject: str
    rows: tuple[Row | Alias | Study, ...]
    comparisons: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


def describe(row: Row) -> dict[str, Any]:
    """Every setting that the weights of ``row`` depend on except the number of epochs, as JSON holds it.

    Two rows of equal description and seed begin bit for bit alike; a result or a checkpoint of another description
    does not belong to the row.
    """
    images = row.images
    description: dict[str, Any] = {
        "data": images.name,
        "mean": None if images.mean is None else list(images.mean),
        "std": None if images.std is None else list(images.std),
        "validation": images.validation,
        "test_parts": dict(images.test_parts),
        "split_seed": images.split_seed,
        "network": row.network.name,
        "parameters": row.network.parameters,
        "optimizer": {"kind": row.optimizer.kind, "lr": row.optimizer.lr, **row.optimizer.options},
        "batch_size": row.batch_size,
        "loss": row.loss,
        "augmentation": _not_default(row.augmentation),
        "evaluation_augmentation": _not_default(row.evaluation_augmentation),
        "patience": row.patience,
        "starts_from": row.starts_from,
        "seed": row.seed,
    }
    if row.pretrained:
        description["pretrained"] = row.pretrained
    if row.label_smoothing:
        description["label_smoothing"] = row.label_smoothing
    if row.method is not None:  # its schedule depends on how long it trains
        description |= {"method": row.method.__name__, "epochs": row.epochs}
    return json.loads(json.dumps(description))  # tuples become lists, as in a file


def _not_default(augmentation: Augmentation) -> dict[str, Any]:
    """What the augmentation does, without what it leaves alone."""
    nothing = asdict(NO_AUGMENTATION)
    return {name: value for name, value in asdict(augmentation).items() if value != nothing[name]}
