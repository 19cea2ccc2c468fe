"""Warnings of classic slips: that they come, where they point, and that ordinary programs never see one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import minidl
from minidl import nn
from minidl.errors import SlipWarning

HERE = Path(__file__).name


@pytest.fixture(autouse=True)
def _every_slip_is_an_error() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlipWarning)
        yield


def step(net: Any, optimizer: Any, x: Any, backwards: int = 1) -> None:
    for _ in range(backwards):
        (net(x) ** 2).sum().backward()
    optimizer.step()


@pytest.fixture
def pair() -> tuple[Any, Any, Any]:
    net = nn.Linear(3, 2)
    return net, minidl.optim.SGD(net.parameters(), lr=0.1), minidl.randn(4, 3)


class TestForgottenZeroGrad:
    def test_warns_once_at_the_users_line(self, pair: Any) -> None:
        net, optimizer, x = pair
        step(net, optimizer, x)
        with pytest.warns(SlipWarning, match=r"SGD.step: .*zero_grad\(\) before backward") as caught:
            step(net, optimizer, x)
        assert Path(caught[0].filename).name == HERE
        step(net, optimizer, x)

    @pytest.mark.parametrize("set_to_none", [True, False])
    def test_zero_grad_of_optimizer_and_module(self, pair: Any, set_to_none: bool) -> None:
        net, optimizer, x = pair
        for owner in (optimizer, net, optimizer, net):
            owner.zero_grad(set_to_none)
            step(net, optimizer, x)

    def test_gradient_accumulation(self, pair: Any) -> None:
        net, optimizer, x = pair
        for _ in range(3):
            step(net, optimizer, x, backwards=4)
            optimizer.zero_grad()

    def test_zeroing_by_hand(self, pair: Any) -> None:
        net, optimizer, x = pair
        for _ in range(3):
            step(net, optimizer, x)
            for parameter in net.parameters():
                parameter.grad.zero_()
        for _ in range(3):
            for parameter in net.parameters():
                parameter.grad = None
            step(net, optimizer, x)

    def test_two_steps_of_one_gradient(self, pair: Any) -> None:
        net, optimizer, x = pair
        step(net, optimizer, x)
        optimizer.step()
        optimizer.step()

    def test_two_networks_that_take_turns(self) -> None:
        """The generator's backward adds to the discriminator's gradients, which are zeroed before they are used."""
        generator, discriminator = nn.Linear(3, 3), nn.Linear(3, 1)
        optimizers = [minidl.optim.Adam(net.parameters()) for net in (generator, discriminator)]
        for _ in range(3):
            optimizers[1].zero_grad()
            discriminator(generator(minidl.randn(4, 3)).detach()).sum().backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            discriminator(generator(minidl.randn(4, 3))).sum().backward()
            optimizers[0].step()

    def test_a_closure(self, pair: Any) -> None:
        net, optimizer, x = pair

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (net(x) ** 2).sum()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)

    def test_frozen_layers(self) -> None:
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        net[0].requires_grad_(False)
        optimizer = minidl.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            step(net, optimizer, minidl.randn(4, 3))

    def test_captured_steps(self, pair: Any) -> None:
        net, optimizer, x = pair

        def train(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (net(x) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        captured = minidl.capture(train)
        for _ in range(3):
            captured(x)


class TestDropoutLeftOn:
    def test_warns_at_the_users_line(self) -> None:
        net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
        net(minidl.ones(2, 3))
        with pytest.warns(SlipWarning, match=r"Dropout: .*model.eval\(\)") as caught, minidl.no_grad():
            net(minidl.ones(2, 3))
        assert Path(caught[0].filename).name == HERE

    @pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d])
    def test_ordinary_training_and_evaluation(self, layer: Any) -> None:
        net = nn.Sequential(nn.Conv2d(3, 3, 1), layer(0.5))
        for _ in range(2):
            net.train()
            net(minidl.ones(2, 3, 2, 2))
            net.eval()
            with minidl.no_grad():
                net(minidl.ones(2, 3, 2, 2))

    def test_dropout_that_is_meant(self) -> None:
        """Monte Carlo dropout, statistics of batch norm gathered anew, a network that is only ever evaluated."""
        net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
        with minidl.no_grad():
            net(minidl.ones(2, 3))  # never trained
        net(minidl.ones(2, 3))
        net.eval()
        net[1].train()
        with minidl.no_grad():
            for _ in range(3):
                net(minidl.ones(2, 3))
        net.train()
        net(minidl.ones(2, 3))
        with minidl.no_grad():
            net.train()
            net(minidl.ones(2, 3))

    def test_no_dropout_at_all(self) -> None:
        net = nn.Dropout(0.0)
        net(minidl.ones(2))
        with minidl.no_grad():
            net(minidl.ones(2))


class TestSoftmaxBeforeItsLoss:
    @pytest.mark.parametrize(
        ("layer", "loss", "says"),
        [
            (nn.Softmax(dim=1), nn.CrossEntropyLoss(), r"cross_entropy: .*softmax.*leave out"),
            (nn.Softmax(dim=1), nn.NLLLoss(), r"nll_loss: .*softmax.*log_softmax"),
            (nn.Sigmoid(), nn.BCEWithLogitsLoss(), r"with_logits: .*sigmoid.*leave out"),
        ],
    )
    def test_warns_at_the_users_line(self, layer: Any, loss: Any, says: str) -> None:
        net = nn.Sequential(nn.Linear(3, 3), layer)
        target = minidl.zeros(2, 3) if isinstance(loss, nn.BCEWithLogitsLoss) else minidl.tensor([0, 1])
        with pytest.warns(SlipWarning, match=says) as caught:
            loss(net(minidl.ones(2, 3)), target)
        assert Path(caught[0].filename).name == HERE

    def test_what_is_right(self) -> None:
        x = minidl.randn(2, 3, requires_grad=True)
        target = minidl.tensor([0, 1])
        nn.functional.cross_entropy(x, target)
        nn.functional.cross_entropy(x.log_softmax(1), target)  # twice the same is the same
        nn.functional.nll_loss(x.log_softmax(1), target)
        nn.functional.cross_entropy(x, minidl.randn(2, 3).softmax(1))  # probabilities as a target
        nn.functional.cross_entropy(x, minidl.randn(2, 3, requires_grad=True).softmax(1).detach())
        nn.functional.binary_cross_entropy(x.sigmoid(), minidl.zeros(2, 3))
