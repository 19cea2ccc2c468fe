"""Memory shared with other libraries, both ways: NumPy's protocol, DLPack with NumPy and PyTorch; awkward arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl.errors import ArgumentError, DeviceError, DTypeError, GraphError, SlipWarning

DTYPES = [minidl.float32, minidl.float64, minidl.float16, minidl.int64, minidl.int32, minidl.uint8, minidl.bool]
OUT = {
    "np.asarray": np.asarray,
    "np.from_dlpack": np.from_dlpack,
    "torch.from_dlpack": torch.from_dlpack,
}
IN = {
    "from_dlpack": minidl.from_dlpack,
    "as_tensor": minidl.as_tensor,
    "asarray": minidl.asarray,
}


def values(x: Any) -> list[Any]:
    return x.tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", OUT)
def test_out_and_written_on_both_sides(name: str, dtype: Any) -> None:
    x = minidl.zeros(2, 3, dtype=dtype)
    other = OUT[name](x)
    assert str(other.dtype).removeprefix("torch.") == str(dtype)
    x[0, 1] = 1
    assert other[0, 1] == 1
    other[1, 2] = 1
    assert values(x) == values(other) == np.array([[0, 1, 0], [0, 0, 1]]).astype(dtype).tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("make", [torch.zeros, np.zeros], ids=["torch", "numpy"])
@pytest.mark.parametrize("name", IN)
def test_in_and_written_on_both_sides(name: str, make: Any, dtype: Any) -> None:
    other = make((2, 3), dtype=getattr(torch, str(dtype)) if make is torch.zeros else dtype)
    x = IN[name](other)
    assert type(x) is minidl.Tensor
    assert x.dtype == dtype  # float64 too: only Python's numbers become float32
    x.fill_(1)
    assert other[1, 1] == 1
    other[0, 0] = 0
    assert values(x) == values(other) == np.array([[0, 1, 1], [1, 1, 1]]).astype(dtype).tolist()


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.T,
        lambda x: x[:, ::2],
        lambda x: x[1:, 1],
        lambda x: x[1, 1],
        lambda x: x[:0],
        lambda x: x[1].expand(4, 3),
        lambda x: x.reshape(2, 3, 1, 1).expand(2, 3, 2, 2),
    ],
)
def test_strides_axes_and_nothing_at_all(name: str, change: Any) -> None:
    x = change(minidl.arange(6.0).reshape(2, 3))
    other = OUT[name](x)
    assert tuple(other.shape) == x.shape
    assert values(other) == values(x)


@pytest.mark.filterwarnings("error")
def test_a_view_and_back() -> None:
    x = minidl.arange(6.0).reshape(2, 3)
    minidl.from_dlpack(torch.from_dlpack(x.T[1])).add_(1)
    minidl.from_dlpack(x[0, 0]).add_(1)
    assert values(x) == [[1.0, 2.0, 2.0], [3.0, 5.0, 5.0]]


def test_the_memory_outlives_its_maker() -> None:
    other = torch.from_dlpack(minidl.arange(1000))
    x = minidl.from_dlpack(torch.arange(1000))
    assert other.sum() == x.sum().item() == 499500


def test_backwards_strides_reach_no_reader_of_dlpack() -> None:
    """PyTorch ends the process when it meets one."""
    x = minidl.from_numpy(np.arange(3.0)[::-1])
    for read in (torch.from_dlpack, np.from_dlpack):
        with pytest.raises(
            ArgumentError, match=r"^__dlpack__: expected strides of at least 0, got \(-8,\)\..*contiguous"
        ):
            read(x)
        assert values(read(x.contiguous())) == [2.0, 1.0, 0.0]
    assert values(np.asarray(x)) == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("name", OUT)
def test_a_graph_is_not_given_away(name: str) -> None:
    leaf = minidl.ones(2, requires_grad=True)
    for x in (leaf, leaf * 2):
        with pytest.raises(GraphError, match=r"needs no gradient, got one that does\. Use \.detach\(\)"):
            OUT[name](x)
    assert values(OUT[name](leaf.detach())) == [1.0, 1.0]


def test_numpys_dtype_and_copy() -> None:
    x = minidl.ones(2)
    assert np.asarray(x) is x.data
    assert np.asarray(x, copy=False) is x.data
    assert np.asarray(x, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.data)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, np.float64, copy=False)


def test_dlpacks_own_arguments() -> None:
    x = minidl.ones(2)
    assert x.__dlpack_device__() == torch.ones(2).__dlpack_device__() == (1, 0)
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.data)
    assert np.from_dlpack(x, device="cpu", copy=False).ctypes.data == x.data.ctypes.data
    for bad in ({"stream": 1}, {"dl_device": (2, 0)}):
        with pytest.raises((RuntimeError, BufferError)):
            x.__dlpack__(**bad)
    assert not hasattr(x, "__cuda_array_interface__")


@pytest.mark.parametrize("name", [*IN, "from_numpy"])
def test_read_only_arrays_are_shared_with_a_warning_and_never_written(name: str) -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    with pytest.warns(SlipWarning, match="read-only"):
        x = getattr(minidl, name)(array)
    assert x.data.ctypes.data == array.ctypes.data
    for write in (lambda: x.add_(1), lambda: x.fill_(1), lambda: x.copy_(minidl.ones(3)), lambda: x[0].zero_()):
        with pytest.raises(ArgumentError, match=r"expected memory that may be written, .*clone\(\)"):
            write()
    assert values(array) == [0.0, 0.0, 0.0]
    with pytest.raises(ArgumentError, match="several places by expand"):
        minidl.ones(1).expand(3).add_(1)


def test_as_tensor_and_asarray_copy_what_must_change() -> None:
    for like in (np.ones(2), torch.ones(2, dtype=torch.float64), minidl.ones(2, dtype=minidl.float64)):
        assert minidl.asarray(like, copy=False).data.ctypes.data == np.asarray(like).ctypes.data
        for x in (minidl.as_tensor(like, minidl.float32), minidl.asarray(like, dtype=minidl.float32)):
            assert x.dtype == minidl.float32
        assert not np.shares_memory(minidl.asarray(like, copy=True).data, np.asarray(like))
        with pytest.raises(ArgumentError, match="asarray: expected an object to share"):
            minidl.asarray(like, dtype=minidl.float32, copy=False)
        assert not np.shares_memory(minidl.tensor(like).data, np.asarray(like))
    with pytest.raises(ArgumentError, match=r"asarray: .* got list"):
        minidl.asarray([1.0], copy=False)
    assert minidl.asarray([1.5]).dtype == torch.asarray([1.5]).numpy().dtype
    x = minidl.ones(2, requires_grad=True)
    assert minidl.asarray(x) is minidl.as_tensor(x) is x


class Elsewhere:
    """An array on a device that minidl does not know (Vulkan)."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 7, 0

    def __dlpack__(self, **options: Any) -> Any: ...


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: minidl.from_dlpack([1.0]), DTypeError, "from_dlpack: expected an object with __dlpack__, got list"),
        (lambda: minidl.from_dlpack(torch.ones(2, dtype=torch.cfloat)), DTypeError, "from_dlpack: .*complex64"),
        (lambda: minidl.from_dlpack(torch.ones(2, requires_grad=True)), ArgumentError, "from_dlpack: .*detach"),
        (lambda: minidl.from_dlpack(torch.ones(2).bfloat16()), ArgumentError, "from_dlpack: .*torch.Tensor: .*dtype"),
        (lambda: minidl.from_dlpack(Elsewhere()), DeviceError, "from_dlpack: .*device 7"),
        (lambda: minidl.as_tensor(torch.ones(2, requires_grad=True)), ArgumentError, "tensor: .*detach"),
        (lambda: minidl.from_numpy(np.ones(2, ">f4")), DTypeError, "from_numpy: .*byte order.*>f4"),
        (lambda: minidl.tensor(np.ones(2, ">f4")), DTypeError, "tensor: .*byte order"),
        (lambda: minidl.from_numpy(np.ones(2, np.longdouble)), DTypeError, "from_numpy: .*float128"),
        (lambda: minidl.from_numpy(torch.ones(2)), DTypeError, "from_numpy: expected a NumPy array, got Tensor"),
        (lambda: minidl.from_numpy(np.array(["a"])), DTypeError, "from_numpy: expected numbers, got <U1"),
    ],
)
def test_bad_calls(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=rf"^{says}"):
        call()
