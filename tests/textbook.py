"""Crystals of textbooks, from which tests make libraries of prototypes."""

from pathlib import Path

from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.packed import PackedCrystals
from ase_crysdiff.data.scaffolds import PackedScaffolds
from ase_crysdiff.models.card import Card
from ase_crysdiff.recipes.prototypes import RECIPE
from ase_crysdiff.symmetry.finding import find_symmetric


def rocksalt(a: float, cation: str, anion: str) -> Structure:
    places = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], places)


def perovskite(a: float, large: str, small: str, anion: str = "O") -> Structure:
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(a), [large, small, anion], places)


def rutile(a: float, c: float, u: float, cation: str, anion: str = "O") -> Structure:
    places = [[0, 0, 0], [u, u, 0]]
    return Structure.from_spacegroup("P4_2/mnm", Lattice.tetragonal(a, c), [cation, anion], places)


def fluorite(a: float, cation: str, anion: str) -> Structure:
    places = [[0, 0, 0], [0.25, 0.25, 0.25]]
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], places)


#: Names, energies above the hull (eV/atom) and structures, as their minerals are measured.
TEXTBOOK: dict[str, tuple[float, Structure]] = {
    "halite": (0.0, rocksalt(5.64, "Na", "Cl")),
    "sylvite": (0.0, rocksalt(6.29, "K", "Cl")),
    "periclase": (0.0, rocksalt(4.21, "Mg", "O")),
    "lime": (0.0, rocksalt(4.81, "Ca", "O")),
    "CsCl": (
        0.0,
        Structure.from_spacegroup(
            "Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        ),
    ),
    "tausonite": (0.0, perovskite(3.905, "Sr", "Ti")),
    "BaTiO3": (0.01, perovskite(4.00, "Ba", "Ti")),
    "SrZrO3": (0.03, perovskite(4.15, "Sr", "Zr")),
    "rutile": (0.02, rutile(4.594, 2.959, 0.305, "Ti")),
    "cassiterite": (0.0, rutile(4.738, 3.187, 0.307, "Sn")),
    "fluorite": (0.0, fluorite(5.463, "Ca", "F")),
    "thorianite": (0.0, fluorite(5.60, "Th", "O")),
    "ceria": (0.0, fluorite(5.41, "Ce", "O")),
    "anatase": (
        0.0,
        Structure.from_spacegroup(
            "I4_1/amd", Lattice.tetragonal(3.784, 9.515), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.2081]]
        ),
    ),
}


def packed(entries: dict[str, tuple[float, Structure]] | None = None) -> PackedCrystals:
    """The textbook's crystals, or others, as a packed file holds them."""
    import torch

    chosen = TEXTBOOK if entries is None else entries
    structures = [structure.get_primitive_structure() for _, structure in chosen.values()]
    return PackedCrystals(
        from_structures(structures),
        {"e_above_hull": torch.tensor([energy for energy, _ in chosen.values()])},
        {"sources": "textbook"},
        PackedScaffolds.of([find_symmetric(s) for s in structures]),
        tuple(chosen),
    )


def textbook_library(folder: Path) -> Card:
    """Writes the library of the textbook."""
    packed().save(folder / "packed.safetensors")
    return RECIPE.make(folder / "packed.safetensors", folder, "textbook", {}, {})
