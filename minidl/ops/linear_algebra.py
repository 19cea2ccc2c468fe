"""Products of matrices and vectors under their own names, and sums of products by subscripts."""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.base import T
from minidl.backend.arrays import namespace
from minidl.errors import ArgumentError, ShapeError
from minidl.ops.arithmetic import mul
from minidl.ops.matmul import matmul
from minidl.ops.promotion import require_float, require_tensor, same_dtype
from minidl.ops.reduction import sum

__all__ = ["bilinear", "bmm", "dot", "einsum", "mm", "mv", "outer"]


def _product(who: str, a: Any, b: Any, axes: tuple[int, int]) -> Any:
    """matmul of operands that must have so many axes."""
    require_tensor(who, a, b)
    shape_a, shape_b = a.data.shape, b.data.shape
    if (len(shape_a), len(shape_b)) != axes:
        raise ShapeError(who, expected=f"tensors with {axes[0]} and {axes[1]} axes", got=f"{shape_a} and {shape_b}")
    if shape_a[-1] != shape_b[max(-2, -len(shape_b))] or (len(shape_a) == 3 and shape_a[0] != shape_b[0]):
        raise ShapeError(who, expected="shapes that fit for a product", got=f"{shape_a} and {shape_b}")
    same_dtype(who, a, b)
    return matmul(a, b)


def mm(input: T, mat2: Any) -> T:
    """The product of two matrices, (M, K) and (K, N): (M, N); nothing broadcasts. Source: torch.mm."""
    return _product("mm", input, mat2, (2, 2))


def bmm(input: T, mat2: Any) -> T:
    """The products of two rows of matrices, (B, M, K) and (B, K, N): (B, M, N). Source: torch.bmm."""
    return _product("bmm", input, mat2, (3, 3))


def mv(input: T, vec: Any) -> T:
    """A matrix times a vector, (M, K) and (K,): (M,). Source: torch.mv."""
    return _product("mv", input, vec, (2, 1))


def dot(input: T, tensor: Any) -> T:
    """The inner product of two vectors, (K,) and (K,): a tensor without axes. Source: torch.dot."""
    return _product("dot", input, tensor, (1, 1))


def outer(input: T, vec2: Any) -> T:
    """All products of two vectors' elements, (M,) and (N,): (M, N), with type promotion. Source: torch.outer."""
    require_tensor("outer", input, vec2)
    if input.data.ndim != 1 or vec2.data.ndim != 1:
        raise ShapeError("outer", expected="two vectors", got=f"{input.data.shape} and {vec2.data.shape}")
    return mul(input.reshape(-1, 1), vec2)  # type: ignore[attr-defined]


def bilinear(input1: T, input2: Any, weight: Any, bias: Any = None) -> T:
    """y[..., o] = sum over i, j of input1[..., i] weight[o, i, j] input2[..., j], plus bias[o].

    input1: (..., I); input2: (..., J); weight: (O, I, J); bias: (O,) or None; result (..., O). Raises ShapeError,
    DTypeError. Source: torch.nn.functional.bilinear.
    """
    require_float("bilinear", input1, input2, weight, bias)
    same_dtype("bilinear", input1, input2, weight, bias)
    a, b, w = input1.data.shape, input2.data.shape, weight.data.shape
    if len(w) != 3 or not a or not b or a[:-1] != b[:-1] or (a[-1], b[-1]) != w[1:]:
        raise ShapeError(
            "bilinear", expected="input1 (..., I), input2 (..., J) and weight (O, I, J)", got=f"{a}, {b} and {w}"
        )
    if bias is not None and bias.data.shape != w[:1]:
        raise ShapeError("bilinear", expected=f"bias of shape ({w[0]},)", got=str(bias.data.shape))
    result: Any = einsum("...i,oij,...j->...o", input1, weight, input2)
    return result if bias is None else result + bias


