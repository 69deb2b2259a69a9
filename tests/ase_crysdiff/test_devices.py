import pytest
import torch

from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import InputError


def test_auto_is_a_gpu_where_there_is_one():
    assert resolve("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve("cpu") == "cpu"


@pytest.mark.parametrize("name", ["abacus", "cuda:99", ""])
def test_what_cannot_be_used_is_named_with_what_can(name):
    with pytest.raises(InputError, match=rf"device '{name}' cannot be used \(.+'cpu'.+'auto'"):
        resolve(name)
