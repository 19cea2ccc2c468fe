"""Moving averages of weights, under the names of ``torch.optim.swa_utils``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from minidl._factories import tensor
from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad
from minidl.backend.dtypes import int64, is_real
from minidl.errors import ArgumentError, DTypeError
from minidl.optim.lr_scheduler.base import LRScheduler, check_whole, one_for_each_group
from minidl.optim.optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


class AveragedModel:
    """A copy of a model whose parameters are an average of the model's own over the course of training.

    ``average.update_parameters(model)`` takes the model's present weights in: the first time they are copied, then
    ``avg_fn(averaged, current, n)`` gives the new average of each parameter, n the number of updates so far; the
    default is the mean of all (Izmailov et al. 2018), ``get_ema_avg_fn(decay)`` an exponential average.
    ``multi_avg_fn(averaged, current, n)`` changes lists of parameters in place instead. Buffers are copied from the
    model, or averaged too with ``use_buffers``. Batch normalisation needs statistics for the averaged weights:
    ``update_bn``, or ``use_buffers``.

    As ``torch.optim.swa_utils.AveragedModel``, state_dict included (``n_averaged``, ``module.*``); but it only behaves
    like a Module where training and evaluation need it, as this floor does not know Module. The model itself, for
    anything else, is ``average.module``.
    """

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError(
                "AveragedModel",
                expected="one way to average",
                got="avg_fn and multi_avg_fn",
                hint="Only one of avg_fn and multi_avg_fn should be provided",
            )
        if not callable(getattr(model, "parameters", None)):
            raise DTypeError("AveragedModel", expected="a model", got=type(model).__name__)
        self.module = copy.deepcopy(model)
        self.module.zero_grad()
        if device is not None:
            self.module.to(device)
        self.n_averaged = tensor(0, dtype=int64)
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's output."""
        return self.module(*args, **kwargs)

    forward = __call__

    @no_grad()
    def update_parameters(self, model: Any) -> None:
        """Take the present weights of ``model``, which must be built like the one this was made from, into the mean."""
        averaged, current = self._averaged_tensors(self.module), self._averaged_tensors(model)
        if [a.shape for a in averaged] != [c.shape for c in current]:
            raise ArgumentError(
                "AveragedModel.update_parameters",
                expected=f"a model with the {len(averaged)} tensors of the first",
                got=f"{len(current)} tensors, or other shapes",
            )
        current = [c.detach().to(a.device) for a, c in zip(averaged, current)]
        averaged = [a.detach() for a in averaged]
        count = int(self.n_averaged.item())
        if count == 0:
            for a, c in zip(averaged, current):
                a.copy_(c)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averaged, current, count)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for a, c in zip(averaged, current):
                a.copy_(average(a, c, count))
        if not self.use_buffers:
            for a, c in zip(self.module.buffers(), model.buffers()):
                a.copy_(c.detach().to(a.device))
        self.n_averaged.add_(1)

    def _averaged_tensors(self, model: Any) -> list[Tensor]:
        return list(chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters())

    @property
    def training(self) -> bool:
        """Whether the averaged model is in training mode."""
        return self.module.training

    def train(self, mode: bool = True) -> AveragedModel:
        """Put the averaged model into training mode; returns itself."""
        self.module.train(mode)
        return self

    def eval(self) -> AveragedModel:
        """Put the averaged model into evaluation mode; returns itself."""
        return self.train(False)

    def to(self, *args: Any, **kwargs: Any) -> AveragedModel:
        """Move the averaged model as ``Module.to`` does; returns itself."""
        self.module.to(*args, **kwargs)
        return self

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """The averaged parameters."""
        return self.module.parameters(recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The number of updates, and the averaged model's buffers."""
        return chain([self.n_averaged], self.module.buffers(recurse))

    def modules(self) -> Iterator[Any]:
        """The averaged model and its layers."""
        return self.module.modules()

    def state_dict(self) -> dict[str, Tensor]:
        """``n_averaged``, and the averaged model's state under ``module.``; not copies."""
        return {
            "n_averaged": self.n_averaged,
            **{f"module.{name}": value for name, value in self.module.state_dict().items()},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave; RuntimeError, with all names, where it does not fit."""
        foreign = [name for name in state_dict if name != "n_averaged" and not name.startswith("module.")]
        if "n_averaged" not in state_dict or foreign:
            raise ArgumentError(
                "AveragedModel.load_state_dict",
                expected='"n_averaged" and names that begin with "module."',
                got=", ".join(foreign[:5]) or "no n_averaged",
            )
        count = tensor(state_dict["n_averaged"], dtype=int64)
        if count.shape != () or count.item() < 0:
            raise ArgumentError("AveragedModel.load_state_dict", expected="n_averaged as a number", got=repr(count))
        inner = {name.removeprefix("module."): value for name, value in state_dict.items() if name != "n_averaged"}
        self.module.load_state_dict(inner)
        self.n_averaged = count

    def __repr__(self) -> str:
        inner = repr(self.module).replace("\n", "\n  ")
        return f"AveragedModel(\n  (module): {inner}\n)"


def get_swa_avg_fn() -> Average:
    """averaged + (current - averaged) / (n + 1): the mean of all updates."""

    @no_grad()
    def average(averaged: Tensor, current: Tensor, n: Any) -> Tensor:
        return averaged + (current - averaged) / (n + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """decay averaged + (1 - decay) current. ArgumentError unless 0 <= decay <= 1."""
    _check_decay("get_ema_avg_fn", decay)

    @no_grad()
    def average(averaged: Tensor, current: Tensor, n: Any) -> Tensor:
        return decay * averaged + (1 - decay) * current

    return average


def get_swa_multi_avg_fn() -> MultiAverage:
    """As ``get_swa_avg_fn``, for lists of tensors and in place."""
    return _in_place(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """As ``get_ema_avg_fn``, for lists of tensors and in place."""
    _check_decay("get_ema_multi_avg_fn", decay)
    return _in_place(get_ema_avg_fn(decay))


def _in_place(average: Average) -> MultiAverage:
    @no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], n: Any) -> None:
        for a, c in zip(averaged, current):
            a.copy_(average(a, c, n))

    return update


def _check_decay(who: str, decay: Any) -> None:
    if not is_real(decay) or not 0 <= decay <= 1:
        raise ArgumentError(who, expected="0 <= decay <= 1", got=repr(decay), hint=f"Invalid decay value {decay}")


@no_grad()
def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Make the running statistics of batch normalisation anew: the mean over all batches of one pass of ``loader``.

    The loader gives inputs, or tuples and lists that begin with them; ``device`` is where to move them. The model's
    mode and its layers' momenta are afterwards what they were. Source: torch.optim.swa_utils.update_bn.
    """
    layers = [layer for layer in model.modules() if hasattr(layer, "reset_running_stats")]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    model.train()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """From the present rate to ``swa_lr`` within ``anneal_epochs`` epochs, and constant from there.

    As ``torch.optim.swa_utils.SWALR``: along half a cosine or a straight line (``anneal_strategy`` "cos" or "linear").
    ``swa_lr`` may be a list, one for each group. Raises ArgumentError for other strategies and negative epochs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError("SWALR", expected="an Optimizer", got=type(optimizer).__name__)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError("SWALR", expected='anneal_strategy "cos" or "linear"', got=repr(anneal_strategy))
        check_whole("SWALR", "anneal_epochs", anneal_epochs, 0)
        for group, rate in zip(optimizer.param_groups, one_for_each_group("SWALR", "swa_lr", swa_lr, optimizer)):
            if not is_real(rate):
                raise DTypeError("SWALR", expected="swa_lr as a number", got=repr(rate))
            group["swa_lr"] = rate
        self.anneal_epochs = anneal_epochs
        self._anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group in self.optimizer.param_groups:
            # The rate is a mixture of the one at the beginning, which is found from the present one, and swa_lr.
            start = group["swa_lr"] if before == 1 else (group["lr"] - before * group["swa_lr"]) / (1 - before)
            rates.append(group["swa_lr"] * now + start * (1 - now))
        return rates

    def _part(self, step: int) -> float:
        """How much of swa_lr there is after so many steps, from 0 to 1."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2
