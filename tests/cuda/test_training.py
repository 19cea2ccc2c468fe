"""The path to the GPU joined, on machines without one: data set, loader, layers, kernels, products, optimizer, loop.

Launches go through minidl's launcher to the emulated CUDA kernels, products to the fake cuBLAS, arrays are the
stand-in's, which refuses what CuPy refuses and counts every copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulator import Emulator
from stand_in import StandIn

import minidl
from minidl import models, nn, optim
from minidl.data import Augmentation, DataLoader, ImageDataset, Subset, TensorDataset
from minidl.errors import ArgumentError, DeviceError
from minidl.gpu_capture import GraphSteps
from minidl.nn import functional as F
from minidl.train import evaluate, predict, train_epoch, training_step

STEPS = 5
USUAL = Augmentation(crop_padding=4, flip=0.5)

# The network, the batch size, the optimizer; and kernels of every family that a step has to have gone through.
EXPERIMENTS: dict[str, tuple[Callable[[], nn.Module], int, Callable[[Any], Any], set[str]]] = {
    "LeNet": (
        models.LeNet,
        4,
        lambda parameters: optim.SGD(parameters, lr=0.01, momentum=0.9),
        {"augment", "im2col", "col2im", "add_bias", "relu_forward", "relu_backward", "sgd"},
    ),
    "003 network": (
        models.AveragePoolConvNet,
        4,
        lambda parameters: optim.Adam(parameters, lr=0.0001),
        {"augment", "im2col", "col2im", "relu_forward", "relu_backward", "adam"},
    ),
}


def images(count: int, augmentation: Augmentation = USUAL) -> ImageDataset:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    pixels[:, :8, :8] //= 4
    return ImageDataset(pixels, rng.integers(0, 10, count), [0.5] * 3, [0.25] * 3, augmentation)


def run(name: str, device: str, cupy: StandIn) -> tuple[list[Any], Any, Any, Any]:
    """One epoch of five steps: the loss of every step, the epoch's figures, the network, what was copied."""
    build, batch, make_optimizer, _ = EXPERIMENTS[name]
    minidl.manual_seed(0)
    net = build().to(device)
    optimizer = make_optimizer(net.parameters())
    loader = DataLoader(images(STEPS * batch).to(device), batch, shuffle=True)
    losses: list[Any] = []

    def loss_function(outputs: Any, labels: Any) -> Any:
        losses.append(F.cross_entropy(outputs, labels))
        return losses[-1]

    with cupy.counting() as copied:
        figures = train_epoch(net, loader, training_step(net, optimizer, loss_function))
    return [loss.item() for loss in losses], figures, net, copied


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_five_steps_follow_the_cpu(name: str, cupy: StandIn, built_emulator: Emulator) -> None:
    there, gpu_figures, gpu_net, copied = run(name, "gpu", cupy)
    here, cpu_figures, cpu_net, _ = run(name, "cpu", cupy)
    np.testing.assert_allclose(there, here, rtol=2e-4)
    assert gpu_figures.loss == pytest.approx(cpu_figures.loss, rel=2e-4)
    assert gpu_figures.accuracy == cpu_figures.accuracy
    for (key, a), (_, b) in zip(gpu_net.state_dict().items(), cpu_net.state_dict().items()):
        if a.is_floating_point():
            np.testing.assert_allclose(a.cpu().numpy(), b.numpy(), rtol=2e-2, atol=2e-3, err_msg=key)
    assert copied.to_device == [8 * STEPS * EXPERIMENTS[name][1]], "the order of the epoch, and nothing else"
    assert copied.to_host == [8, 8], "the mean loss and the number of right answers, at the end of the epoch"
    assert copied.synchronizations == 2
    assert EXPERIMENTS[name][3] <= set(built_emulator.launches)


def test_evaluation_and_prediction(cupy: StandIn) -> None:
    minidl.manual_seed(0)
    net = models.LeNet()
    loader = DataLoader(images(6, Augmentation()), 4)
    judged, (probabilities, labels) = evaluate(net, loader), predict(net, loader)
    net.to("gpu")
    loader = DataLoader(images(6, Augmentation()).to("gpu"), 4)
    again, (there, same) = evaluate(net, loader), predict(net, loader)
    assert again.loss == pytest.approx(judged.loss, rel=1e-5)
    assert again.accuracy == judged.accuracy
    np.testing.assert_allclose(there, probabilities, rtol=1e-4)
    np.testing.assert_array_equal(same, labels)


def dropout_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Conv2d(4, 6, 2, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 5),
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_captured_convolutional_network_with_dropout_equals_eager(optimizer: str, cupy: StandIn) -> None:
    """Every step draws other masks: those of the step run eagerly, also where captured and eager steps alternate."""
    results = []
    for captured in (False, True):
        minidl.manual_seed(7)
        net = dropout_network().to("gpu")
        stepper: Any = getattr(optim, optimizer)(net.parameters(), lr=0.01)
        rng = np.random.default_rng(0)

        def step(x: Any, y: Any, net: Any = net, stepper: Any = stepper) -> Any:
            stepper.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            stepper.step()
            return loss

        steps, losses = GraphSteps(step), []
        for number in range(9):
            x = minidl.from_numpy(rng.standard_normal((4, 3, 6, 6)).astype(np.float32)).to("gpu")
            y = minidl.from_numpy(rng.integers(0, 5, 4)).to("gpu")
            losses.append((steps((x, y)) if captured and number != 6 else step(x, y)).item())
        results.append([np.array(losses), *[t.cpu().numpy() for t in net.state_dict().values()]])
        if captured:
            assert steps.recordings == 1
    for eager, replayed in zip(*results):
        np.testing.assert_array_equal(replayed, eager)


