"""Which drawn crystals are handed out; the others are drawn again, with the reason in the
report.
"""

from ase_crysdiff.constants import DRAWN
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.soundness import unsound
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.symmetry_wishes import counts_of


def rejection(crystal: CrystalBatch, request: SampleRequest) -> str | None:
    """Why a crystal, a batch of one, is not handed out; None if it is sound and obeys the
    request.
    """
    species = crystal.species.tolist()
    if not species:
        return "no atoms"
    reason = unsound(
        crystal.lattice[0].double().cpu().numpy(),
        crystal.frac_coords.double().cpu().numpy(),
        crystal.species.cpu().numpy(),
        DRAWN,
    )
    if reason is not None:
        return reason
    required = request.task.required_elements
    if required is not None and set(species) != required:
        return "an element of the chemical system is missing"
    parts = {len(counts_of(wished)) for wished in request.prototypes}
    if parts and len(set(species)) not in parts:
        return "two parts of the prototype took the same element"
    return next(
        (reason for reason in (f(crystal) for f in request.filters) if reason is not None), None
    )
