"""Predictors that ask a potential and have no weights of their own."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Card
from ase_crysdiff.potentials.base import Configurations, Potential
from ase_crysdiff.potentials.doubts import uncertainties
from ase_crysdiff.potentials.element_references import formation_energy
from ase_crysdiff.predictors.base import Estimates, Predictor, portions
from ase_crysdiff.relaxation.evaluation import evaluate_each


class PotentialPredictor(Predictor):
    """Formation energy as a potential sees it: its energy per atom against its references of the
    elements.

    Args:
        card: Names the potential.
        potential: Brings the reference energies.
        potential_version: First digits of the digest of the potential's weights.
    """

    def __init__(self, card: Card, potential: Potential, potential_version: str = "") -> None:
        super().__init__(card)
        self.potential, self.potential_version = potential, potential_version
        self.elements &= potential.elements & potential.formation_references.keys()

    @property
    def version(self) -> str:
        """Name and digest of the potential: a predictor that asks one has no weights of its own."""
        return f"({self.potential.name} {self.potential_version})" if self.potential_version else ""

    def predict(self, crystals: CrystalBatch) -> Estimates:
        references = {str(z): energy for z, energy in self.potential.formation_references.items()}
        values = torch.full((len(crystals),), torch.nan, dtype=torch.float64)
        uncertainty, failures = values.clone(), dict[int, str]()
        for rows in portions(crystals):
            part = crystals.select(rows)
            sets = Configurations.from_crystals(part.to(dtype=torch.float64))
            answer = evaluate_each(self.potential, sets, derivatives=False)
            per_atom = (answer.energy.double().cpu() / part.num_atoms).tolist()
            uncertainty[rows] = uncertainties(self.potential, sets).systems
            failures |= {int(rows[k]): reason for k, reason in answer.failures.items()}
            for row, energy, amounts in zip(
                rows.tolist(), per_atom, _amounts(part, str), strict=True
            ):
                try:
                    values[row] = formation_energy(energy, amounts, references)
                except InputError as error:
                    failures[row] = str(error)
        for row, crystal in enumerate(crystals.split()):
            alone = _lonely(crystal)
            if alone is not None:
                values[row] = torch.nan
                failures[row] = f"{self.potential.name} has no energy for it: {alone}"
        return Estimates(values, uncertainty.masked_fill(values.isnan(), torch.nan), failures)


class HullPredictor(PotentialPredictor):
    """The formation energy that a potential gives, minus the height of the open hull at the
    composition.

    The hull is partial: at a formula that it does not list the true one may lie lower, so that the
    value is a lower bound, and says so among the remarks. Values a little below 0 are kept: they
    say by how much a crystal would lie under the known ones. What lies deeper than `DEEPEST` is no
    value: competitors are missing, or the potential is wrong.

    Args:
        card: Names the potential.
        potential: Brings the reference energies.
        potential_version: First digits of the digest of the potential's weights.
    """

    def predict(self, crystals: CrystalBatch) -> Estimates:
        from ase.data import chemical_symbols  # nobody else here needs ASE and pymatgen

        from ase_crysdiff.metrics.fingerprints import open_hull
        from ase_crysdiff.metrics.hull import Footing, footing

        formation, hull = super().predict(crystals), open_hull()
        values, failures = formation.values.clone(), dict(formation.failures)
        remarks: dict[int, str] = {}
        for row, composition in enumerate(_amounts(crystals, chemical_symbols.__getitem__)):
            if row in failures:
                continue
            try:
                values[row] -= hull.energy(composition)
            except InputError as error:
                values[row], failures[row] = torch.nan, str(error)
                continue
            height = float(values[row])
            remark = hull.remark(composition, height)
            if footing(hull.is_listed(composition), height) is Footing.NONE:
                values[row], failures[row] = torch.nan, str(remark)
            elif remark is not None:
                remarks[row] = remark
        return replace(
            formation, values=values, failures=dict(sorted(failures.items())), remarks=remarks
        )


def _lonely(crystal: CrystalBatch) -> str | None:
    from ase_crysdiff.crystal.soundness import lonely_atom

    return lonely_atom(
        crystal.lattice[0].double().cpu().numpy(),
        crystal.frac_coords.double().cpu().numpy(),
        crystal.species.cpu().numpy(),
    )


def _amounts(crystals: CrystalBatch, name: Callable[[int], str]) -> list[dict[str, int]]:
    """Number of atoms of each element in every crystal, by a name made from the atomic number."""
    found = []
    for species in crystals.species.split(crystals.num_atoms.tolist()):
        numbers, counts = species.unique(return_counts=True)
        found.append(dict(zip(map(name, numbers.tolist()), counts.tolist(), strict=True)))
    return found
