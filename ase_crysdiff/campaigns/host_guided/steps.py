"""The steps of CHGGen's workflow, each usable alone in a `Pipeline`."""

from ase_crysdiff.campaigns.host_guided.drawing_steps import (
    FillFramework,
    RemoveGuests,
    SampleCoordinates,
    lattice_candidates,
)
from ase_crysdiff.campaigns.host_guided.energy_steps import Decompose, Rank, Relax, measure
from ase_crysdiff.campaigns.host_guided.placer import Placer
from ase_crysdiff.campaigns.host_guided.symmetry_steps import (
    LADDER,
    TRIVIAL,
    Refine,
    SymmetriseFilling,
    SymmetriseFramework,
)

__all__ = [
    "LADDER",
    "TRIVIAL",
    "Decompose",
    "FillFramework",
    "Placer",
    "Rank",
    "Refine",
    "Relax",
    "RemoveGuests",
    "SampleCoordinates",
    "SymmetriseFilling",
    "SymmetriseFramework",
    "lattice_candidates",
    "measure",
]
