"""Elasticity, heat capacities and relaxed crystals, by the classes of MatCalc-Bench on its own
data.

Source: MatCalc-Bench, R. Liu et al. (2025), as `matcalc.benchmark` has it: figures compare with its
leaderboard.
"""

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

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
    single,
)
from ase_crysdiff.campaigns.benchmark.potentials.matcalc_import import (
    entries_in,
    matcalc_benchmarks,
    quiet,
)
from ase_crysdiff.campaigns.versions import versions
from ase_crysdiff.errors import InputError
from ase_crysdiff.potentials.energy_corrections import correction
from ase_crysdiff.storage import Store

#: What matcalc puts behind the names of what a potential says.
_OURS = "ours"


class MatCalcSection(Section):
    """A set of MatCalc-Bench.

    Attributes:
        kind: Name of matcalc's class.
        properties: What is compared, in its words.

    Args:
        path: Its file.
        count: Crystals, drawn at random; None takes all.
        seed: Of that choice.

    Raises:
        MissingExtraError: If matcalc is not installed.
        InputError: If the file is none of this set.
    """

    kind: ClassVar[str]
    properties: ClassVar[tuple[str, ...]]

    def __init__(self, path: Path, count: int | None, seed: int) -> None:
        if not path.is_file():
            raise InputError(f"{path} is no file.")
        state = random.getstate()  # matcalc draws from the global stream, at its import, too
        try:
            make = getattr(matcalc_benchmarks(), self.kind)
            samples = None if count is None else min(count, entries_in(path))
            with quiet():
                self.benchmark = make(benchmark_name=path, n_samples=samples, seed=seed)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} is no file of {self.kind}: {type(error).__name__}: {error}."
            ) from error
        finally:
            random.setstate(state)
        index = self.benchmark.index_name
        self.known = {str(row[index]): row for row in self.benchmark.ground_truth}
        self._structures = dict(zip(self.known, self.benchmark.structures, strict=True))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.settings = {"file": path.name, "sha256": digest, **versions(("matcalc", "phonopy"))}

    def items(self, folder: Store) -> list[Item]:
        return [Item(key, (key, structure)) for key, structure in self._structures.items()]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        with quiet():
            return single(lambda one: self._value(contender, *one), given)

    def _value(self, contender: Contender, key: str, structure: Any) -> dict[str, Any]:
        """What matcalc computes of one crystal, plain."""
        calculation = self._calculation(contender, structure)
        found = self.benchmark.process_result(calculation.calc(structure), _OURS)
        return {name: float(found[f"{name}_{_OURS}"]) for name in self.properties}

    def _calculation(self, contender: Contender, structure: Any) -> Any:
        return self.benchmark.get_prop_calc(contender.calculator, **self.benchmark.kwargs)

    def pairs(self, found: Mapping[str, Any], name: str) -> list[tuple[float, float]]:
        """A property as the potential and as the data have it, where both are finite."""
        both = [(value[name], self.known[key][f"{name}_DFT"]) for key, value in found.items()]
        return [(a, b) for a, b in both if math.isfinite(a) and math.isfinite(b)]

    def parity(self, found: Mapping[str, Any], name: str, label: str, unit: str) -> Parity:
        """Points of a property."""
        pairs = self.pairs(found, name)
        return Parity(label, unit, [b for _, b in pairs], [a for a, _ in pairs], "DFT")


_K, _G = "bulk_modulus_vrh", "shear_modulus_vrh"


