"""Whole networks, built from ``minidl.nn``: those of the documented experiments."""

from minidl.models.experiments import (
    MLP,
    AveragePoolConvNet,
    BatchNormConvNet,
    FourConvNet,
    LeNet,
    MNISTConvNet,
    TwoConvNet,
    WideConvNet,
)
from minidl.models.whitened import WhitenedConvNet

__all__ = [
    "MLP",
    "AveragePoolConvNet",
    "BatchNormConvNet",
    "FourConvNet",
    "LeNet",
    "MNISTConvNet",
    "TwoConvNet",
    "WhitenedConvNet",
    "WideConvNet",
]
