"""Train a convolutional network on CIFAR-10:  python examples/cifar_cnn.py --data cifar10 --data-dir FOLDER

Three 3 x 3 convolutions with batch normalisation, ReLU and average pooling, then three linear layers: 1,211,018
parameters. Images are standardised by the training set's channel means and deviations; training images are cropped
and mirrored at random. Without CIFAR-10 on the machine it trains on `shapes`, which minidl draws itself.
"""

from __future__ import annotations

from command_line import Example, Options, load_data, make_optimizer, make_step, start
from reporting import Run, predict_images

import minidl
from minidl.data import Augmentation, DataLoader
from minidl.models import AveragePoolConvNet
from minidl.train import evaluate, train_epoch

EXAMPLE = Example(
    name="cifar_cnn",
    data="cifar10",
    size=32,
    channels=3,
    epochs=5,
    batch_size=64,
    optimizer="adam",
    smallest_batch=2,  # batch normalisation compares the images of a batch
)


def main(options: Options) -> None:
    minidl.manual_seed(options.seed)
    model = AveragePoolConvNet().to(options.device)
    if options.predict:
        return predict_images(options, model)

    data = load_data(options)
    train_set = data.train_set(Augmentation(crop_padding=4, flip=0.5)).to(options.device)
    test_set = data.test_set().to(options.device)
    alone = len(train_set) % options.batch_size == 1  # a last batch of one image has nothing to compare
    train_loader = DataLoader(train_set, options.batch_size, shuffle=True, drop_last=alone)
    test_loader = DataLoader(test_set, batch_size=200)
    optimizer = make_optimizer(options, model)
    step = make_step(options, model, optimizer)

    run = Run(options, data, model, optimizer, train_loader)
    for _ in run.epochs():
        trained = train_epoch(model, train_loader, step, progress=run.progress("training", len(train_set)))
        tested = evaluate(model, test_loader, progress=run.progress("testing", len(test_set)))
        run.finish_epoch(trained, tested)
    run.finish(test_loader)


if __name__ == "__main__":
    start(EXAMPLE, __doc__, main)