def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products, said by subscripts: ``einsum("bij,bjk->bik", x, y)`` is bmm.

    Every letter is an axis; a letter that the result lacks is summed over, a letter twice in one operand is its
    diagonal, "..." are axes that broadcast; axes of length 1 broadcast too. Without "->" the result has the letters
    that occur once, in alphabetical order, after the axes of "...". Also in the form ``einsum(x, [0, 1], y, [1, 2],
    [0, 2])``. Operands are multiplied from left to right. Raises ArgumentError, ShapeError, DTypeError. Source:
    torch.einsum.
    """
    if isinstance(equation, str):
        if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
            operands = tuple(operands[0])
        terms, result = _parse(equation)
    else:
        terms, result, operands = _sublists((equation, *operands))
    if not operands:
        raise ArgumentError("einsum", expected="at least one operand", got="none")
    require_tensor("einsum", *operands)
    same_dtype("einsum", *operands)
    if len(terms) != len(operands):
        raise ArgumentError("einsum", expected=f"{len(terms)} operands for these subscripts", got=str(len(operands)))
    labels, dots = _label(terms, operands)
    output = _output_labels(result, labels, dots)
    values = [_diagonals(x, names) for x, names in zip(operands, labels)]
    _check_lengths(values)
    total, names = values[0]
    for i, (x, others) in enumerate(values[1:], 1):
        needed = {name for _, rest in values[i + 1 :] for name in rest}.union(output)
        total, names = _contract(total, names, x, others, needed)
    total, names = _sum_out(total, names, set(output))
    return total.permute([names.index(name) for name in output]) if names != output else total


# The axes of "..." get negative numbers as labels, -1 for the last; letters and integers get their own.
Labels = list[Any]


def _parse(equation: str) -> tuple[list[list[Any]], list[Any] | None]:
    """Subscripts as lists of letters and Ellipsis; the result's are None where "->" is missing."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")

    def split(term: str) -> list[Any]:
        parts = term.split("...")
        if len(parts) > 2 or not all(c.isascii() and c.isalpha() for part in parts for c in part):
            raise ArgumentError("einsum", expected='letters, and "..." at most once, in every term', got=repr(equation))
        return [*parts[0], *([Ellipsis, *parts[1]] if len(parts) == 2 else [])]

    return [split(term) for term in left.split(",")], split(right) if arrow else None


def _sublists(arguments: tuple[Any, ...]) -> tuple[list[list[Any]], list[Any] | None, tuple[Any, ...]]:
    """Operands and lists of integers in turn, and perhaps a last list for the result."""
    if not all(isinstance(item, (tuple, list)) for item in arguments[1::2]):
        raise ArgumentError(
            "einsum", expected="an equation, or operands and lists of integers in turn", got=repr(arguments[1:2])
        )
    operands, terms = list(arguments[0::2]), [list(item) for item in arguments[1::2]]
    result = list(operands.pop()) if len(operands) > len(terms) and isinstance(operands[-1], (tuple, list)) else None
    for name in [name for term in [*terms, result or []] for name in term]:
        if name is not Ellipsis and not (isinstance(name, int) and 0 <= name < 52):
            raise ArgumentError("einsum", expected="integers in [0, 52) or Ellipsis as subscripts", got=repr(name))
    return terms, result, tuple(operands)


def _label(terms: list[list[Any]], operands: Any) -> tuple[list[Labels], int]:
    """One label for every axis of every operand, and how many axes the longest "..." stands for."""
    labels = []
    dots = 0
    for i, (term, x) in enumerate(zip(terms, operands)):
        extra = x.data.ndim - sum_of(name is not Ellipsis for name in term)
        if extra < 0 or (extra > 0 and Ellipsis not in term):
            raise ShapeError(
                "einsum", expected=f"{len(term)} axes in operand {i}, as many as its subscripts", got=str(x.data.shape)
            )
        at = term.index(Ellipsis) if Ellipsis in term else 0
        middle = list(range(-extra, 0))
        labels.append([*term[:at], *middle, *term[at + 1 :]] if Ellipsis in term else list(term))
        dots = max(dots, extra)
    return labels, dots


