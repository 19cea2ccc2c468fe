"""Whole networks, built from ``minidl.nn``: those of the documented experiments, ResNets and VGG."""

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
from minidl.models.resnet import ResNet, resnet18, resnet34, resnet50
from minidl.models.vgg import VGG, vgg11
from minidl.models.whitened import WhitenedConvNet

__all__ = [
    "MLP",
    "VGG",
    "AveragePoolConvNet",
    "BatchNormConvNet",
    "FourConvNet",
    "LeNet",
    "MNISTConvNet",
    "ResNet",
    "TwoConvNet",
    "WhitenedConvNet",
    "WideConvNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg11",
]
