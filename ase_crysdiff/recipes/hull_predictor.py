"""Energy above the hull as a potential sees it, against the open hull that ships with the package."""

from dataclasses import replace

import torch
from ase.data import chemical_symbols

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.metrics.fingerprints import open_hull
from ase_crysdiff.recipes.predictors import Estimates, PotentialPredictor


class HullPredictor(PotentialPredictor):
    """The formation energy that a potential gives, minus the height of the open hull at the composition.

    The hull is partial: at a formula that it does not list the true one may lie lower, so that the value is a lower bound.
    Values below 0 are kept: they say by how much a crystal would lie under the known ones, or how far the potential is off.

    Args:
        card: Names the potential.
        potential: Brings the reference energies.
    """

    def predict(self, crystals: CrystalBatch) -> Estimates:
        formation, hull = super().predict(crystals), open_hull()
        values, failures = formation.values.clone(), dict(formation.failures)
        for row, species in enumerate(crystals.species.split(crystals.num_atoms.tolist())):
            numbers, counts = species.unique(return_counts=True)
            composition = {chemical_symbols[z]: n for z, n in zip(numbers.tolist(), counts.tolist(), strict=True)}
            try:
                values[row] -= hull.energy(composition)
            except InputError as error:
                values[row] = torch.nan
                failures.setdefault(row, str(error))
        return replace(formation, values=values, failures=dict(sorted(failures.items())))
