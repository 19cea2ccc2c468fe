"""Report 003: a CNN of three layers with average pooling; kernels, dropout, batch size, optimizers (CIFAR-10)."""

from __future__ import annotations

from functools import partial

from minidl.data import Augmentation
from minidl.models import AveragePoolConvNet
from reports.record import Alias, Images, Network, Optimizer, Report, Reported, Row, Study
from reports.studies import feature_embedding

__all__ = ["REPORT"]

IMAGES = Images("cifar10", validation=10_000)
CROP_AND_FLIP, NO_AUGMENTATION = Augmentation(crop_padding=4, flip=0.5), Augmentation()
ADAM = Optimizer("Adam", 0.001)
K333 = Network("three convolutions 3-3-3", AveragePoolConvNet, 1_211_018)
K533 = Network("three convolutions 5-3-3", partial(AveragePoolConvNet, (5, 3, 3)), 1_212_554)
K753 = Network("three convolutions 7-5-3", partial(AveragePoolConvNet, (7, 5, 3)), 1_247_626)
DROPOUT = Network("three convolutions, dropout 0.1", partial(AveragePoolConvNet, dropout=0.1), 1_211_018)
NO_BATCH_NORM = Network(
    "three convolutions, dropout 0.1, no BatchNorm",
    partial(AveragePoolConvNet, batch_norm=False, dropout=0.1),
    1_209_290,
)
DROPS = "dropout after each block's pool and after each hidden layer"
INFERRED = "dropout 0.1 here (inferred from equal figures in the report)"


def _row(
    name: str,
    title: str,
    reported: tuple[float, float, float],
    best_epoch: int,
    network: Network = K333,
    optimizer: Optimizer = ADAM,
    batch_size: int = 64,
    augmentation: Augmentation = CROP_AND_FLIP,
    seed: int = 0,
    keep_weights: bool = False,
    assumed: tuple[str, ...] = (),
    comment: str = "",
) -> Row:
    train, validation, test = reported
    others = f"training {100 * train:.2f} %, validation {100 * validation:.2f} %"
    return Row(
        name,
        title,
        IMAGES,
        network,
        optimizer,
        epochs=100,
        batch_size=batch_size,
        reported=Reported("test_accuracy", test, text=others),
        augmentation=augmentation,
        patience=5,
        planned_epochs=best_epoch + 5,
        seed=seed,
        keep_weights=keep_weights,
        assumed=(*assumed, "training accuracy is the running one of the epoch", "padding k // 2"),
        comment=comment,
    )