class Elasticity(MatCalcSection):
    """Bulk and shear moduli, averaged by Voigt, Reuss and Hill."""

    name, title, kind = "elasticity", "elastic moduli", "ElasticityBenchmark"
    properties = _K, _G

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        shear = self.pairs(found.values, _G)
        return [
            Row("ln K, mean |error|", "1", mean_size(self._logarithms(found, _K))),
            Row("ln G, mean |error|", "1", mean_size(self._logarithms(found, _G))),
            Row("G, mean error", "GPa", mean([a - b for a, b in shear])),
            Row("negative G", "crystals", sum(a < 0 for a, _ in shear)),
            Row("crystals", "1", len(shear)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        return [
            self.parity(found.values, _K, "bulk modulus", "GPa"),
            self.parity(found.values, _G, "shear modulus", "GPa"),
        ]

    def _logarithms(self, found: Values, name: str) -> list[float]:
        """Errors of natural logarithms; what is not above 0 has none."""
        return [math.log(a / b) for a, b in self.pairs(found.values, name) if a > 0 and b > 0]


class HeatCapacity(MatCalcSection):
    """Heat capacities at 300 K and constant volume, from phonons."""

    name, title, kind = "heat-capacity", "heat capacity at 300 K", "PhononBenchmark"
    properties = ("heat_capacity",)

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        errors = [abs(a - b) for a, b in self.pairs(found.values, "heat_capacity")]
        return [
            Row("mean |error|", "J/mol/K", mean(errors)),
            Row("median |error|", "J/mol/K", median(errors)),
            Row("crystals", "1", len(errors)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        return [self.parity(found.values, "heat_capacity", "heat capacity", "J/mol/K")]


_FORMATION, _DISTANCE = "formation_energy_per_atom", "distance"


class Equilibrium(MatCalcSection):
    """Crystals that relax from moved atoms: how far they end from where DFT has them, and their
    formation energy against elements that the potential has relaxed, too.

    The set has plain energies of PBE and PBE+U: a potential on the Materials Project's corrected
    scale is asked without what the corrections add for the crystal. The atoms are moved here as
    matcalc would move them, which does so without a seed.
    """

    name, title, kind = "equilibrium", "relaxed crystals", "EquilibriumBenchmark"
    properties = (_FORMATION,)

    def __init__(self, path: Path, count: int | None, seed: int) -> None:
        super().__init__(path, count, seed)
        self.seed, self.settings = seed, {**self.settings, "seed": seed, "corrections": False}
        self._elements: dict[str, dict[str, Any]] = {}

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        energies = [a - b for a, b in self.pairs(found.values, _FORMATION)]
        distances = [value[_DISTANCE] for value in found.values.values()]
        return [
            Row("distance of fingerprints, mean", "1", mean(distances)),
            Row("formation energy, mean |error|", "eV/atom", mean_size(energies)),
            Row("crystals", "1", len(energies)),
        ]

    def parities(self, contender: Contender, found: Values, reference: Values) -> list[Parity]:
        return [self.parity(found.values, _FORMATION, "formation energy", "eV/atom")]

    def _value(self, contender: Contender, key: str, structure: Any) -> dict[str, Any]:
        calculation = self._calculation(contender, structure)
        # The same moves of a crystal in every run, whichever others are asked about.
        generator = np.random.default_rng([self.seed, *key.encode()])
        start = structure.copy().perturb(calculation.perturb_distance, seed=generator)
        calculation.perturb_distance = None
        found = self.benchmark.process_result(calculation.calc(start), _OURS)
        ours, known = (_fingerprint(s) for s in (found[f"structure_{_OURS}"], structure))
        distance = float(np.linalg.norm(ours - known))
        energy = float(found[f"{_FORMATION}_{_OURS}"])
        if contender.potential.is_corrected:
            energy -= correction(structure)
        return {_FORMATION: energy, _DISTANCE: distance}

    def _calculation(self, contender: Contender, structure: Any) -> Any:
        """The library relaxes the elements of all its crystals whenever it makes a calculation:
        it is shown only those crystals whose elements it has not met with this potential.
        """
        known = self._elements.setdefault(contender.name, {})
        elements = {element.symbol for element in structure.composition}
        self.benchmark.structures = [] if elements <= known.keys() else [structure]
        calculation = super()._calculation(contender, structure)
        known |= self.benchmark.elemental_refs
        calculation.elemental_refs = known
        return calculation


def _fingerprint(structure: Any) -> Any:
    """As `EquilibriumBenchmark.run` compares structures with."""
    from matminer.featurizers.site import CrystalNNFingerprint
    from matminer.featurizers.structure import SiteStatsFingerprint

    sites = CrystalNNFingerprint.from_preset("ops", distance_cutoffs=None, x_diff_weight=0)
    statistics = SiteStatsFingerprint(sites, stats=("mean", "std_dev", "minimum", "maximum"))
    return np.array(statistics.featurize(structure))
