"""What a row can do beside plain training; the plain method does nothing."""

from __future__ import annotations

from typing import Any

from minidl import nn, optim
from minidl.data import DataLoader, ImageData
from reports.record import Optimizer

__all__ = ["Method"]


class Method:
    """What happens around the steps of a row: subclasses override what they change.

    Made anew for every run, of the row's network (before training), its optimizer's record, its images (scaled as the
    row has them), and the number of training steps. What is to survive a stop belongs into ``state_dict``.
    """

    drop_last = False  # whether the smaller last batch of an epoch is left out

    def __init__(self, model: nn.Module, optimizer: Optimizer, data: ImageData, batch_size: int, epochs: int) -> None:
        self.model = model

    def parameters(self) -> Any:
        """What the optimizer is given: the parameters, or groups of them."""
        return self.model.parameters()

    def begin_epoch(self, number: int, loader: DataLoader) -> None:
        """Before the first batch of epoch ``number``, counted from 1."""

    def before_step(self, optimizer: optim.Optimizer) -> None:
        """Before every training step."""

    def after_step(self) -> None:
        """After every training step."""

    def end_epoch(self, number: int) -> None:
        """After the last step of epoch ``number``, before the network is judged."""

    def judged(self) -> nn.Module:
        """What is judged after an epoch: the network, or something around it."""
        return self.model

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