def test_a_new_seed_is_recorded_anew(cupy: StandIn) -> None:
    x = minidl.ones(3, 8, device="gpu")
    steps = GraphSteps(lambda x: F.dropout(x, 0.5))
    minidl.manual_seed(1)
    masks = [steps((x,)).cpu().numpy() for _ in range(6)]
    minidl.manual_seed(1)
    again = [steps((x,)).cpu().numpy() for _ in range(6)]
    np.testing.assert_array_equal(masks, again)
    assert not np.array_equal(masks[4], masks[5])
    minidl.manual_seed(2)
    others = [steps((x,)).cpu().numpy() for _ in range(6)]
    assert not np.array_equal(masks, others)


def test_weights_and_checkpoints_cross_devices(cupy: StandIn, tmp_path: Path) -> None:
    minidl.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to("gpu")
    optimizer = optim.Adam(ours.parameters(), lr=0.1)
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)

    def step(net: Any, optimizer: Any, device: str) -> np.ndarray:
        optimizer.zero_grad()
        (net(minidl.from_numpy(x).to(device)) ** 2).sum().backward()
        optimizer.step()
        return np.concatenate([p.detach().cpu().numpy().reshape(-1) for p in net.parameters()])

    step(ours, optimizer, "gpu")
    minidl.save(ours.state_dict(), tmp_path / "weights.safetensors")
    parts = {"model": ours, "optimizer": optimizer}
    minidl.train.save_checkpoint(tmp_path / "run.safetensors", parts)
    expected = step(ours, optimizer, "gpu")
    for device in ("cpu", "gpu"):
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to(device)
        net.load_state_dict(minidl.load(tmp_path / "weights.safetensors"))
        other = optim.Adam(net.parameters(), lr=0.5)
        minidl.train.load_checkpoint(tmp_path / "run.safetensors", {"model": net, "optimizer": other})
        np.testing.assert_allclose(step(net, other, device), expected, rtol=1e-4, atol=1e-6)
        assert all(p.device.type == device for p in net.parameters())
    loaded = minidl.load(tmp_path / "weights.safetensors", map_location="gpu")
    assert all(tensor.device == "gpu" for tensor in loaded.values())


@pytest.mark.parametrize("when", ["before", "after", "between"])
def test_the_model_may_move_before_or_after_the_optimizer_is_made(when: str, cupy: StandIn) -> None:
    minidl.manual_seed(0)
    x = minidl.randn(5, 4)
    net = nn.Linear(4, 3)
    reference = nn.Linear(4, 3)
    reference.load_state_dict(net.state_dict())
    results = []
    for model, moves in ((reference, False), (net, True)):
        if moves and when == "before":
            model.to("gpu")
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        if moves and when == "after":
            model.to("gpu")
        for number in range(4):
            if moves and when == "between" and number in (1, 3):  # gradients and momentum go along
                model.to("gpu" if number == 1 else "cpu")
            optimizer.zero_grad()
            (model(x.to(model.weight.device)) ** 2).sum().backward()
            optimizer.step()
        results.append(model.weight.detach().cpu().numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


def test_data_sets_on_a_device(cupy: StandIn) -> None:
    here = images(10)
    there = here.to("gpu")
    assert (here.device, there.device) == ("cpu", "gpu")
    assert there.to("gpu") is there
    for make in (lambda d: d, lambda d: Subset(d, [7, 3, 5, 1])):
        minidl.manual_seed(3)
        expected = list(DataLoader(make(here), 3, shuffle=True))
        minidl.manual_seed(3)
        with cupy.counting() as copied:
            got = list(DataLoader(make(there), 3, shuffle=True))
        assert len(copied.to_device) <= 2, "the order, and the subset's numbers"
        for (x, y), (a, b) in zip(expected, got):
            assert a.device == b.device == "gpu"
            np.testing.assert_allclose(a.cpu().numpy(), x.numpy(), rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(b.cpu().numpy(), y.numpy())
    image, label = there[2]
    assert image.device == "gpu"
    assert label == here[2][1]
    with pytest.raises(IndexError):
        there.batch(np.array([10]))
    rows = TensorDataset(minidl.ones(4, 2), minidl.arange(4)).to("gpu")
    assert [b.cpu().tolist() for _, b in DataLoader(rows, 3)] == [[0, 1, 2], [3]]
    with pytest.raises(DeviceError, match="TensorDataset: expected all tensors on one device"):
        TensorDataset(minidl.ones(4, 2), minidl.arange(4).to("gpu"))
    other = ImageDataset(here.images, here.labels, augmentation=Augmentation(2, padding_mode="reflect"))
    with pytest.raises(ArgumentError, match="crop with zeros and flip"):
        other.to("gpu")
