"""Which drawn crystals are handed out; the others are drawn again, with the reason in the
report.
"""

import torch

from ase_crysdiff.constants import GATE_DISTANCE, GATE_VOLUME, VOLUME_PER_ATOM
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry import lattice as geometry
from ase_crysdiff.sampling.request import SampleRequest


def rejection(crystal: CrystalBatch, request: SampleRequest) -> str | None:
    """Why a crystal, a batch of one, is not handed out; None if it is sound and obeys the
    request.
    """
    lattice, frac, species = (
        crystal.lattice.double(),
        crystal.frac_coords.double(),
        crystal.species.tolist(),
    )
    if not species:
        return "no atoms"
    if not (torch.isfinite(lattice).all() and torch.isfinite(frac).all()):
        return "not finite"
    volume = float(geometry.volume(lattice))
    low, high = VOLUME_PER_ATOM
    if volume < GATE_VOLUME or not low <= volume / len(species) <= high:
        return f"volume outside {low:g}-{high:g} Å³ per atom"
    if float(geometry.plane_spacings(lattice).min()) < GATE_DISTANCE:
        return f"cell thinner than {GATE_DISTANCE} Å"
    if float(geometry.shortest_distance(frac, lattice[0]).min()) < GATE_DISTANCE:
        return f"two atoms closer than {GATE_DISTANCE} Å"
    required = request.task.required_elements
    if required is not None and set(species) != required:
        return "an element of the chemical system is missing"
    return next(
        (reason for reason in (f(crystal) for f in request.filters) if reason is not None), None
    )
