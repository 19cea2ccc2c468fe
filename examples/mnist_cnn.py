"""Train a convolutional network on MNIST:  python examples/mnist_cnn.py --data mnist --data-dir FOLDER

Two 3 x 3 convolutions with ReLU, max pooling and dropout, then two linear layers: 813,802 parameters. Images are
standardised by the training set's mean and deviation. Without MNIST on the machine it trains on `shapes`, in grey and
28 x 28, which minidl draws itself.
"""

from __future__ import annotations

from command_line import Example, Options, load_data, make_optimizer, make_step, start
from reporting import Run, predict_images

import minidl
from minidl.data import DataLoader
from minidl.models import MNISTConvNet
from minidl.train import evaluate, train_epoch

EXAMPLE = Example(name="mnist_cnn", data="mnist", size=28, channels=1, epochs=3, batch_size=64, optimizer="sgd")


def main(options: Options) -> None:
    minidl.manual_seed(options.seed)
    model = MNISTConvNet().to(options.device)
    if options.predict:
        return predict_images(options, model)

    data = load_data(options)
    train_set, test_set = data.train_set().to(options.device), data.test_set().to(options.device)
    train_loader = DataLoader(train_set, options.batch_size, shuffle=True)
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
