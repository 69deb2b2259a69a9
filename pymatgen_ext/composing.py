"""Predictors that are made from a hub of modules and a few labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monty.json import MSONable

from ase_crysdiff.devices import resolve
from ase_crysdiff.predictors.reports import FinetuneReport

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from ase_crysdiff.data.property_tables import TableReport
    from ase_crysdiff.predictors.base import Predictor


class ComposingPredictor(MSONable):
    """A predictor by name that can be made by composing.

    Attributes:
        name: Of the weights.
        weights: Their folder, where one was given.
        device: Where to compute.
        finetune_report: What became of every row, where the predictor was just trained.
    """

    name: str
    weights: str | None
    device: str
    report: Any
    finetune_report: FinetuneReport | None
    _loaded: "Predictor | None"
    _source: str | None

    @classmethod
    def compose(
        cls,
        structures: "Sequence[Structure | Atoms | None]",
        values: "Sequence[float | None] | NDArray[np.float64]",
        *,
        unit: str,
        hub: str | Path = "shipped",
        transform: str | None = None,
        seed: int = 0,
        target: str = "property",
        split: str = "random",
        validation: float = 0.15,
        test: float = 0.15,
        names: Sequence[str] | None = None,
        name: str | None = None,
        folder: str | Path | None = None,
        minutes: float | None = None,
        device: str = "auto",
        progress: bool | None = None,
    ) -> "Self":
        """A predictor of a property that no shipped model knows, from a few hundred labels or more.

        The modules of a hub are weighed by what neighbours among their features say of the labels,
        added, and fine-tuned. Rows without a number, with a crystal that cannot be used, said twice
        or contradicted by another row are left out and named in the new predictor's
        `.finetune_report`; which modules it began with is on its card.

        Args:
            structures: One for each value.
            values: In `unit`; None and NaN are missing values.
            unit: Of the values; "1" for plain numbers.
            hub: Folder of modules, or "shipped".
            transform: "log" or "log1p" (natural) where values spread over decades; None learns them
                as they are.
            seed: Of the split, of initial heads, resamples and order of the rows.
            target: Name of the property.
            split: "random", "composition" (rows of a formula stay together) or "chemical-system".
            validation: Share of the rows that chooses the weights and calibrates the uncertainty.
            test: Share of the rows that measures the result.
            names: Of the rows, for reports; by default their positions.
            name: Of the new predictor; by default the target.
            folder: Where the training keeps its state, so that the same call goes on after an
                interruption; by default nowhere.
            minutes: Time budget of the fine-tuning.
            device: As that of a predictor.
            progress: Whether to show a progress bar; None shows one on a terminal.

        Raises:
            InputError: If the rows do not suffice, or values have no logarithm.
            IncompatibleError: If a module of the hub has learned the target in another unit, or the
                encoder is not that of the modules; both digests are named.
            CheckpointError: If there is no such hub.
        """
        from ase_crysdiff.predictors.base import PropertyTarget
        from ase_crysdiff.predictors.modules.composing import compose_structures

        composed = compose_structures(
            structures,
            values,
            PropertyTarget(target, unit),
            hub=hub,
            transform=transform,
            seed=seed,
            split=split,
            validation=validation,
            test=test,
            names=names,
            name=name,
            folder=folder,
            minutes=minutes,
            device=resolve(device),
            progress=progress,
        )
        return cls._trained(composed.predictor, composed.report, device)

    @classmethod
    def _trained(cls, found: "Predictor", report: "TableReport", device: str) -> "Self":
        """A predictor that has just been trained and is in no folder yet."""
        new = cls.__new__(cls)
        new.name, new.weights, new.device = found.card.name, None, device
        new.report, new._loaded, new._source = None, found, None
        new.finetune_report = FinetuneReport(
            report.read, report.kept, report.left_out, dict(found.card.measured["results"])
        )
        return new
