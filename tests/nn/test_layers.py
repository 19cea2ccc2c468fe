"""Every layer beside torch's: repr, names and shapes of the state, outputs, first values, and bad arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn
from minidl.errors import ArgumentError, DTypeError, ShapeError
from nn.twins import as_numpy, check_twins, pair_of_inputs, relative_error, same_repr, state_of

# name, arguments, named arguments, shape of an input
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (3, 4), {}, (5, 3)),
    ("Linear", (3, 4), {"bias": False}, (2, 5, 3)),
    ("Identity", (), {}, (2, 3)),
    ("Identity", (7,), {"anything": True}, (2, 3)),
    ("Conv2d", (3, 4, 3), {}, (2, 3, 6, 5)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": 2, "padding": (1, 0), "dilation": (1, 2), "groups": 2}, (2, 4, 7, 8)),
    ("Conv2d", (3, 4, 3), {"padding": "same", "dilation": 2, "bias": False}, (2, 3, 6, 5)),
    ("Conv2d", (3, 4, 3), {"padding": "valid"}, (3, 6, 5)),
    ("MaxPool2d", (2,), {}, (2, 3, 6, 5)),
    ("MaxPool2d", ((3, 2),), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 6, 7)),
    ("MaxPool2d", (2, 1), {"dilation": 2}, (2, 3, 6, 7)),
    ("AvgPool2d", (2,), {}, (2, 3, 6, 5)),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, (2, 3, 6, 6)),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 5}, (2, 3, 6, 6)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 6, 5)),
    ("AdaptiveAvgPool2d", ((4, None),), {}, (2, 3, 6, 5)),
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"eps": 0.1, "momentum": None}, (5, 3, 4)),
    ("BatchNorm2d", (3,), {"momentum": 0.3, "affine": False}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"bias": False}, (2, 3, 4, 5)),
    ("ReLU", (), {}, (2, 3)),
    ("ReLU", (True,), {}, (2, 3)),
    ("LeakyReLU", (), {}, (2, 3)),
    ("LeakyReLU", (0.2,), {"inplace": True}, (2, 3)),
    ("Tanh", (), {}, (2, 3)),
    ("Sigmoid", (), {}, (2, 3)),
    ("Softmax", (1,), {}, (2, 3, 4)),
    ("LogSoftmax", (-1,), {}, (2, 3, 4)),
    ("Flatten", (), {}, (2, 3, 4, 5)),
    ("Flatten", (0, 1), {}, (2, 3, 4, 5)),
    ("Unflatten", (1, (2, 3)), {}, (4, 6, 5)),
    ("Unflatten", (-1, (2, -1)), {}, (4, 6)),
]


def identity(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), LAYERS, ids=identity)
def test_layer_is_torchs_twin(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], shape: tuple[int, ...]) -> None:
    check_twins(name, args, kwargs, shape)


def test_losses_are_torchs_twins() -> None:
    logits, expected_logits = pair_of_inputs(5, 3)
    target, expected_target = minidl.tensor([0, 2, 1, 2, 0]), torch.tensor([0, 2, 1, 2, 0])
    weight, expected_weight = pair_of_inputs(3, seed=1)
    weight, expected_weight = weight * weight, expected_weight * expected_weight
    options = {"ignore_index": 1, "reduction": "sum", "label_smoothing": 0.1}
    ours, theirs = nn.CrossEntropyLoss(weight, **options), torch.nn.CrossEntropyLoss(expected_weight, **options)
    assert same_repr(ours, theirs)
    assert state_of(ours) == state_of(theirs) == {"weight": ((3,), "float64")}
    assert relative_error(ours(logits, target), theirs(expected_logits, expected_target)) < 1e-12
    ours, theirs = nn.NLLLoss(weight, reduction="none"), torch.nn.NLLLoss(expected_weight, reduction="none")
    assert relative_error(ours(logits, target), theirs(expected_logits, expected_target)) < 1e-12
    other, expected_other = pair_of_inputs(5, 3, seed=2)
    ours, theirs = nn.MSELoss(), torch.nn.MSELoss()
    assert relative_error(ours(logits, other), theirs(expected_logits, expected_other)) < 1e-12
    assert state_of(nn.CrossEntropyLoss()) == {}


def test_max_pool_returns_indices() -> None:
    x, expected = pair_of_inputs(2, 3, 6, 5)
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    expected_values, expected_indices = torch.nn.MaxPool2d(2, return_indices=True)(expected)
    assert relative_error(values, expected_values) == 0
    np.testing.assert_array_equal(as_numpy(indices), expected_indices.numpy())


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d])
def test_dropout_layers(layer: Any) -> None:
    x = minidl.ones(40, 50, 4, 4)
    module = layer(0.3, generator=minidl.Generator(1))
    assert repr(module) == f"{layer.__name__}(p=0.3, inplace=False)"
    first = as_numpy(module(x))
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (first == 0).mean() == pytest.approx(0.3, abs=0.04)
    if layer is nn.Dropout2d:
        assert np.all(first == first[:, :, :1, :1])  # whole channels
    assert not np.array_equal(as_numpy(module(x)), first)  # the generator moves on
    module.generator.manual_seed(1)
    np.testing.assert_array_equal(as_numpy(module(x)), first)  # and is the layer's own
    np.testing.assert_array_equal(as_numpy(module.eval()(x)), as_numpy(x))


def test_inplace_layers_write_into_their_input() -> None:
    for layer in (nn.ReLU(inplace=True), nn.LeakyReLU(0.5, inplace=True), nn.Dropout(0.5, inplace=True)):
        x = minidl.tensor(np.array([-2.0, 4.0, -6.0, 8.0]))
        before = as_numpy(x).copy()
        result = layer(x)
        np.testing.assert_array_equal(as_numpy(result), as_numpy(x))
        assert not np.array_equal(as_numpy(x), before)


@pytest.mark.parametrize("kind", ["weight", "bias"])
@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [("Linear", (200, 150), {}), ("Conv2d", (32, 48, (3, 5)), {"groups": 2})],
)
def test_first_values_are_uniform_in_torchs_bounds(
    kind: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    bound = 1 / math.sqrt(math.prod(theirs.weight.shape[1:]))
    values, expected = as_numpy(getattr(ours, kind)), as_numpy(getattr(theirs, kind))
    assert np.abs(expected).max() <= bound * (1 + 1e-6)  # what we believe of torch is so
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() >= bound * 0.9
    count = values.size
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * count)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=5 / math.sqrt(count))
    assert len(np.unique(values)) > 0.9 * count


def test_first_values_follow_the_seed() -> None:
    def draw() -> np.ndarray:
        return as_numpy(nn.Linear(4, 3).weight).copy()

    minidl.manual_seed(3)
    first, second = draw(), draw()
    minidl.manual_seed(3)
    np.testing.assert_array_equal(draw(), first)
    assert not np.array_equal(first, second)


def test_dtype_of_a_layer() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 2, 3, dtype=minidl.float64), nn.BatchNorm2d(2, dtype=minidl.float64))
    assert {p.dtype for p in layer.parameters()} == {np.dtype(np.float64)}
    assert layer[1].running_var.dtype == np.dtype(np.float64)
    assert layer[1].num_batches_tracked.dtype == np.dtype(np.int64)


BAD_LAYERS = [
    (lambda: nn.Linear(-1, 2), "Linear: expected in_features of at least 0, got -1"),
    (lambda: nn.Linear(3, 2.5), "Linear: expected out_features as an integer, got 2.5"),
    (lambda: nn.Linear("3", 2), "Linear: expected in_features"),
    (lambda: nn.Linear(True, 2), "Linear: expected in_features"),
    (lambda: nn.Conv2d(3, 4, 3, stride=0), "Conv2d: expected stride of at least 1, got 0"),
    (
        lambda: nn.Conv2d(3, 4, (3, 3, 3)),
        "Conv2d: expected kernel_size as an integer or a pair of integers, got (3, 3, 3)",
    ),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: expected in_channels divisible by groups=2, got 3"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), "Conv2d: expected out_channels divisible by groups=2, got 3"),
    (lambda: nn.Conv2d(0, 3, 3), "Conv2d: expected in_channels of at least 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), "Conv2d: expected padding of at least 0, got -1"),
    (lambda: nn.Conv2d(3, 4, 3, padding="some"), "Conv2d: expected padding 'same', 'valid' or numbers, got 'some'"),
    (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), "Conv2d: expected stride 1 with padding='same'"),
    (
        lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"),
        "Conv2d: expected padding_mode as one of zeros, reflect, replicate, circular, got 'mirror'",
    ),
    (lambda: nn.Conv2d(3, 4, 3, dilation=0), "Conv2d: expected dilation"),
    (lambda: nn.MaxPool2d(0), "MaxPool2d: expected kernel_size"),
    (lambda: nn.MaxPool2d(2, stride=(1, 0)), "MaxPool2d: expected stride"),
    (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d: expected padding of at most half the kernel_size"),
    (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d: expected dilation"),
    (lambda: nn.AvgPool2d(2.0), "AvgPool2d: expected kernel_size"),
    (lambda: nn.AvgPool2d((2, 3), padding=(1, 2)), "AvgPool2d: expected padding of at most half"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), "AvgPool2d: expected divisor_override"),
    (lambda: nn.AvgPool2d(2, stride=-1), "AvgPool2d: expected stride"),
    (lambda: nn.AdaptiveAvgPool2d(-1), "AdaptiveAvgPool2d: expected output_size"),
    (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d: expected output_size"),
    (lambda: nn.AdaptiveAvgPool2d((1, 2.5)), "AdaptiveAvgPool2d: expected output_size"),
    (lambda: nn.AdaptiveAvgPool2d("1"), "AdaptiveAvgPool2d: expected output_size"),
    (lambda: nn.BatchNorm2d(0), "BatchNorm2d: expected num_features"),
    (lambda: nn.BatchNorm1d(3, eps=0), "BatchNorm1d: expected eps > 0, got 0"),
    (lambda: nn.BatchNorm2d(3, momentum=1.5), "BatchNorm2d: expected momentum between 0 and 1, or None, got 1.5"),
    (lambda: nn.BatchNorm2d(3, momentum="0.1"), "BatchNorm2d: expected momentum"),
    (lambda: nn.Dropout(-0.1), "Dropout: expected p between 0 and 1, got -0.1"),
    (lambda: nn.Dropout(1.1), "Dropout: expected p between 0 and 1, got 1.1"),
    (lambda: nn.Dropout2d("0.5"), "Dropout2d: expected p"),
    (lambda: nn.Dropout(0.5, generator=3), "Dropout: expected generator as a minidl.Generator or None, got 3"),
    (lambda: nn.Dropout2d(float("nan")), "Dropout2d: expected p"),
    (lambda: nn.LeakyReLU("0.1"), "LeakyReLU: expected negative_slope"),
    (lambda: nn.Softmax(), "Softmax: expected an axis, such as dim=1, got None"),
    (lambda: nn.LogSoftmax(1.0), "LogSoftmax: expected an axis"),
    (lambda: nn.Flatten("1"), "Flatten: expected an axis"),
    (lambda: nn.Unflatten(1, 6), "Unflatten: expected unflattened_size to be a tuple"),
    (lambda: nn.Unflatten(1, (-1, -1)), "Unflatten: expected at most one -1"),
    (lambda: nn.CrossEntropyLoss(reduction="max"), "CrossEntropyLoss: expected reduction 'mean', 'sum' or 'none'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=2), "CrossEntropyLoss: expected label_smoothing between 0 and 1"),
    (lambda: nn.NLLLoss(reduction=None), "NLLLoss: expected reduction"),
    (lambda: nn.MSELoss(reduction=""), "MSELoss: expected reduction"),
]


@pytest.mark.parametrize(("call", "message"), BAD_LAYERS, ids=[message for _, message in BAD_LAYERS])
def test_bad_constructor_arguments(call: Any, message: str) -> None:
    with pytest.raises((ArgumentError, DTypeError)) as error:
        call()
    assert str(error.value).startswith(message)


BAD_INPUTS = [
    (nn.BatchNorm2d(3), (2, 3), "BatchNorm2d: expected (N, C, H, W), got shape (2, 3)"),
    (nn.BatchNorm1d(3), (2, 3, 4, 5), "BatchNorm1d: expected (N, C) or (N, C, L), got shape (2, 3, 4, 5)"),
    (nn.Unflatten(1, (2, 4)), (2, 6), "unflatten: expected sizes whose product is 6, got (2, 4)"),
    (nn.Unflatten(1, (4, -1)), (2, 6), "unflatten: expected sizes whose product is 6, got (4, -1)"),
    (nn.Linear(3, 4), (2, 5), "linear: expected"),
    (nn.Conv2d(3, 4, 3), (2, 5, 6, 6), "conv2d: expected"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), BAD_INPUTS, ids=[message for *_, message in BAD_INPUTS])
def test_bad_inputs(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError) as error:
        layer(minidl.zeros(*shape))
    assert str(error.value).startswith(message)
