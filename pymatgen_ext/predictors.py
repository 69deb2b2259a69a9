"""`StructurePredictor`: the way from structures to a property, and from a table to a predictor."""

import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff import registry
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.models.card import Card, Kind
from ase_crysdiff.predictors.reports import FinetuneReport, PredictionReport
from pymatgen_ext.composing import ComposingPredictor

if TYPE_CHECKING:  # imported where they are needed: to ask for a class must cost nothing
    from ase import Atoms
    from pymatgen.core import Structure

    from ase_crysdiff.predictors.base import Predictor, PropertyTarget
    from ase_crysdiff.predictors.finetuning import FinetuneSettings
    from ase_crysdiff.predictors.initial_weights import InitialWeights

Array: TypeAlias = NDArray[np.float64]
Crystals: TypeAlias = "Structure | Atoms | Iterable[Structure | Atoms | None]"


def available_predictors() -> list[str]:
    """Names that `StructurePredictor` takes, from this and all other installed packages."""
    return registry.names(registry.PREDICTORS)


class StructurePredictor(ComposingPredictor):
    """Predicts a property of crystals, and learns new ones.

    Every crystal is brought to its primitive Niggli cell first, so that supercells get the same
    value.

    Args:
        name: One of `available_predictors()`; the folder of a predictor; or a pretrained encoder
            such as "crysldnet", which predicts nothing yet but can be fine-tuned.
        weights: Folder with other weights of that name; None takes the shipped ones.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Raises:
        UnknownNameError: If there is nothing of that name.
    """

    def __init__(self, name: str, weights: str | None = None, device: str = "auto") -> None:
        if not isinstance(name, str | Path):
            raise InputError(
                "A predictor is asked for by its name or folder, such as 'band-gap', got "
                f"{type(name).__name__}."
            )
        self.name = str(name)
        self.weights = None if weights is None else str(weights)
        self.device = device
        self.report: PredictionReport | None = None
        self.finetune_report: FinetuneReport | None = None
        self._loaded: Predictor | None = None
        self._source = self._find()

    def __repr__(self) -> str:
        return (
            f"StructurePredictor({self.name!r}, weights={self.weights!r}, device={self.device!r})"
        )

    def predict(
        self,
        structures: Crystals,
        *,
        return_uncertainty: bool = False,
        progress: bool | None = None,
    ) -> Array | tuple[Array, Array]:
        """The property of each structure, in `unit`, in the given order.

        What cannot be predicted (disordered, atoms on each other, elements that the predictor does
        not know, no structure at all) is NaN, and its reason is in `.report.refused`. Values that
        are not what they seem, such as heights above a hull that lacks the formula, have their
        remark in `.report.remarks`.

        Args:
            structures: Structures or ASE atoms, periodic along all axes. They are not changed.
            return_uncertainty: Whether to return one standard deviation of each value, too; NaN
                where the predictor knows none.
            progress: Whether to show a progress bar; None shows one on a terminal.

        Returns:
            Values, shape (structures,); or values and their uncertainties.

        Raises:
            InputError: If none of the structures can be used.
            IncompatibleError: If this is an encoder that has not learned a property.

        Warns:
            UserWarning: Once for a call, if there are remarks.
        """
        from ase_crysdiff.predictors.structures import predict_structures

        started = time.monotonic()
        given, predictor = _listed(structures), self._predictor()
        found = predict_structures(predictor, given, progress)
        self.report = PredictionReport(
            len(given),
            dict(found.failures),
            time.monotonic() - started,
            self._label(),
            predictor.target,
            predictor.unit,
            dict(found.remarks),
        )
        if found.remarks:
            first = next(iter(found.remarks.values()))
            warnings.warn(
                f"{len(found.remarks)} of {len(given)} values of {self.name} need a remark, which "
                f".report.remarks has by position; the first: {first}.",
                stacklevel=2,
            )
        values, uncertainty = found.values.numpy(), found.uncertainty.numpy()
        return (values, uncertainty) if return_uncertainty else values

    def annotate(self, structures: Crystals, *, progress: bool | None = None) -> list[Any]:
        """Copies with the prediction in `Structure.properties` or `Atoms.info`.

        The keys are `crysdiff_<target>`, `crysdiff_<target>_uncertainty` where it is known,
        `crysdiff_<target>_unit`, `crysdiff_<target>_predictor`, and `crysdiff_<target>_remark`
        where there is one. What cannot be predicted is
        copied as it is.

        Args:
            structures: Structures or ASE atoms, periodic along all axes. They are not changed.
            progress: Whether to show a progress bar; None shows one on a terminal.
        """
        given = _listed(structures)
        found = self.predict(given, return_uncertainty=True, progress=progress)
        remarks = {} if self.report is None else self.report.remarks
        return [
            self.annotated(structure, value, spread, remarks.get(i, ""))
            for i, (structure, value, spread) in enumerate(zip(given, *found, strict=True))
        ]

    def annotated(self, structure: Any, value: float, uncertainty: float, remark: str = "") -> Any:
        """A copy of one structure with a value of this predictor in its properties or info, under
        the keys that `annotate` names.

        Args:
            structure: A Structure, ASE atoms, or None, which stays None.
            value: In the unit of the predictor; not written if it is not finite.
            uncertainty: One standard deviation; not written if it is not finite.
            remark: What must be said beside the value; not written if it is empty.
        """
        from ase import Atoms

        from ase_crysdiff.crystal.convert import copy_of

        if structure is None:
            return None
        copy = structure.copy() if isinstance(structure, Atoms) else copy_of(structure)
        if math.isfinite(value):
            key = f"crysdiff_{self.target}"
            notes = {key: float(value), f"{key}_unit": self.unit, f"{key}_predictor": self._label()}
            if math.isfinite(uncertainty):
                notes[f"{key}_uncertainty"] = float(uncertainty)
            if remark:
                notes[f"{key}_remark"] = remark
            (copy.info if isinstance(copy, Atoms) else copy.properties).update(notes)
        return copy

    def finetune(
        self,
        structures: "Sequence[Structure | Atoms | None]",
        values: Sequence[float | None] | Array,
        *,
        unit: str,
        target: str | None = None,
        split: str = "random",
        validation: float = 0.15,
        test: float = 0.15,
        formulas: Mapping[str, float] | None = None,
        names: Sequence[str] | None = None,
        name: str | None = None,
        folder: str | Path | None = None,
        minutes: float | None = None,
        progress: bool | None = None,
        **settings: Any,
    ) -> "StructurePredictor":
        """A new predictor that begins with this one's encoder; this one stays as it is.

        Its network is averaged with a forest and a kernel regression on frozen descriptors where
        the validation rows err less so; its card and `.finetune_report` give the error beside those
        of a plain forest on composition and density, and of the median. Growing forests needs
        scikit-learn; without it the network stands alone.

        Rows without a number, with a crystal that cannot be used, said twice or contradicted by
        another row are left out and named in the new predictor's `.finetune_report`.

        Args:
            structures: One for each value.
            values: In `unit`; None and NaN are missing values.
            unit: Of the values. It must be the unit of this predictor, unless `target` names
                another property.
            target: Name of the property; None keeps this predictor's.
            split: "random", "composition" (rows of a formula stay together) or "chemical-system".
            validation: Share of the rows that stops the training and calibrates the uncertainty.
            test: Share of the rows that measures the result.
            formulas: Values of compounds whose structure is not known, in `unit`, by formula, such
                as `{"Nb0.75Zr0.25": 10.8}`: forest and kernel regression learn from them, too.
                Those that `structures` have are left out.
            names: Of the rows, for reports; by default their positions.
            name: Of the new predictor; by default the target.
            folder: Where the training keeps its state, so that the same call goes on after an
                interruption; by default nowhere.
            minutes: Time budget.
            progress: Whether to show a progress bar; None shows one on a terminal.
            settings: Of `FinetuneSettings`: `models` (of "network", "forest", "kernel"; without the
                network nothing is trained, and it takes a minute), `descriptors`, `small`,
                `adapter`, `members`,
                `transform`, `loss`, `epochs`, `patience`, `batch_size`, `learning_rate`,
                `weight_decay`, `seed`.

        Raises:
            InputError: If the rows do not suffice, or a setting is not known.
            IncompatibleError: If the unit is not this predictor's, or it has no encoder.
        """
        from ase_crysdiff.predictors.teaching import finetune_structures

        found, report = finetune_structures(
            structures,
            values,
            self._target(target, unit),
            self._initial_weights(),
            _settings(settings),
            split=split,
            validation=validation,
            test=test,
            formulas=formulas,
            names=names,
            name=name,
            folder=folder,
            minutes=minutes,
            device=resolve(self.device),
            progress=progress,
        )
        return self._trained(found, report, self.device)

    def save(self, folder: str | Path) -> Card:  # type: ignore[override]  # weights, not the JSON of names
        """Writes weights and card; `StructurePredictor(folder)` reads them.

        Raises:
            InputError: If the predictor asks a potential and has no weights of its own.
        """
        from ase_crysdiff.predictors.loading import save

        predictor = self._predictor()
        card = save(predictor, Path(folder))
        self.weights = self._source = str(folder)
        predictor.card = card
        return card

    def as_dict(self) -> dict[str, Any]:
        """Names only.

        Raises:
            InputError: If the predictor has been fine-tuned and not been saved.
        """
        if self._source is None:
            raise InputError(
                f"The weights of {self.name} are in no folder yet. Save them first: "
                "predictor.save(folder)."
            )
        content: dict[str, Any] = super().as_dict()
        return content

    @property
    def card(self) -> Card:
        """What is known about the weights: data, split, measured errors."""
        return self._predictor().card

    @property
    def target(self) -> str:
        """What is predicted."""
        return self._predictor().target

    @property
    def unit(self) -> str:
        """Of the values."""
        return self._predictor().unit

    def _find(self) -> str:
        """Folder or registered name of the weights."""
        for place in (self.weights, self.name):
            if place is not None and (Path(place) / weight_files.CARD).is_file():
                return place
        if self.weights is not None:
            weight_files.find(self.name, self.weights)  # raises and says what is missing
        if self.name.strip().lower() not in registry.names(registry.PREDICTORS):
            try:
                return str(weight_files.find(self.name))
            except CheckpointError:
                registry.load(registry.PREDICTORS, self.name)  # raises and suggests close names
        return self.name

    def _predictor(self) -> "Predictor":
        from ase_crysdiff.predictors.loading import load_predictor

        if self._loaded is None:
            assert self._source is not None
            if self._is_encoder():
                raise IncompatibleError(
                    f"{self.name} is an encoder and has learned no property. Fine-tune it: "
                    f"StructurePredictor({self.name!r})"
                    ".finetune(structures, values, target=..., unit=...)."
                )
            self._loaded = load_predictor(self._source, resolve(self.device))
        return self._loaded

    def _is_encoder(self) -> bool:
        folder = Path(self._source or "")
        if not (folder / weight_files.CARD).is_file():
            return False
        return weight_files.read_card(folder).kind is Kind.ENCODER

    def _initial_weights(self) -> "InitialWeights":
        from ase_crysdiff.predictors.initial_weights import InitialWeights

        if self._is_encoder():
            return InitialWeights.of(str(self._source))
        return InitialWeights.of_predictor(self._predictor())

    def _target(self, target: str | None, unit: str) -> "PropertyTarget":
        from ase_crysdiff.predictors.base import PropertyTarget

        if target is not None and (self._is_encoder() or target != self.target):
            return PropertyTarget(target, unit)
        if self._is_encoder():
            raise InputError(
                f"{self.name} has learned no property yet; give target=, such as 'band_gap'."
            )
        if unit != self.unit:
            raise IncompatibleError(
                f"{self.name} predicts {self.target} in {self.unit}, not in {unit}. Convert the "
                "values."
            )
        return PropertyTarget(self.target, unit)

    def _label(self) -> str:
        predictor = self._predictor()
        return f"{predictor.card.name} {predictor.version}".strip()


def _listed(structures: Crystals) -> list[Any]:
    """One structure, or many, as a list."""
    from ase import Atoms
    from pymatgen.core import Structure

    if isinstance(structures, Structure | Atoms):
        return [structures]
    if isinstance(structures, str | Path) or not isinstance(structures, Iterable):
        raise InputError(
            "A predictor takes pymatgen Structures or ASE Atoms, one or several, got "
            f"{type(structures).__name__}."
        )
    return list(structures)


def _settings(given: dict[str, Any]) -> "FinetuneSettings":
    from ase_crysdiff.predictors.finetuning import FinetuneSettings

    known = [f.name for f in fields(FinetuneSettings)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"There are no settings {unknown}; there are {known}.")
    return FinetuneSettings(**given)