def sum_of(values: Any) -> int:
    """Python's sum, whose name is torch's here."""
    return len([v for v in values if v])


def _output_labels(result: list[Any] | None, labels: list[Labels], dots: int) -> Labels:
    letters = [name for names in labels for name in names if not (isinstance(name, int) and name < 0)]
    if result is None:
        return [*range(-dots, 0), *sorted(name for name in set(letters) if letters.count(name) == 1)]
    output = [name for part in result for name in (range(-dots, 0) if part is Ellipsis else [part])]
    if len(set(output)) != len(output) or not set(output) - set(range(-dots, 0)) <= set(letters):
        raise ArgumentError("einsum", expected="each subscript of the result once, from the operands", got=str(result))
    return output


def _diagonals(x: Any, names: Labels) -> tuple[Any, Labels]:
    """An operand in which every label stands once: where it stood several times, the diagonal."""
    for name in [name for i, name in enumerate(names) if name in names[:i]]:
        first = names.index(name)
        second = names.index(name, first + 1)
        length = x.shape[first]
        if x.shape[second] != length:
            raise ShapeError("einsum", expected=f"equal lengths for the repeated subscript {name}", got=str(x.shape))
        count = namespace(x.data).arange(length)
        x = x.movedim((first, second), (-2, -1))[..., count, count]
        names = [*(n for i, n in enumerate(names) if i not in (first, second)), name]
    return x, names


def _check_lengths(values: list[tuple[Any, Labels]]) -> None:
    lengths: dict[Any, int] = {}
    for x, names in values:
        for name, n in zip(names, x.shape):
            known = lengths.get(name, 1)
            if n != known and 1 not in (n, known):
                raise ShapeError("einsum", expected=f"one length for subscript {name}", got=f"{known} and {n}")
            lengths[name] = n if known == 1 else known


def _sum_out(x: Any, names: Labels, needed: set[Any]) -> tuple[Any, Labels]:
    """Without the axes that nothing needs any more."""
    axes = tuple([i for i, name in enumerate(names) if name not in needed])
    return (sum(x, axes), [name for name in names if name in needed]) if axes else (x, names)


def _contract(a: Any, names_a: Labels, b: Any, names_b: Labels, needed: set[Any]) -> tuple[Any, Labels]:
    """The product of two operands, summed over the labels that only they have: one product of matrices."""
    for name in set(names_a) & set(names_b):  # where one of them has length 1 and the other not, it broadcasts
        i, j = names_a.index(name), names_b.index(name)
        if a.shape[i] != b.shape[j]:
            if a.shape[i] == 1:
                a, names_a = a.squeeze(i), [n for n in names_a if n != name]
            else:
                b, names_b = b.squeeze(j), [n for n in names_b if n != name]
    a, names_a = _sum_out(a, names_a, needed.union(names_b))
    b, names_b = _sum_out(b, names_b, needed.union(names_a))
    batch = [name for name in names_a if name in names_b and name in needed]
    inner = [name for name in names_a if name in names_b and name not in needed]
    left = [name for name in names_a if name not in names_b]
    right = [name for name in names_b if name not in names_a]
    lengths = {**dict(zip(names_b, b.shape)), **dict(zip(names_a, a.shape))}

    def size(names: Labels) -> int:
        return math.prod(lengths[name] for name in names)

    def matrix(x: Any, names: Labels, rows: Labels, columns: Labels) -> Any:
        x = x.permute([names.index(name) for name in (*batch, *rows, *columns)])
        return x.reshape(*([size(batch)] if batch else []), size(rows), size(columns))  # -> (batch, rows, columns)

    product = matmul(matrix(a, names_a, left, inner), matrix(b, names_b, inner, right))
    names = [*batch, *left, *right]
    return product.reshape([lengths[name] for name in names]), names
