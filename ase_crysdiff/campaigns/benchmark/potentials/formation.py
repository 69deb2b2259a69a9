"""Formation energies against data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Parity,
    Row,
    Section,
    Values,
    mean,
    mean_size,
    median,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import Crystals
from ase_crysdiff.isolation import Failure
from ase_crysdiff.metrics.formation import energies_per_atom
from ase_crysdiff.metrics.formulas import amounts
from ase_crysdiff.potentials.element_references import (
    fit_element_references,
    formation_energy,
)
from ase_crysdiff.storage import Store


class Formation(Section):
    """Errors of formation energies. Values are energies per atom as the potential gives them; they
    are referred to the elements by what comes with it or, for a potential that brings nothing, by
    references fitted to the same crystals.

    Args:
        crystals: With known energies.
    """

    name, title, together = "formation", "formation energies", 64

    def __init__(self, crystals: Crystals) -> None:
        self.unusable = crystals.unusable
        self.crystals, self.settings = crystals, crystals.described
        known = [i for i in crystals.sound if np.isfinite(crystals.energies[i])]
        self._position = {crystals.key(i): i for i in known}

    def items(self, folder: Store) -> list[Item]:
        return [Item(key, self.crystals.structures[i]) for key, i in self._position.items()]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        found, failures = energies_per_atom(given, contender.potential)
        return [
            Failure(failures[i]) if i in failures else energy
            for i, energy in enumerate(found.tolist())
        ]

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        known, ours, note = self._pairs(contender, found.values)
        errors = [a - b for a, b in zip(ours, known, strict=True)]
        center = mean(known)
        constant = [] if center is None else [center - b for b in known]
        return [
            Row("mean |error|", "eV/atom", mean_size(errors), note),
            Row("median |error|", "eV/atom", median([abs(e) for e in errors])),
            Row("mean |error| of a constant, the mean", "eV/atom", mean_size(constant)),
            Row("crystals", "1", len(known)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        known, ours, _ = self._pairs(contender, found.values)
        return [Parity("formation energy", "eV/atom", known, ours, "data")]

    def _pairs(
        self, contender: Contender, energies: Mapping[str, float]
    ) -> tuple[list[float], list[float], str]:
        """Known and found formation energies, eV/atom, and what must be said of the latter."""
        from ase.data import chemical_symbols

        compositions = {
            key: amounts(structure.composition)
            for key in energies
            if (structure := self.crystals.structures[self._position[key]]) is not None
        }
        stored = contender.potential.formation_references
        references = {chemical_symbols[z]: energy for z, energy in stored.items()}
        note = ""
        if not references:
            known = [self.crystals.energies[self._position[key]] for key in compositions]
            total = [energies[key] for key in compositions]
            references = fit_element_references(list(compositions.values()), total, known)
            note = "energies of the elements are fitted to these crystals"
        pairs = [
            (self.crystals.energies[self._position[key]], energies[key], composition)
            for key, composition in compositions.items()
            if composition.keys() <= references.keys()
        ]
        ours = [formation_energy(energy, c, references) for _, energy, c in pairs]
        return [known for known, _, _ in pairs], ours, note
