"""The rows that train nothing: statistics of the data, and pictures made from the weights of other rows.

Each function is given the place of its files, the data sets by name and the records of the rows that it needs, and
returns the figures for its result file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import minidl
from minidl import nn, plot, train
from minidl.data import DataLoader, ImageData
from reports.figures import percent
from reports.images import plain_loader, scaled
from reports.place import Place
from reports.record import Row

__all__ = ["class_probabilities", "feature_embedding", "per_class_report", "training_set_statistics", "worst_images"]

SHOWN = 9  # images beside their class probabilities


def training_set_statistics(place: Place, data: dict[str, ImageData], rows: list[Row]) -> dict[str, Any]:
    """Of each channel of the training images, pixels in [0, 1]: the mean over all pixels, and the mean over the images
    of the sample standard deviation (n - 1) of each image."""
    images = data["cifar10"].x_train
    pixels = images.reshape(len(images), -1, images.shape[3])  # (N, H, W, C) -> (N, H * W, C)
    deviations = [(chunk / 255).std(axis=1, ddof=1) for chunk in np.array_split(pixels, 50)]
    return {
        "mean": [round(value, 6) for value in data["cifar10"].mean],
        "std_of_images": [round(value, 6) for value in np.concatenate(deviations).mean(axis=0).tolist()],
    }


def class_probabilities(place: Place, data: dict[str, ImageData], rows: list[Row]) -> dict[str, Any]:
    """A picture of nine test images, drawn at random, beside the probabilities that the network gives each class."""
    (row,) = rows
    images = data[row.images.name]
    probabilities, labels = train.predict(_trained(row, place), plain_loader(row, images))
    chosen = np.sort(np.random.default_rng(row.seed).choice(len(labels), SHOWN, replace=False))
    title = f"Nine test images and what {row.name} makes of them"
    plot.predictions(
        place.picture(),
        [images.x_test[i] for i in chosen],
        probabilities[chosen],
        images.classes,
        title,
        labels=labels[chosen].tolist(),
    )
    right = probabilities[chosen].argmax(axis=1) == labels[chosen]
    return {"right": int(right.sum()), "shown": SHOWN, "images": chosen.tolist()}


def per_class_report(place: Place, data: dict[str, ImageData], rows: list[Row]) -> dict[str, Any]:
    """Confusion matrix, and precision, recall, F1 and support of each class, over the 10,000 test images."""
    (row,) = rows
    images = data[row.images.name]
    probabilities, labels = train.predict(_trained(row, place), plain_loader(row, images))
    report = train.classification_report(probabilities, labels, images.classes)
    matrix = train.confusion_matrix(probabilities, labels, len(images.classes))
    title = f"{row.name}: test accuracy {percent(report['accuracy'])}"
    plot.confusion_matrix(place.picture(f"{place.name}-confusion"), matrix, images.classes, title)
    plot.classification_report(place.picture(f"{place.name}-classes"), report, images.classes, title)
    figures: dict[str, Any] = {"accuracy": round(report["accuracy"], 4)}
    for name in (*images.classes, "macro avg", "weighted avg"):
        figures[name] = {kind: round(float(value), 4) for kind, value in report[name].items()}
    return figures


def feature_embedding(place: Place, data: dict[str, ImageData], rows: list[Row], points: int = 5000) -> dict[str, Any]:
    """t-SNE of ``points`` training images by their convolutional features and by the network's outputs, at the start,
    in the middle and at the end of training; and the filters of the first layer at the end."""
    (row,) = rows
    images = scaled(row.images, data[row.images.name])
    points = min(points, len(images.y_train))
    chosen = np.random.default_rng(row.seed).choice(len(images.y_train), points, replace=False)
    loader = DataLoader(minidl.data.Subset(images.train_set(), chosen), 250)
    there = place.other(row.name)
    epochs = sorted(int(path.stem[-3:]) for path in there.folder.glob("weights-*.safetensors"))
    labels = images.y_train[chosen]
    panels: dict[str, np.ndarray] = {}
    same_class: dict[str, float] = {}
    model = row.network.make()
    for layer in ("convolutional features", "outputs"):
        for epoch in epochs:
            model.load_state_dict(minidl.load(there.epoch_weights(epoch)))
            when = "before training" if epoch == 0 else f"epoch {epoch}"
            plane = plot.tsne(_features(model, loader, layer), seed=row.seed)
            name = f"{layer.capitalize()}, {when}"
            same_class[name] = _same_class(plane, labels)
            panels[f"{name.removeprefix('Convolutional ').capitalize()} ({percent(same_class[name], 0)})"] = plane
    title = f"{row.name}: {points:,} training images by t-SNE (in brackets: neighbours of the same class)"
    plot.embedding(place.picture(), panels, labels, images.classes, title)
    weight = model.get_parameter("conv1.weight")
    plot.filters(place.picture(f"{place.name}-filters"), weight, f"{row.name}: filters of the first layer")
    return {"images": points, "epochs": epochs, "same_class": same_class}


def worst_images(place: Place, data: dict[str, ImageData], rows: list[Row]) -> dict[str, Any]:
    """For each network, the ten test images of the highest loss."""
    figures: dict[str, Any] = {}
    for row in rows:
        images = data[row.images.name]
        probabilities, labels = train.predict(_trained(row, place), plain_loader(row, images))
        losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-30))
        worst = np.argsort(-losses, kind="stable")[:10]
        answers = probabilities[worst].argmax(axis=1)
        captions = [
            f"{images.classes[labels[i]]}, loss {losses[i]:.1f}\ntaken for {images.classes[answer]}"
            for i, answer in zip(worst, answers, strict=True)
        ]
        title = f"{row.name}: the ten test images of the highest loss"
        name = f"{place.name}-{row.images.name}"
        plot.image_grid(place.picture(name), [images.x_test[i] for i in worst], captions, title)
        figures[row.name] = {"images": worst.tolist(), "losses": [round(float(losses[i]), 2) for i in worst]}
    return figures


def _trained(row: Row, place: Place) -> nn.Module:
    """The network of a row with the weights that its run has left."""
    model = row.network.make()
    model.load_state_dict(minidl.load(place.other(row.name).weights))
    return model


def _features(model: nn.Module, loader: DataLoader, layer: str) -> np.ndarray:
    """The convolutional features (M, 2048), or the outputs (M, 10), of all images of the loader."""
    model.eval()
    compute = model.features if layer == "convolutional features" else model
    with minidl.no_grad():
        return np.concatenate([compute(images).numpy() for images, _ in loader])


def _same_class(points: np.ndarray, labels: np.ndarray) -> float:
    """Of the ten nearest neighbours of every point (M, 2), the share that is of its class: the clusters as a number."""
    # each point is its own nearest one
    near = np.array([np.argpartition(((points - point) ** 2).sum(axis=1), 11)[:11] for point in points])  # (M, 11)
    same = (labels[near] == labels[:, None]).sum(axis=1) - 1
    return round(float(same.mean()) / 10, 3)
