"""Fine-tune a ResNet on CIFAR-10:  python examples/finetune_resnet.py --weights resnet50.safetensors --data-dir FOLDER

The weights are your own file, of a ResNet that was trained on ImageNet, with torchvision's keys; what torch saved as
.pth becomes such a file by examples/convert_checkpoint.py. The last layer is replaced by one for ten classes. Images
are enlarged to 224 x 224 and standardised by ImageNet's means; training images are changed at random in brightness,
contrast, saturation and sharpness, and mirrored.

All layers of ResNet-50 at 224 x 224 take 130 MB for each image of a batch and, without a GPU, hours for an epoch. A
smaller --size or --batch-size helps, or --freeze, which trains the last layer alone in a third of the time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from command_line import BadInput, Example, Options, integer, load_data, make_optimizer, make_step, share, start
from pretrained import IMAGENET_MEAN, IMAGENET_STD, RESNETS, freeze, load_imagenet_weights, make_resnet
from reporting import Run, about_weights, predict_images

import minidl
from minidl.data import Augmentation, DataLoader, Jitter
from minidl.train import evaluate, train_epoch


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--weights", metavar="FILE", help="safetensors with torchvision's keys, of the same --model (needed to begin)")
    add("--model", choices=list(RESNETS), help="default: resnet50")
    add("--size", type=integer(32), metavar="N", help="images are enlarged to N x N, at least 32 (default: 224)")
    add("--momentum", type=share, metavar="X", help="of sgd (default: 0.9)")
    add("--freeze", action="store_true", default=None, help="train the new last layer alone")


EXAMPLE = Example(
    name="finetune_resnet",
    data="cifar10",
    size=32,
    channels=3,
    epochs=10,
    batch_size=64,
    optimizer="sgd",
    smallest_batch=2,  # batch normalisation compares the images of a batch
    learning_rates={"sgd": 0.001, "adam": 0.0001, "adamw": 0.0001},
    settings={"weights": None, "model": "resnet50", "size": 224, "momentum": 0.9, "freeze": False},
    add_options=add_options,
)


def main(options: Options) -> None:
    minidl.manual_seed(options.seed)
    settings = about_weights(options)["settings"] if options.predict else options.settings
    model = make_resnet(settings["model"], 10, settings["size"])
    if options.predict:
        return predict_images(options, model.to(options.device))
    if not options.resume:
        if settings["weights"] is None:
            raise BadInput("name the file of your weights with --weights (--help says what they are)")
        load_imagenet_weights(model, settings["weights"])
    if settings["freeze"]:
        freeze(model)
    model.to(options.device)

    data = replace(load_data(options), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    jitter = Jitter(brightness=0.2, contrast=0.2, saturation=0.2, sharpness=0.2)
    train_set, test_set = data.train_set(Augmentation(flip=0.5, jitter=jitter)), data.test_set().to(options.device)
    alone = len(train_set) % options.batch_size == 1  # a last batch of one image has nothing to compare
    ahead = 0 if options.device.type == "cpu" else 2  # the jitter is done by the CPU, beside the GPU's work
    train_loader = DataLoader(train_set, options.batch_size, shuffle=True, drop_last=alone, num_workers=ahead)
    test_loader = DataLoader(test_set, batch_size=50)
    optimizer = make_optimizer(options, model)
    step = make_step(options, model, optimizer)

    run = Run(options, data, model, optimizer, train_loader)
    trained_part = "the last layer alone trains" if settings["freeze"] else "all layers train"
    options.say(f"{settings['model']} from {settings['weights']}, images {settings['size']} wide, {trained_part}")
    for _ in run.epochs():
        trained = train_epoch(model, train_loader, step, progress=run.progress("training", len(train_set)))
        tested = evaluate(model, test_loader, progress=run.progress("testing", len(test_set)))
        run.finish_epoch(trained, tested)
    run.finish(test_loader)


if __name__ == "__main__":
    start(EXAMPLE, __doc__, main)
