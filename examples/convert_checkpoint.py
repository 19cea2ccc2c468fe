"""Turn a PyTorch checkpoint into safetensors:  python examples/convert_checkpoint.py SOURCE.pth TARGET.safetensors

The one example that needs PyTorch. A checkpoint is a pickle, which can run code: it is read with torch's
``weights_only=True``, which gives the tensors and executes nothing. Names, shapes, types and bits stay as they are;
bfloat16, which NumPy has not, becomes float32. ``minidl.load`` and ``safetensors.torch.load_file`` read the result.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from command_line import BadInput, Parser, fail

import minidl
from minidl.train.files import shown

NAME = "convert_checkpoint.py"

# Where a checkpoint that holds more than a state_dict keeps it.
HOLDERS = ("state_dict", "model", "model_state_dict")

# What torch calls the types that minidl reads.
KEPT = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")

# A tensor of a few bytes can say that it is repeated a million times: the tensors of a file may come to this many times
# its size. Tied weights that are written under each name, and bfloat16, need no more.
LARGEST = 8


def read(path: Path) -> Any:
    """What the checkpoint holds. Raises BadInput for what ``weights_only=True`` refuses and for what is no checkpoint,
    OSError for what cannot be read at all."""
    torch = _torch()
    with path.open("rb"):  # missing, a folder, forbidden: Python's own errors say so best
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice on the kind of the file: what matters of it is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many types: whatever the bytes lead its readers to
        text = str(error)
        found = re.search(r"GLOBAL (\S+)", text)
        if found or "TorchScript" in text:
            code = f"it names {shown(found[1])}" if found else "it is a TorchScript archive"
            raise BadInput(
                f"{path} holds more than weights ({code}): torch's weights_only=True refuses it, and nothing of it was "
                "executed. Where the checkpoint was made, save the weights alone: torch.save(model.state_dict(), path)."
            ) from error
        told = isinstance(error, RuntimeError) and text  # else the reader stumbled over bytes that mean nothing
        reason = f" ({shown(text.split('. ')[0])})" if told else ""
        raise BadInput(f"{path} is not a whole PyTorch checkpoint{reason}; copy or download it again.") from error


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise BadInput("this example reads PyTorch's files and needs PyTorch: pip install torch") from error
    if tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2]) < (2, 6):
        raise BadInput(
            f"PyTorch {torch.__version__} is installed; before 2.6 files could run code in spite of weights_only=True "
            "(CVE-2025-32434): pip install --upgrade torch"
        )
    return torch


def state_dict_in(document: Any, path: Path) -> dict[str, Any]:
    """The state_dict that the checkpoint is or holds, by name; says where it was found. Raises BadInput for none."""
    where = ""
    if isinstance(document, Mapping):
        for key in HOLDERS:
            if isinstance(document.get(key), Mapping):
                others = ", ".join(shown(other) for other in document if other != key)
                where = f" from its entry {key}{' (left out: ' + others + ')' if others else ''}"
                document = document[key]
                break
    if not isinstance(document, Mapping) or not document:
        kind = "an empty dict" if isinstance(document, Mapping) else type(document).__name__
        raise BadInput(f"{path} holds {kind}, not a dict of names and tensors.")
    foreign = [
        f"{shown(name)}: {type(value).__name__}" for name, value in document.items() if not _is_entry(name, value)
    ]
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise BadInput(
            f"{path} holds no dict of names and tensors, neither itself nor as {', '.join(HOLDERS[:-1])} or "
            f"{HOLDERS[-1]}; it has {', '.join(foreign[:5])}{more}."
        )
    print(f"{path}: {len(document)} tensor{'' if len(document) == 1 else 's'}{where}")
    return dict(document)


def _is_entry(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, _torch().Tensor)


def without_prefix(state: dict[str, Any], prefix: str | None) -> dict[str, Any]:
    """The state_dict with ``prefix`` taken from the names that begin with it; raises BadInput where none does."""
    if prefix is None:
        if all(name.startswith("module.") for name in state):
            print("every name begins with module., as DataParallel writes them: --strip module. takes it away")
        return state
    names = [name.removeprefix(prefix) for name in state]
    stripped = sum(new != old for new, old in zip(names, state, strict=True))
    twice = [name for name, count in Counter(names).items() if count > 1 or not name]
    if not stripped:
        raise BadInput(f"--strip: no name begins with {prefix!r}; the first is {shown(next(iter(state)))}.")
    if twice:
        raise BadInput(f"--strip: without {prefix!r} several tensors, or one without a name, would be {twice[0]!r}.")
    print(f"{prefix} taken from {stripped} of {len(state)} names")
    return dict(zip(names, state.values(), strict=True))


def as_arrays(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """The tensors as NumPy arrays, strided as they come. Raises BadInput for types and layouts that minidl has not."""
    torch = _torch()
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if size > LARGEST * path.stat().st_size + 2**20:
        raise BadInput(f"{path}: its tensors would take {size:,} bytes, more than {LARGEST} times those of the file.")
    arrays, widened = {}, 0
    for name, tensor in state.items():
        kind = _kind(tensor)
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or kind not in (*KEPT, "bfloat16"):
            what = kind if tensor.layout == torch.strided else str(tensor.layout).removeprefix("torch.")
            what = what if tensor.device.type == "cpu" else f"on the device {tensor.device}"
            raise BadInput(f"{path}: {shown(name)} is {what}; minidl reads dense tensors of {', '.join(KEPT)}.")
        widened += kind == "bfloat16"
        tensor = tensor.detach().float() if kind == "bfloat16" else tensor.detach()
        arrays[name] = tensor.numpy()
    if widened:
        print(f"{widened} bfloat16 tensors become float32, which holds every value of theirs")
    return arrays


def _kind(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def show(state: dict[str, Any]) -> None:
    """Print every name with its shape and type."""
    rows = [(shown(name), str(tuple(tensor.shape)), _kind(tensor)) for name, tensor in state.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, shape, kind in rows:
        print(f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {kind}")
    print(f"{sum(tensor.numel() for tensor in state.values()):,} numbers")


def convert(given: argparse.Namespace) -> None:
    """Do what the command line asks."""
    source, target = given.source, given.target
    if given.list:
        return show(without_prefix(state_dict_in(read(source), source), given.strip))
    if target.exists() and (target.is_dir() or target.samefile(source)):
        raise BadInput(
            f"{target} is {'a folder' if target.is_dir() else 'the checkpoint itself'}: name a file to write."
        )
    if target.exists() and not given.force:
        raise BadInput(f"{target} is there already; --force writes over it.")
    if not target.parent.is_dir():
        raise BadInput(f"there is no folder {target.parent} to write into.")
    arrays = as_arrays(without_prefix(state_dict_in(read(source), source), given.strip), source)
    minidl.save(arrays, target)
    print(f"written: {target} ({target.stat().st_size:,} bytes)")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog=NAME,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 done, 1 the disk failed, 2 bad input, 130 stopped by Ctrl-C",
    )
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help="what torch.save wrote: a state_dict, or a dict that holds one")
    add("target", type=Path, nargs="?", metavar="TARGET", help="the safetensors file to write")
    add("--list", action="store_true", help="show names, shapes and types, and write nothing")
    add("--strip", metavar="PREFIX", help="take PREFIX from the names, such as the module. of DataParallel")
    add("--force", action="store_true", help="write over a TARGET that is there")
    given = parser.parse_args(arguments)
    if given.list == (given.target is not None) or (given.list and given.force):
        raise BadInput("name the file to write, or give --list alone (--help lists all options)")
    if given.strip == "":
        raise BadInput("--strip: expected a prefix that is not empty (--help lists all options)")
    return given


def main(arguments: list[str]) -> NoReturn:
    try:
        convert(parse(arguments))
    except (BadInput, ImportError, minidl.ArgumentError) as error:
        fail(NAME, str(error), 2)
    except (FileNotFoundError, IsADirectoryError) as error:
        fail(NAME, f"{error.filename}: {error.strerror}", 2)
    except OSError as error:
        fail(NAME, f"{error.filename or 'file'}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        fail(NAME, "stopped; nothing was written", 130)
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
