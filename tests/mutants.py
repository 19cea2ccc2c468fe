"""Damaged and hostile versions of a file or of a tree of plain values, seeded; and what reading one may cost."""

from __future__ import annotations

import copy
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

# How many mutants of each kind of file: in the ordinary run, and with ``-m long``.
COUNTS = pytest.mark.parametrize("count", [250, pytest.param(2500, marks=pytest.mark.long)])

# Numbers that readers stumble over, as bytes of either order.
_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]

_JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    2**31,
    2**63,
    -(2**70),
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\n\x1b[31m",
    "9" * 300,
    [],
    [1, 2],
    [[]],
    {},
    {"x": 1},
    {"$tensor": "x"},
    {"$tuple": 3},
    {"$items": [[{}, 1]]},
]


def mutants(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` files made from ``data`` by one to three changes: cut, altered, repeated, taken out, put in."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        text = bytearray(data)
        for _ in range(random.choice([1, 1, 2, 3])):
            _damage(text, random)
        yield bytes(text)


def _damage(text: bytearray, random: np.random.Generator) -> None:
    if not text:
        text.extend(random.bytes(int(random.integers(0, 64))))
        return
    # Half of the damage in the first and last 600 bytes, where headers and directories are.
    edge = min(600, len(text))
    place = int(random.choice([random.integers(0, len(text)), random.integers(0, edge), -random.integers(1, edge + 1)]))
    place %= len(text)
    length = int(2 ** random.uniform(0, np.log2(len(text) + 1)))
    kind = random.integers(0, 9)
    if kind == 0:
        del text[place:]
    elif kind == 1:
        text[place] ^= 1 << int(random.integers(0, 8))
    elif kind == 2:
        text[place] = int(random.integers(0, 256))
    elif kind == 3:
        size, order = int(random.choice([1, 2, 4, 8])), str(random.choice(["little", "big"]))
        number = int(_NUMBERS[random.integers(0, len(_NUMBERS))]) % 256**size
        text[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
    elif kind == 4:
        del text[place : place + length]
    elif kind == 5:
        text[place:place] = text[place : place + length]
    elif kind == 6:
        text[place : place + length] = bytes(min(length, len(text) - place))
    elif kind == 7:
        text[place : place + min(length, 16)] = random.bytes(int(random.integers(0, 16)))
    else:
        text.extend(random.bytes(min(length, 4096)))


def mutated_trees(tree: Any, count: int, seed: int = 0) -> Iterator[Any]:
    """``count`` copies of a tree of dicts, lists and plain values, in which one or two nodes are something else."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        changed = {"root": copy.deepcopy(tree)}
        for _ in range(random.integers(1, 3)):
            _change_node(changed, random)
        yield changed["root"]


def _change_node(tree: Any, random: np.random.Generator) -> None:
    places = [(holder, key) for holder, key in _places(tree)]
    holder, key = places[random.integers(0, len(places))]
    kind = random.integers(0, 6)
    if kind == 0 and isinstance(holder, dict) and len(holder) > 1:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key) if len(holder) > 1 else 1
    elif kind == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif kind == 3 and isinstance(holder, list) and len(holder) > 1:
        del holder[key]
    elif kind == 4:
        other, place = places[random.integers(0, len(places))]
        holder[key] = copy.deepcopy(other[place])
    else:
        holder[key] = copy.deepcopy(_JUNK[random.integers(0, len(_JUNK))])


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of a tree, the holder a dict or a list; strings count as one value."""
    items: Any = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


def check_sentence(error: BaseException) -> None:
    """A refusal is one line that names what was expected, printable and short."""
    text = str(error)
    assert "expected" in text
    assert "got" in text
    assert text.isprintable(), text
    assert len(text) < 1200, text


@contextmanager
def within(seconds: float, megabytes: float) -> Iterator[None]:
    """Fails if the block takes longer, or if Python and NumPy hold more memory at any moment, than this."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        peak, taken = tracemalloc.get_traced_memory()[1], time.perf_counter() - start
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 2**20, f"{peak / 2**20:.0f} MB"
    assert taken < seconds, f"{taken:.1f} s"


def survey(read: Callable[[bytes], Any], files: Iterator[bytes], refusals: tuple[type[Exception], ...]) -> int:
    """Read all files; every one is read or refused in one sentence. How many were refused."""
    refused = 0
    for data in files:
        try:
            read(data)
        except refusals as error:
            check_sentence(error)
            refused += 1
    return refused
