"""Steering of any sampler by any predictor, where no model is conditioned on the property."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ase_crysdiff.conditions.population import Steering
from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.convert import to_structures
from ase_crysdiff.errors import InputError
from ase_crysdiff.predictors.loading import load_predictor
from ase_crysdiff.predictors.structures import predict_structures
from ase_crysdiff.shapes import Float, Tensor


class PropertySteering(Steering):
    """Steers by a predictor: `conditions=[PropertySteering("band-gap", (1.5, 2.5))]`.

    The predictor may be wrong, and the more candidates it chooses among, the more its errors are
    chosen: judge what comes out by another one.

    Args:
        predictor: Name or folder of a predictor.
        window: The smaller and the larger number in the predictor's unit; None for one of them
            leaves that side open.
        population: Candidates for each crystal, each of which costs as much as a crystal.
        strength: 0 is unsteered; half a window away from the window weighs exp(-strength).
        times: At which a loop resamples (0 = data, 1 = noise), beside its end.

    Raises:
        InputError: If a setting makes no sense.
        UnknownNameError: If there is no such predictor.
    """

    def __init__(
        self,
        predictor: str,
        window: Sequence[float | None],
        population: int = 8,
        strength: float = 4.0,
        times: Iterable[float] = (0.4, 0.2, 0.05),
    ) -> None:
        super().__init__(window, population, strength, times)
        self.predictor = str(predictor)
        self._loaded: Any = load_predictor(self.predictor)
        self.unit = str(self._loaded.unit)

    def __repr__(self) -> str:
        return f"PropertySteering({self.predictor!r}, {self.window}, population={self.population})"

    def __getstate__(self) -> dict[str, Any]:
        """Without the network: worker processes load their own."""
        return {**vars(self), "_loaded": None, "_seen": None, "_context": {}}

    def values(self, crystals: CrystalBatch) -> Float[Tensor, " crystals"]:
        if self._loaded is None:
            self._loaded = load_predictor(self.predictor)
        found = torch.full((len(crystals),), torch.nan, dtype=torch.float64)
        parts = [_atoms_of(one) for one in crystals.to(torch.device("cpu")).split()]
        sound = {
            i: to_structures(one)[0]
            for i, one in enumerate(parts)
            if len(one.species) and bool(torch.isfinite(one.lattice).all())
        }
        if sound:
            try:
                values = predict_structures(self._loaded, list(sound.values()), False).values
            except InputError:  # none of them can be used
                return found
            found[list(sound)] = values.double()
        return found


def _atoms_of(crystal: CrystalBatch) -> CrystalBatch:
    """A crystal without its vacancies."""
    rows = crystal.species > 0
    count = rows.sum().view(1)
    return CrystalBatch(crystal.lattice, crystal.frac_coords[rows], crystal.species[rows], count)
