"""Forces, energies and stresses of rattled and of strained crystals against another potential."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.units import GPa
from numpy.typing import NDArray

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Parity,
    Row,
    Section,
    Values,
    mean_size,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import Crystals, moved
from ase_crysdiff.isolation import Failure
from ase_crysdiff.relaxation.evaluation import evaluate_each
from ase_crysdiff.relaxation.structures import configurations
from ase_crysdiff.storage import Store

_GIVEN, _RATTLED, _STRAINED = "given", "rattled", "strained"
#: Digits that are kept of eV/Å and eV/Å³: single precision has no more.
_DIGITS = 7


class Perturbed(Section):
    """Errors on crystals as they are given, with displaced atoms, and in a strained cell.

    Potentials of another level of theory have other energies of the same crystal; the energy that
    a displacement or a strain costs can always be compared.

    Args:
        crystals: The file.
        count: Crystals, evenly spread.
        amplitude: Standard deviation of each coordinate, Å.
        strain: Standard deviation of the strain's entries.
        seed: Of both.
    """

    name, title, together, compares = "forces", "forces, energies, stresses", 24, True

    def __init__(
        self, crystals: Crystals, count: int, amplitude: float, strain: float, seed: int
    ) -> None:
        self.crystals, self.count, self.seed = crystals, count, seed
        self.kinds = {_GIVEN: (0.0, 0.0), _RATTLED: (amplitude, 0.0), _STRAINED: (0.0, strain)}
        self.unusable = crystals.unusable
        self.settings = {
            **crystals.described,
            "amplitude": amplitude,
            "strain": strain,
            "seed": seed,
        }

    def items(self, folder: Store) -> list[Item]:
        return [
            Item(
                f"{kind} {self.crystals.key(i)}",
                moved(structure, *sizes, np.random.default_rng([self.seed, i])),
            )
            for i, structure in self.crystals.spread(self.count).items()
            for kind, sizes in self.kinds.items()
        ]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        systems = configurations(given)
        found = evaluate_each(contender.potential, systems)
        forces = found.forces.split(systems.num_atoms.tolist())
        values: list[Any] = []
        for i, structure in enumerate(given):
            numbers = [found.energy[i], forces[i], found.stress[i]]
            energy, force, stress = (part.double().cpu().numpy() for part in numbers)
            if i in found.failures or not (np.isfinite(energy) and np.isfinite(force).all()):
                values.append(Failure(found.failures.get(i, "an answer that is not finite")))
                continue
            values.append(
                {
                    "energy": float(energy) / len(structure),
                    "forces": np.round(force, _DIGITS).tolist(),
                    "stress": np.round(stress, _DIGITS).tolist()
                    if np.isfinite(stress).all()
                    else None,
                }
            )
        return values

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        rows = []
        for kind in (_RATTLED, _STRAINED):
            forces, costs, energies, stresses = (
                self._errors(found.values, reference.values, kind, what)
                for what in ("forces", "cost", "energy", "stress")
            )
            rows += [
                Row(f"{kind}: forces, mean |error|", "eV/Å", mean_size(forces)),
                Row(f"{kind}: energy, mean |error|", "eV/atom", mean_size(energies)),
                Row(f"{kind}: energy it costs, mean |error|", "eV/atom", mean_size(costs)),
                Row(f"{kind}: stress, mean |error|", "GPa", mean_size(stresses)),
            ]
        ours, theirs = self._pairs(found.values, reference.values, _RATTLED, "forces")
        slope = float(ours @ theirs / (theirs @ theirs)) if theirs.any() else None
        both = found.values.keys() & reference.values.keys()
        count = sum(key.startswith(_RATTLED) for key in both)
        return [
            *rows,
            Row("rattled: slope of forces, right is 1", "1", slope),
            Row("rattled: crystals", "1", count),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        ours, theirs = self._pairs(found.values, reference.values, _RATTLED, "forces")
        return [Parity("force", "eV/Å", theirs.tolist(), ours.tolist(), "the reference")]

    def _errors(
        self, found: Mapping[str, Any], reference: Mapping[str, Any], kind: str, what: str
    ) -> list[float]:
        ours, theirs = self._pairs(found, reference, kind, what)
        errors: list[float] = (ours - theirs).tolist()
        return errors

    def _pairs(
        self, found: Mapping[str, Any], reference: Mapping[str, Any], kind: str, what: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The numbers of both potentials for all crystals of a kind that both can compute."""
        ours, theirs = [np.zeros(0)], [np.zeros(0)]
        for key in found:
            one, other = (_numbers(values, key, what) for values in (found, reference))
            if key.startswith(kind) and one is not None and other is not None:
                ours.append(one)
                theirs.append(other)
        return np.concatenate(ours), np.concatenate(theirs)


def _numbers(values: Mapping[str, Any], key: str, what: str) -> NDArray[np.float64] | None:
    """Energies in eV/atom, forces in eV/Å, stresses in GPa; "cost" is the energy above that of the
    crystal as it was given. None if the potential has none.
    """
    value = values.get(key)
    if value is None:
        return None
    if what == "cost":
        first = values.get(f"{_GIVEN} {key.partition(' ')[2]}")
        return None if first is None else np.array([value["energy"] - first["energy"]])
    if value[what] is None:
        return None
    numbers = np.atleast_1d(np.array(value[what], dtype=float)).ravel()
    return numbers / GPa if what == "stress" else numbers
