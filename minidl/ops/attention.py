"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import T
from minidl.backend.arrays import namespace, on_its_device
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.ops.broadcasting import check_broadcasts
from minidl.ops.choice import where
from minidl.ops.dropout import dropout
from minidl.ops.matmul import matmul
from minidl.ops.promotion import require_float, require_tensor, same_dtype
from minidl.ops.shape import expand, reshape
from minidl.ops.softmax import softmax

__all__ = ["scaled_dot_product_attention"]


@on_its_device
def scaled_dot_product_attention(
    query: T,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> T:
    """softmax(query key^T scale + mask) value, row by row; a row that may look nowhere gives zeros.

    query: (..., L, E); key: (..., S, E); value: (..., S, V); result (..., L, V); leading axes broadcast. attn_mask:
    broadcasts to (..., L, S); bool (True: may look) or a tensor that is added to the scores. dropout_p: drops weights
    (always: pass 0 in evaluation). is_causal: row i looks at columns up to i only. scale: default 1 / sqrt(E).
    enable_gqa: each head of key and value, on the axis before L, serves several heads of query. Raises ShapeError,
    ArgumentError, DTypeError. Source: torch.nn.functional.scaled_dot_product_attention; Vaswani et al. 2017.
    """
    who = "scaled_dot_product_attention"
    require_float(who, query, key, value)
    same_dtype(who, query, key, value)
    q, k, v = query.data.shape, key.data.shape, value.data.shape
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise ShapeError(who, expected="query (..., L, E), key (..., S, E), value (..., S, V)", got=f"{q}, {k}, {v}")
    if enable_gqa:
        key, value = _repeat_heads(who, key, q), _repeat_heads(who, value, q)
    if is_causal and attn_mask is not None:
        raise ArgumentError(who, expected="attn_mask or is_causal, not both", got="both")
    if scale is None:
        scale = 1 / math.sqrt(q[-1]) if q[-1] else 1.0
    elif isinstance(scale, bool) or not isinstance(scale, (int, float)):
        raise DTypeError(who, expected="scale as a number", got=repr(scale))
    x: Any = query
    try:
        scores = matmul(x * scale, key.swapaxes(-1, -2))  # (..., L, E) @ (..., E, S) -> (..., L, S)
    except ShapeError:
        raise ShapeError(who, expected="leading axes that broadcast", got=f"{q}, {k}") from None
    if is_causal:
        xp = namespace(query.data)
        attn_mask = x._make(xp.arange(q[-2])[:, None] >= xp.arange(k[-2]))
    weights = _weights(who, scores, attn_mask)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return matmul(weights, value)


def _weights(who: str, scores: Any, mask: Any) -> Any:
    """The softmax of masked scores; zeros in a row that is masked altogether, where softmax itself would give NaN."""
    if mask is None:
        return softmax(scores, -1)
    require_tensor(who, mask)
    check_broadcasts(who, "attn_mask", mask, scores)
    if mask.data.dtype.kind == "b":
        mask = where(mask, scores._make(namespace(scores.data).zeros((), scores.data.dtype)), -math.inf)
    elif mask.data.dtype != scores.data.dtype:
        raise DTypeError(who, expected=f"attn_mask of bool or {scores.data.dtype}", got=str(mask.data.dtype))
    blind = (mask == -math.inf).all(-1, keepdim=True)
    weights = softmax(scores + where(blind, 0.0, mask), -1)
    return where(blind, 0.0, weights)


def _repeat_heads(who: str, x: Any, query: tuple[int, ...]) -> Any:
    """Every head of a key or value (..., H, S, E) as often as the query has heads for it."""
    shape = x.data.shape
    if len(shape) < 3 or len(query) < 3 or not shape[-3] or query[-3] % shape[-3]:
        raise ShapeError(who, expected=f"heads that divide the query's, {query}", got=str(shape))
    times = query[-3] // shape[-3]
    # (..., H, S, E) -> (..., H, 1, S, E) -> (..., H, times, S, E) -> (..., H * times, S, E)
    apart = expand(x.unsqueeze(-3), *shape[:-2], times, *shape[-2:])
    return reshape(apart, *shape[:-3], query[-3], *shape[-2:])
