"""PyTorch's beginner tutorial for CIFAR-10, call by call, with only its imports changed.

The network, the loaders, the training loop with its running loss, saving, loading, the accuracy over the test set and
for each class. The data set is a small ``cifar10.npz`` with something to learn in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minidl as torch
import minidl.nn as nn
import minidl.nn.functional as F
import minidl.optim as optim
from minidl import data as torchvision
from minidl.data import transforms


class Net(nn.Module):
    def __init__(self):  # type: ignore[no-untyped-def]
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):  # type: ignore[no-untyped-def]
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a cifar10.npz of 1,600 training and 60 test images: noise around one colour a class."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (10, 1, 1, 3))
    arrays = {}
    for part, count in (("train", 1600), ("test", 60)):
        labels = np.arange(count) % 10
        images = colours[labels] + rng.integers(-40, 40, (count, 32, 32, 3))
        arrays[f"x_{part}"], arrays[f"y_{part}"] = images.astype(np.uint8), labels.astype(np.uint8)
    np.savez(tmp_path / "cifar10.npz", **arrays)
    return tmp_path


def test_tutorial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])

    batch_size = 4

    trainset = torchvision.datasets.CIFAR10(root=folder, train=True, download=False, transform=transform)
    trainloader = torch.utils.data.DataLoader(trainset, batch_size=batch_size, shuffle=True, num_workers=2)

    testset = torchvision.datasets.CIFAR10(root=folder, train=False, download=False, transform=transform)
    testloader = torch.utils.data.DataLoader(testset, batch_size=batch_size, shuffle=False, num_workers=2)

    classes = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    # A look at some random training images
    dataiter = iter(trainloader)
    images, labels = next(dataiter)
    assert images.shape == (batch_size, 3, 32, 32)
    assert labels.shape == (batch_size,)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    npimg = (images[0] / 2 + 0.5).numpy()
    assert np.transpose(npimg, (1, 2, 0)).shape == (32, 32, 3)
    assert npimg.min() >= 0.0
    assert npimg.max() <= 1.0
    print(" ".join(f"{classes[labels[j]]:5s}" for j in range(batch_size)))

    net = Net()

    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.001, momentum=0.9)

    means: list[float] = []
    for epoch in range(2):
        running_loss = 0.0
        for i, data in enumerate(trainloader, 0):
            inputs, labels = data

            optimizer.zero_grad()

            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()

            running_loss += loss.item()
            if i % 100 == 99:
                print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 100:.3f}")
                means.append(running_loss / 100)
                running_loss = 0.0
    print("Finished Training")
    assert len(means) == 8
    assert means[-1] < 0.6 * means[0]

    PATH = folder / "cifar_net.pth"
    torch.save(net.state_dict(), PATH)

    trained = net
    net = Net()
    net.load_state_dict(torch.load(PATH, weights_only=True))
    for (name, before), (again, after) in zip(trained.state_dict().items(), net.state_dict().items(), strict=True):
        assert name == again
        np.testing.assert_array_equal(before.numpy(), after.numpy())

    images, labels = next(iter(testloader))
    outputs = net(images)
    _, predicted = torch.max(outputs, 1)
    print("Predicted: ", " ".join(f"{classes[predicted[j]]:5s}" for j in range(4)))

    correct = 0
    total = 0
    with torch.no_grad():
        for data in testloader:
            images, labels = data
            outputs = net(images)
            _, predicted = torch.max(outputs, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    print(f"Accuracy of the network on the test images: {100 * correct // total} %")
    assert total == 60
    assert correct > 20

    correct_pred = dict.fromkeys(classes, 0)
    total_pred = dict.fromkeys(classes, 0)
    with torch.no_grad():
        for data in testloader:
            images, labels = data
            outputs = net(images)
            _, predictions = torch.max(outputs, 1)
            for label, prediction in zip(labels, predictions):
                if label == prediction:
                    correct_pred[classes[label]] += 1
                total_pred[classes[label]] += 1
    for classname, correct_count in correct_pred.items():
        accuracy = 100 * float(correct_count) / total_pred[classname]
        print(f"Accuracy for class: {classname:5s} is {accuracy:.1f} %")
    assert sum(correct_pred.values()) == correct
    assert set(total_pred.values()) == {6}

    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    print(device)
    net.to(device)
    inputs, labels = data[0].to(device), data[1].to(device)
    assert net(inputs).shape == (4, 10)
    del dataiter
    assert "Finished Training" in capsys.readouterr().out