REPORT = Report(
    "003",
    "three convolutions with average pooling",
    (
        _row(
            "003-augment",
            "random crop and flip, batches of 16",
            (0.8660, 0.8241, 0.8197),
            31,
            batch_size=16,
            comment="in the 29th epoch, its best, ours has the report's training accuracy (86.4 %) and 84.6 % in "
            "validation, where the report has 82.4 %; the report does not say what would explain it.",
        ),
        _row(
            "003-noaugment",
            "no augmentation, batches of 16",
            (0.9522, 0.7734, 0.7607),
            16,
            batch_size=16,
            augmentation=NO_AUGMENTATION,
            assumed=("batch 16 (inferred from the figures beside it)",),
            comment="the 9th epoch is the best here; in the last, the 14th, with 94.2 % in training, the test is at "
            "78.3 %, on its way down to the report's figures for its 16th.",
        ),
        _row(
            "003-k753",
            "kernels 7, 5, 3",
            (0.8425, 0.8059, 0.8003),
            18,
            K753,
            comment="in the 17th epoch ours has 84.3 % in training, 80.8 % in validation and 80.9 % in the test, near "
            "the report's figures of its 18th; then it goes on to improve.",
        ),
        _row(
            "003-k533",
            "kernels 5, 3, 3",
            (0.8487, 0.8175, 0.8105),
            17,
            K533,
            comment="in the 17th epoch, the best of the report's run, ours has 85.1 % in training, 81.9 % in "
            "validation and 81.7 % in the test, the report's figures; but every five epochs bring a better one here.",
        ),
        _row("003-k333", "kernels 3, 3, 3", (0.8960, 0.8337, 0.8300), 28, keep_weights=True),
        Alias("003-adam", "Adam", "003-k333", Reported("test_accuracy", 0.8300)),
        Alias("003-batch64", "batches of 64", "003-k333", Reported("test_accuracy", 0.8300)),
        _row(
            "003-bn",
            "with BatchNorm",
            (0.8485, 0.8107, 0.8043),
            34,
            DROPOUT,
            assumed=(INFERRED, DROPS),
            comment="at the report's training accuracy of 85 % (in epoch 29) ours has 84.3 % in validation, where the "
            "report has 81.1 %, and goes on to improve: dropout as assumed here regularises more than the report's "
            "does, which does not say where it drops.",
        ),
        _row(
            "003-nobn",
            "without BatchNorm",
            (0.7949, 0.7972, 0.7910),
            41,
            NO_BATCH_NORM,
            assumed=(INFERRED, DROPS),
            comment="in the 19th epoch, with 79.4 % in training as in the report's best, ours has 79.9 % in validation "
            "and 79.7 % in the test; it learns faster, as dropout elsewhere or a smaller rate would explain.",
        ),
        Alias("003-dropout01", "dropout 0.1", "003-bn", Reported("test_accuracy", 0.8043)),
        _row(
            "003-dropout0",
            "no dropout",
            (0.8752, 0.8240, 0.8210),
            36,
            seed=1,
            assumed=("the setting of 003-k333 with another seed",),
            comment="one setting, two runs: 003-k333 and this have 83.0 and 82.1 % in the report, here 83.5, 84.3 %.",
        ),
        Alias("003-batch16", "batches of 16", "003-augment", Reported("test_accuracy", 0.8197)),
        _row(
            "003-batch32",
            "batches of 32",
            (0.8488, 0.8164, 0.8008),
            18,
            batch_size=32,
            comment="in the 18th epoch, the best of the report's run, ours has 82.6 % in validation and 82.8 % "
            "in the test; but every five epochs bring a better one here, up to the 51st.",
        ),
        _row(
            "003-sgd",
            "SGD with momentum 0.9",
            (0.8512, 0.8091, 0.8003),
            33,
            optimizer=Optimizer("SGD", 0.001, {"momentum": 0.9}),
        ),
        _row(
            "003-adagrad",
            "Adagrad",
            (0.7520, 0.7262, 0.7192),
            43,
            optimizer=Optimizer("Adagrad", 0.001),
            comment="in the 37th epoch, with 75.1 % in training as in the report's 43rd, ours has 73.8 % in "
            "validation; it improves to the end, as five epochs without a better one never come.",
        ),
        _row("003-rmsprop", "RMSprop", (0.8824, 0.8258, 0.8206), 25, optimizer=Optimizer("RMSprop", 0.001)),
        Study(
            "003-tsne",
            "t-SNE of the features at the start, the middle and the end of training",
            feature_embedding,
            Reported(text="clusters appear, clearest at the last layer"),
            needs=("003-k333",),
            pictures=("003-tsne", "003-tsne-filters"),
            options=("points",),
        ),
    ),
    comparisons={
        "003-augmentation": ("Augmentation, batches of 16", ("003-augment", "003-noaugment")),
        "003-kernels": ("Kernel sizes", ("003-k753", "003-k533", "003-k333")),
        "003-normalisation": ("BatchNorm and dropout", ("003-dropout0", "003-bn", "003-nobn")),
        "003-batch-size": ("Batch size", ("003-batch16", "003-batch32", "003-batch64")),
        "003-optimizers": ("Optimizers, learning rate 0.001", ("003-adam", "003-sgd", "003-adagrad", "003-rmsprop")),
    },
)
