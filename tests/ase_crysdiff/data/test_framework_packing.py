"""Frameworks are packed as their blocks, here or in several processes."""

from framework_toys import strained
from pymatgen.core import Lattice, Structure

from ase_crysdiff.data.framework_packing import pack_frameworks


def test_processes_pack_the_same(tmp_path):
    for number, structure in enumerate(strained(3)):
        structure.to(str(tmp_path / f"cube{number}.cif"))
    diamond = Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.57), ["C"], [[0, 0, 0]])
    diamond.to(str(tmp_path / "diamond.cif"))
    ways = [pack_frameworks([tmp_path], workers=n, progress=False) for n in (0, 2)]
    (here, told), (there, told_there) = ways
    assert here.digest == there.digest
    assert len(here) == 3
    assert told == told_there
    assert [name for name, _ in told.skipped] == ["diamond"]
