"""Report 000: a CNN of four convolutions, dropout, and tuning by hand (CIFAR-10)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from minidl.data import Augmentation
from minidl.models import FourConvNet, WideConvNet
from reports.record import Images, Network, Optimizer, Report, Reported, Row, Study
from reports.studies import class_probabilities, training_set_statistics

__all__ = ["REPORT"]

# Pixels in [0, 1] as they are: the report "normalises" with mean 0 and standard deviation 1.
IMAGES = Images("cifar10", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), validation=1000)
SGD = Optimizer("SGD", 0.001, {"momentum": 0.9})
ADAM = Optimizer("Adam", 0.001)
LR = "learning rate 0.001"
AFTER_POOLS = "dropout after each pool in model A (the report shows the code of model B only)"


def _network_a(dropout: float) -> Network:
    name = "A" if dropout == 0 else f"A, dropout {dropout:g}"
    return Network(name, partial(FourConvNet, dropout), 890_410)


NETWORK_B = Network("B, dropout 0.2", partial(WideConvNet, 0.2), 7_472_970)


def _row(
    name: str,
    title: str,
    network: Network,
    optimizer: Optimizer,
    batch_size: int,
    epochs: int,
    reported: Reported,
    assumed: tuple[str, ...],
    comment: str = "",
) -> Row:
    return Row(
        name,
        title,
        IMAGES,
        network,
        optimizer,
        epochs,
        batch_size,
        reported,
        augmentation=Augmentation(flip=0.5),
        figures_every=500,
        assumed=assumed,
        comment=comment,
    )


def _dropout_row(p: float, reported: Reported, comment: str = "") -> Row:
    name = f"000-drop{f'{p:g}'.replace('.', '')}"
    assumed = (LR, "30 epochs", AFTER_POOLS)
    return _row(name, f"dropout {p:g} after each pool", _network_a(p), SGD, 32, 30, reported, assumed, comment)


def _validation(value: float) -> Reported:
    return Reported("validation_accuracy", value, images=1000)


REPORT = Report(
    "000",
    "four convolutions, dropout and tuning",
    (
        Study(
            "000-stats",
            "mean and spread of the training images' channels",
            training_set_statistics,
            Reported(text="means 0.4914 0.4822 0.4465, per-image standard deviations 0.2023 0.1994 0.2010"),
        ),
        _row(
            "000-base",
            "four convolutions, no dropout",
            _network_a(0.0),
            SGD,
            32,
            20,
            _validation(0.689),
            (LR,),
        ),
        _dropout_row(0.2, Reported("test_accuracy", 0.748, text="validation 76.0 %")),
        _dropout_row(0.5, _validation(0.742)),
        _dropout_row(
            0.8,
            _validation(0.626),
            comment="PyTorch from the same weights on the same batches does likewise in the three epochs that were "
            "compared: training 10.63, 21.28 and 25.60 % (ours 10.72, 20.82 and 26.12 %), test 18.53, 24.62 and "
            "28.50 % (ours 18.42, 24.66 and 28.46 %). So it is the setting: of the report's model A neither the "
            "places of dropout nor the number of epochs is given. Ours still rises in its 30 epochs (at best 58.0 %), "
            "and dropout of 0.8 in two places leaves less to learn from than in one would.",
        ),
        _row(
            "000-batch22",
            "smaller batches, more epochs",
            _network_a(0.2),
            SGD,
            22,
            35,
            Reported("test_accuracy", 0.756),
            (LR, AFTER_POOLS),
        ),
        _row(
            "000-adam16",
            "Adam, still smaller batches",
            _network_a(0.2),
            ADAM,
            16,
            40,
            Reported("test_accuracy", 0.767),
            (LR, AFTER_POOLS),
        ),
        _row(
            "000-wide",
            "a wider network with one more hidden layer",
            NETWORK_B,
            ADAM,
            10,
            50,
            Reported("test_accuracy", 0.793),
            (LR,),
            comment="PyTorch from the same weights on the same batches is still at chance after two epochs (training "
            "9.88 %, test 10.00 %; ours 50.87 and 55.93 %): at this rate the draw of dropout decides. With two of five "
            "others (--torch-seed) it left chance within the 1,500 steps that were tried. In an epoch that goes on "
            "from our finished weights (--weights) it has 83.82 % in training (ours as well) and 75.50 % in the test "
            "(ours 76.86 %). So it is the setting, whose learning rate is assumed: at 0.001 with batches of 10 the "
            "test swings between 74.1 and 76.6 % in the last ten epochs, and three more at 0.0001 "
            "(000-wide-lr0.0001) bring 78.8 %.",
        ),
        replace(
            _row(
                "000-wide-lr0.0001",
                "000-wide continued for three epochs at a tenth of its learning rate",
                NETWORK_B,
                Optimizer("Adam", 0.0001),
                10,
                3,
                Reported(text="not in the report"),
                (),
            ),
            starts_from="000-wide",
        ),
        Study(
            "000-predict",
            "test images beside their class probabilities",
            class_probabilities,
            Reported(text="figures 16 to 18: four of five images right"),
            needs=("000-drop02",),
            pictures=("000-predict",),
        ),
    ),
    comparisons={
        "000-dropout": ("Dropout after each pool", ("000-base", "000-drop02", "000-drop05", "000-drop08")),
    },
)
