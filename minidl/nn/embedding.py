"""Embeddings, bilinear forms and the cosine of an angle as layers."""

from __future__ import annotations

import math
from typing import Any

from minidl._factories import empty
from minidl._tensor import Tensor
from minidl.autograd.modes import no_grad
from minidl.backend.dtypes import is_real
from minidl.errors import ArgumentError, DTypeError, ShapeError
from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.arguments import whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = ["Bilinear", "CosineSimilarity", "Embedding"]


class Embedding(Module):
    """A learned row for every integer (``torch.nn.Embedding``): integers (...) -> (..., embedding_dim).

    weight (num_embeddings, embedding_dim) starts standard normal, with zeros in the row ``padding_idx``, which receives
    no gradient. Other arguments as for ``functional.embedding``.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = whole("Embedding", "num_embeddings", num_embeddings, 0)
        self.embedding_dim = whole("Embedding", "embedding_dim", embedding_dim, 0)
        if padding_idx is not None:
            if isinstance(padding_idx, bool) or not hasattr(padding_idx, "__index__"):
                raise DTypeError("Embedding", expected="padding_idx as an integer or None", got=repr(padding_idx))
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError("Embedding", expected="padding_idx within num_embeddings", got=repr(padding_idx))
            padding_idx = padding_idx % num_embeddings
        for name, value in (("max_norm", max_norm), ("norm_type", norm_type)):
            if value is not None and not is_real(value):
                raise DTypeError("Embedding", expected=f"{name} as a number", got=repr(value))
        if sparse:
            raise ArgumentError("Embedding", expected="sparse=False", got="True", hint="There are no sparse tensors.")
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            shape = (self.num_embeddings, self.embedding_dim)
            self.weight = Parameter(empty(shape, dtype=dtype, device=device), requires_grad=not _freeze)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer around the rows (K, D) of a tensor, not trained unless ``freeze=False``."""
        if not isinstance(embeddings, Tensor) or embeddings.dim() != 2:
            got = str(getattr(embeddings, "shape", type(embeddings).__name__))
            raise ShapeError("Embedding.from_pretrained", expected="a Tensor (K, D)", got=got)
        rows, columns = embeddings.shape
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(rows, columns, *options, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self) -> None:
        """Draw the rows from the standard normal distribution; that of ``padding_idx`` becomes 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        return text + (", scale_grad_by_freq=True" if self.scale_grad_by_freq else "")


class Bilinear(Module):
    """y_o = x1^T W_o x2 + b_o (``torch.nn.Bilinear``): (..., in1_features), (..., in2_features) -> (..., out_features).

    weight (out, in1, in2) and bias (out,) start uniform in +-1/sqrt(in1_features).
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = whole("Bilinear", "in1_features", in1_features, 1)
        self.in2_features = whole("Bilinear", "in2_features", in2_features, 1)
        self.out_features = whole("Bilinear", "out_features", out_features, 1)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(empty((self.out_features,), dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weight, then the initial bias."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}"
        return f"{sizes}, out_features={self.out_features}, bias={self.bias is not None}"


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along one axis (``torch.nn.CosineSimilarity``)."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise DTypeError("CosineSimilarity", expected="dim as an integer", got=repr(dim))
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
