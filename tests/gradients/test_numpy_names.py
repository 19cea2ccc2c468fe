"""``axis`` for ``dim`` and ``keepdims`` for ``keepdim`` wherever torch takes them, as functions and as methods."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import minidl

REDUCTIONS = [
    "sum",
    "mean",
    "prod",
    "std",
    "var",
    "amax",
    "amin",
    "max",
    "min",
    "argmax",
    "argmin",
    "any",
    "all",
    "logsumexp",
]
OTHERS: dict[str, dict[str, Any]] = {
    "cumsum": {},
    "softmax": {},
    "log_softmax": {},
    "squeeze": {},
    "unsqueeze": {},
    "chunk": {"chunks": 2},
    "gather": {"index": [[[0, 0, 0]]] * 2},
}


def values(result: Any) -> list[Any]:
    parts = result if isinstance(result, tuple) else (result,)
    return [part.numpy() for part in parts]


@pytest.mark.parametrize("name", [*REDUCTIONS, *OTHERS])
@pytest.mark.parametrize("method", [False, True])
def test_numpy_names(name: str, method: bool) -> None:
    array = np.random.default_rng(0).standard_normal((2, 1, 3))
    results = []
    for library in (minidl, torch):
        x = library.tensor(array)
        options = {"axis": 1, **({"keepdims": True} if name in REDUCTIONS else OTHERS[name])}
        if "index" in options:
            options["index"] = library.tensor(options["index"])
        results.append(values(getattr(x, name)(**options) if method else getattr(library, name)(x, **options)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_numpy_names_of_other_functions() -> None:
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    for join in (minidl.cat, minidl.stack):
        assert join([x, x], axis=1).tolist() == join([x, x], dim=1).tolist()
    for norm in (minidl.linalg.norm, minidl.linalg.vector_norm):
        assert norm(x, axis=0, keepdims=True).tolist() == norm(x, dim=0, keepdim=True).tolist()


def test_they_are_refused_beside_our_own_names_and_where_nothing_has_them() -> None:
    x = minidl.ones(2, 3)
    with pytest.raises(minidl.ArgumentError, match=r"^sum: .*dim or axis.*both"):
        x.sum(dim=0, axis=0)
    with pytest.raises(TypeError, match="keepdim"):
        x.cumsum(0, keepdims=True)


def test_out_is_refused_with_a_way_round() -> None:
    x = minidl.ones(2, 3)
    with pytest.raises(minidl.ArgumentError, match=r"^sum: .*out.*copy_"):
        minidl.sum(x, dim=0, out=minidl.zeros(3))
    assert minidl.sum(x, dim=0, out=None).tolist() == [2, 2, 2]


def test_signatures_stay_visible() -> None:
    assert list(inspect.signature(minidl.sum).parameters) == ["input", "dim", "keepdim", "dtype"]
    assert "Source: torch.sum" in (minidl.Tensor.sum.__doc__ or "")
