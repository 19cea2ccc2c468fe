"""Report 004: small CNNs on MNIST and CIFAR-10, colour jitter, fine-tuning."""

from __future__ import annotations

from functools import partial

from pretrained import IMAGENET_MEAN, IMAGENET_STD, make_resnet

from minidl.data import Augmentation, Jitter
from minidl.models import MLP, MNISTConvNet, TwoConvNet
from reports.record import NO_AUGMENTATION, Images, Network, Optimizer, Report, Reported, Row, Study
from reports.studies import worst_images

__all__ = ["REPORT"]

MNIST, CIFAR10 = Images("mnist"), Images("cifar10")
SGD, MOMENTUM = Optimizer("SGD", 0.01), Optimizer("SGD", 0.01, {"momentum": 0.9})

M1 = Network("M1", MNISTConvNet, 813_802)
M2 = Network("M2", partial(TwoConvNet, (1, 28, 28), (16, 16), (128,), pool_dropout=0.0), 405_306)
C1 = Network("C1", partial(TwoConvNet, (3, 32, 32), (16, 16), (128,)), 528_474)
C2 = Network("C2", partial(TwoConvNet, (3, 32, 32), (32, 32), (256, 128)), 2_141_738)
C3 = Network("C3", partial(TwoConvNet, (3, 32, 32), (16, 32), (64,)), 530_090)
MNIST_MLP = Network("MLP 256-128", partial(MLP, 784, 256, 128, 10), 235_146)
CIFAR_MLP = Network("MLP 256-128", partial(MLP, 3072, 256, 128, 10), 820_874)
RESNET50 = Network("ResNet-50 at 224 x 224", partial(make_resnet, "resnet50", 10, 224), 23_528_522)

JITTER = Augmentation(flip=0.5, jitter=Jitter(brightness=0.2, contrast=0.2, saturation=0.2, sharpness=0.2))

_BATCH = "batch 64"
_ASSUMED = (_BATCH, "pixels standardised with the mean and standard deviation of the data set")
_DROPOUT = ("dropout 0.25 after the pool where the model has it, 0.5 after the first hidden layer",)
_FACTORS = "factors within 0.2 of 1 for brightness, contrast, saturation and sharpness"
_MLP = ("hidden layers 256 and 128 with ReLU (the report's model is of another lab)",)


def _row(
    name: str,
    title: str,
    images: Images,
    network: Network,
    optimizer: Optimizer,
    epochs: int,
    accuracy: float,
    assumed: tuple[str, ...] = _DROPOUT,
    begins_like: str = "",
    augmentation: Augmentation = NO_AUGMENTATION,
    comment: str = "",
) -> Row:
    return Row(
        name,
        title,
        images,
        network,
        optimizer,
        epochs,
        64,
        Reported("test_accuracy", accuracy),
        augmentation=augmentation,
        begins_like=begins_like,
        assumed=(*_ASSUMED, *assumed),
        comment=comment,
    )


def _augmented_row(name: str, title: str, epochs: int, accuracy: float, begins_like: str = "") -> Row:
    assumed = (*_DROPOUT, _FACTORS)
    return _row(
        name, title, CIFAR10, C2, MOMENTUM, epochs, accuracy, assumed, begins_like=begins_like, augmentation=JITTER
    )


REPORT = Report(
    "004",
    "MNIST and CIFAR-10 with small networks, colour jitter",
    (
        _row("004-mnist-1", "M1, SGD without momentum", MNIST, M1, SGD, 10, 0.9796),
        _row(
            "004-mnist-2",
            "M1, averaged SGD",
            MNIST,
            M1,
            Optimizer("ASGD", 0.001),
            10,
            0.1135,
            comment="a correct ASGD learns here. Its updates equal torch.optim.ASGD's (tests/optim), whose averaging "
            "begins after a million steps only: ten epochs are plain SGD at a rate of 0.001. 11.35 % is the share of "
            "the ones among the test digits (1,135 of 10,000): the reported network answered 1 to every image, it had "
            "diverged or was not trained at all.",
        ),
        _row("004-mnist-3", "M1, SGD with momentum 0.9", MNIST, M1, MOMENTUM, 10, 0.9912),
        _row("004-mnist-4", "M2, SGD with momentum 0.9", MNIST, M2, MOMENTUM, 10, 0.9909),
        _row("004-mnist-5", "M2, 20 epochs", MNIST, M2, MOMENTUM, 20, 0.9912, begins_like="004-mnist-4"),
        _row(
            "004-mnist-mlp",
            "a network without convolutions",
            MNIST,
            MNIST_MLP,
            MOMENTUM,
            20,
            0.9781,
            assumed=(*_MLP, "SGD with momentum 0.9, 20 epochs"),
        ),
        _row("004-cifar-1", "C1", CIFAR10, C1, MOMENTUM, 20, 0.6539),
        _row("004-cifar-2", "C2, one hidden layer more", CIFAR10, C2, MOMENTUM, 20, 0.7051),
        _row("004-cifar-3", "C2, 30 epochs", CIFAR10, C2, MOMENTUM, 30, 0.6718, begins_like="004-cifar-2"),
        _row("004-cifar-4", "C3, the lighter network", CIFAR10, C3, MOMENTUM, 50, 0.637),
        _row("004-cifar-5", "the network without convolutions", CIFAR10, CIFAR_MLP, SGD, 20, 0.508, assumed=_MLP),
        _augmented_row("004-augment-20", "C2, jitter and flip", 20, 0.7266),
        _augmented_row("004-augment-40", "C2, jitter and flip, 40 epochs", 40, 0.7278, begins_like="004-augment-20"),
        Row(
            "004-resnet50",
            "ResNet-50 from ImageNet's weights, jitter and flip",
            Images("cifar10", mean=IMAGENET_MEAN, std=IMAGENET_STD),
            RESNET50,
            Optimizer("SGD", 0.001, {"momentum": 0.9}),
            epochs=10,
            batch_size=64,
            reported=Reported("test_accuracy", 0.8591),
            augmentation=JITTER,
            pretrained="ImageNet weights",
            assumed=(
                _BATCH,
                "pixels standardised with ImageNet's mean and standard deviation",
                _FACTORS,
                "SGD with learning rate 0.001 and momentum 0.9, all layers train",
                "images enlarged to 224 x 224, after jitter and flip",
            ),
        ),
        Study(
            "004-worst",
            "the ten test images of the highest loss",
            worst_images,
            Reported(text="figures 5 and 14"),
            needs=("004-mnist-3", "004-cifar-2"),
            images=("mnist", "cifar10"),
            pictures=("004-worst-mnist", "004-worst-cifar10"),
        ),
    ),
    comparisons={
        "004-mnist": ("MNIST", ("004-mnist-1", "004-mnist-3", "004-mnist-5", "004-mnist-mlp")),
        "004-augmentation": ("Jitter and flip", ("004-cifar-3", "004-augment-40")),
        "004-cifar": ("CIFAR-10", ("004-cifar-1", "004-cifar-3", "004-cifar-4", "004-cifar-5")),
    },
)
