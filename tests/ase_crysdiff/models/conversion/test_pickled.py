"""Checkpoints are read, and what is pickled in them is not run."""

import contextlib
import io
import zipfile

import pytest
import torch
from published import Hostile, is_hostile

from ase_crysdiff.errors import CheckpointError
from ase_crysdiff.models.conversion import pickled
from ase_crysdiff.models.conversion.pickled import plain, read_pickled


def test_tensors_of_all_kinds(tmp_path):
    base = torch.arange(24, dtype=torch.float32).view(4, 6)
    kinds = (torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8)
    content = {
        "view": base[1:, ::2].T,
        "parameter": torch.nn.Parameter(base.clone()),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(3.5),
        **{str(kind): base.to(kind) for kind in kinds},
        "nested": [{"set": {1, 2}}, (1, "a", None)],
    }
    torch.save(content, tmp_path / "all.pt")
    found = read_pickled(tmp_path / "all.pt")
    assert list(found) == list(content)
    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value.detach())
    assert found["nested"] == content["nested"]


@pytest.mark.parametrize("kind", ["call", "nested", "attribute"])
def test_nothing_is_run(tmp_path, kind):
    witness = tmp_path / "witness"
    evil = Hostile(open, str(witness), "w")
    if kind == "nested":
        evil = {"state_dict": {"a": torch.ones(2), "b": [evil]}}
    if kind == "attribute":
        evil = Hostile(getattr, Hostile(open, str(witness), "w"), "name")
    torch.save(evil, tmp_path / "evil.ckpt")
    found = read_pickled(tmp_path / "evil.ckpt")
    assert not witness.exists()
    plain(found)
    assert not witness.exists()
    assert is_hostile(evil, witness), "the test itself shows nothing"


def pickled_as(path, program):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
    return path


def test_what_rebuilds_tensors_cannot_be_changed(tmp_path):
    program = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__"
    program += b"X\x01\x00\x00\x00a\x85s\x86b."
    with contextlib.suppress(CheckpointError):
        read_pickled(pickled_as(tmp_path / "changed.pt", program))
    assert pickled._tensor.__defaults__ is None


def test_a_small_file_cannot_ask_for_much_memory(tmp_path):
    torch.save({"a": torch.ones(1).expand(10**9)}, tmp_path / "wide.pt")
    with pytest.raises(CheckpointError, match="reaches beyond its numbers"):
        read_pickled(tmp_path / "wide.pt")


def test_damage_is_named(tmp_path):
    path = tmp_path / "x.ckpt"
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_pickled(path)
    path.write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match=r"torch\.save"):
        read_pickled(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(CheckpointError, match=r"lacks data\.pkl"):
        read_pickled(path)


@pytest.mark.parametrize("place", range(0, 300, 7))
def test_a_damaged_pickle_is_an_error_or_harmless(tmp_path, place):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(3, 3), "b": {"c": [1, 2]}}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, content in files.items():
        if name.endswith("data.pkl") and place < len(content):
            files[name] = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
    path = tmp_path / "damaged.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with contextlib.suppress(CheckpointError):  # any other exception would be a traceback
        read_pickled(path)
