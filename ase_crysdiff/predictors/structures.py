"""From structures to values: cells reduced, what cannot be predicted left out with its reason."""

from collections.abc import Sequence
from typing import Any

import torch
from ase.data import chemical_symbols

from ase_crysdiff.crystal.reduction import batch_of, reduced_cells
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.predictors.base import Estimates, Predictor


@own_state()
def predict_structures(
    predictor: Predictor, structures: Sequence[Any], progress: bool | None = None
) -> Estimates:
    """The property of each structure, in the given order; see `estimates`.

    Raises:
        InputError: If none of the structures can be used.
    """
    said = estimates(predictor, structures, progress)
    if structures and len(said.failures) == len(structures):
        first = next(iter(said.failures.items()))
        raise InputError(
            f"None of {len(structures)} structures can be used. Number {first[0]}: "
            f"{first[1].removesuffix('.')}."
        )
    return said


@own_state()
def estimates(
    predictor: Predictor, structures: Sequence[Any], progress: bool | None = None
) -> Estimates:
    """The property of each structure, in the given order.

    Every crystal is brought to its primitive Niggli cell first, so that supercells get the same
    value.

    Args:
        predictor: Of the property.
        structures: Structures or ASE atoms, periodic along all axes; whatever else is among them is
            refused. They are not changed.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Returns:
        Values and uncertainties with NaN for those that are refused, and reasons by position.
    """
    cells, refused = reduced_cells(structures, progress)
    for position, cell in list(cells.items()):
        unknown = sorted(set(cell.species.tolist()) - predictor.elements)
        if unknown:
            del cells[position]
            symbols = ", ".join(chemical_symbols[z] for z in unknown)
            refused[position] = f"{predictor.card.name} does not know these elements: {symbols}"
    values = torch.full((len(structures),), torch.nan, dtype=torch.float64)
    uncertainty, remarks = values.clone(), {}
    if cells:
        positions = list(cells)
        found = predictor.predict(batch_of([cells[i] for i in positions]))
        values[positions], uncertainty[positions] = found.values, found.uncertainty
        refused |= {positions[k]: reason for k, reason in found.failures.items()}
        remarks = {positions[k]: remark for k, remark in found.remarks.items()}
    return Estimates(values, uncertainty, dict(sorted(refused.items())), remarks)
