"""Ending a run when a figure no longer improves, with the best weights given back."""

from __future__ import annotations

import math
from typing import Any

from minidl.errors import ArgumentError
from minidl.train.checkpoint import Stateful

__all__ = ["EarlyStopping"]


class EarlyStopping:
    """Says when ``patience`` epochs in a row brought nothing better, and keeps a copy of the best epoch's weights.

    ::

        stopping = EarlyStopping(model, patience=5, mode="max")
        for epoch in range(100):
            ...
            if stopping.update(validation_accuracy):
                break
        stopping.restore()

    mode: "min" for a figure that should fall (a loss), "max" for one that should rise. A figure is better if it
    differs from the best by more than ``min_delta``; NaN never is. ``best`` is the best figure (None before the first),
    ``best_epoch`` its epoch, ``epoch`` the number of epochs counted, from 1. A checkpoint holds all of it, the weights
    too. Raises ArgumentError for patience < 1, min_delta < 0 and other modes. Source: Prechelt 1998.
    """

    def __init__(self, model: Stateful, patience: int = 10, mode: str = "min", min_delta: float = 0.0) -> None:
        if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
            raise ArgumentError(
                "EarlyStopping", expected="patience as a whole number of at least 1", got=repr(patience)
            )
        if mode not in ("min", "max"):
            raise ArgumentError("EarlyStopping", expected='mode "min" or "max"', got=repr(mode))
        if not isinstance(min_delta, (int, float)) or not 0 <= min_delta < math.inf:
            raise ArgumentError("EarlyStopping", expected="min_delta >= 0", got=repr(min_delta))
        self.model = model
        self.patience = patience
        self.mode = mode
        self.min_delta = min_delta
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self._weights: dict[str, Any] = {}

    @property
    def should_stop(self) -> bool:
        """Whether the last ``patience`` epochs were no better than the best."""
        return self.epoch - self.best_epoch >= self.patience

    def update(self, figure: float) -> bool:
        """Count an epoch with its figure, and keep the model's weights if it is the best; whether to stop now."""
        figure = float(figure)
        self.epoch += 1
        if self._is_better(figure):
            self.best, self.best_epoch = figure, self.epoch
            self._weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        return self.should_stop

    def restore(self) -> None:
        """Give the model the weights of the best epoch. ArgumentError where no epoch had a figure but NaN."""
        if self.best is None:
            raise ArgumentError("EarlyStopping.restore", expected="an epoch with a figure", got="none")
        self.model.load_state_dict(self._weights)

    def _is_better(self, figure: float) -> bool:
        if self.best is None:
            return not math.isnan(figure)
        return figure < self.best - self.min_delta if self.mode == "min" else figure > self.best + self.min_delta

    def state_dict(self) -> dict[str, Any]:
        """Epochs counted, the best one, its figure and its weights (not copies)."""
        return {
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "weights": dict(self._weights),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave. ArgumentError for anything else, or for weights of another model."""
        who = "EarlyStopping.load_state_dict"
        if not isinstance(state, dict) or set(state) != set(self.state_dict()):
            raise ArgumentError(who, expected="epoch, best, best_epoch and weights", got=repr(state)[:80])
        epoch, best, best_epoch, weights = (state[name] for name in ("epoch", "best", "best_epoch", "weights"))
        counts = all(isinstance(count, int) and not isinstance(count, bool) for count in (epoch, best_epoch))
        if not counts or not 0 <= best_epoch <= epoch:
            raise ArgumentError(who, expected="0 <= best_epoch <= epoch", got=f"{best_epoch!r} and {epoch!r}"[:80])
        if (best is not None and not isinstance(best, (int, float))) or (best is None) != (best_epoch == 0):
            raise ArgumentError(who, expected="best as a number, or None before the first epoch", got=repr(best)[:80])
        own = {} if best is None else {name: tuple(t.shape) for name, t in self.model.state_dict().items()}
        found = {name: tuple(t.shape) for name, t in weights.items()}
        if own != found:
            differing = sorted(name for name in {*own, *found} if own.get(name) != found.get(name))
            raise ArgumentError(who, expected="the model's weights", got=f"others at {', '.join(differing[:8])}")
        self.epoch, self.best, self.best_epoch = epoch, best, best_epoch
        self._weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
