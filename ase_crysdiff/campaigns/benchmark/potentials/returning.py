"""Whether crystals relax, and come back after they were moved and strained."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_crysdiff.campaigns.benchmark.potentials.base import (
    Contender,
    Item,
    Row,
    Section,
    Values,
    mean,
)
from ase_crysdiff.campaigns.benchmark.potentials.crystals import Crystals, moved
from ase_crysdiff.isolation import Failure
from ase_crysdiff.metrics.matching import match, reduced
from ase_crysdiff.relaxation.structures import relax
from ase_crysdiff.storage import Store


class Returning(Section):
    """Each crystal relaxes, is moved and strained, and relaxes again: to the same crystal?

    Args:
        crystals: The file.
        count: Crystals, evenly spread.
        amplitude: Standard deviation of each coordinate, Å.
        strain: Standard deviation of the strain's entries.
        seed: Of both.
    """

    name, title, together = "relaxation", "relaxing", 16

    def __init__(
        self, crystals: Crystals, count: int, amplitude: float, strain: float, seed: int
    ) -> None:
        self.crystals, self.count = crystals, count
        self.amplitude, self.strain, self.seed = amplitude, strain, seed
        self.unusable = crystals.unusable
        self.settings = {
            **crystals.described,
            "amplitude": amplitude,
            "strain": strain,
            "seed": seed,
        }

    def items(self, folder: Store) -> list[Item]:
        chosen = self.crystals.spread(self.count)
        return [Item(self.crystals.key(i), (i, structure)) for i, structure in chosen.items()]

    def values(self, contender: Contender, given: Sequence[Any]) -> list[Any]:
        potential = contender.potential
        first = relax([structure for _, structure in given], potential, progress=False)
        values: list[Any] = [
            {"converged": result.converged}
            if np.isfinite(result.energy)
            else Failure(str(result.reason))
            for result in first
        ]
        at_rest = {k: r.structure for k, r in enumerate(first) if r.converged and r.structure}
        again = relax(
            [
                moved(
                    s, self.amplitude, self.strain, np.random.default_rng([self.seed, given[k][0]])
                )
                for k, s in at_rest.items()
            ],
            potential,
            progress=False,
        )
        for (k, minimum), result in zip(at_rest.items(), again, strict=True):
            end = result.structure if result.converged else None
            back = end is not None and match(reduced(end), reduced(minimum))
            values[k] |= {"again": result.converged, "back": bool(back), "steps": result.steps}
        return values

    def rows(self, contender: Contender, found: Values, reference: Values) -> list[Row]:
        values = list(found.values.values())
        second = [value for value in values if "again" in value]

        def share(given: Sequence[bool]) -> float | None:
            return mean([100.0 * one for one in given])

        return [
            Row("converged from the data", "%", share([v["converged"] for v in values])),
            Row("converged again", "%", share([v["again"] for v in second])),
            Row("back to the same crystal", "%", share([v["back"] for v in second])),
            Row("mean steps of the second", "1", mean([v["steps"] for v in second])),
        ]
