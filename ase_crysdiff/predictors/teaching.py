"""A table of a property becomes a predictor: a network that is fine-tuned on it, averaged with what
is fitted to frozen descriptors.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.data.formula_tables import formulas_of
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.property_tables import TableReport, labelled, rows_of
from ase_crysdiff.data.splits import Split, by_shares, groups_of
from ase_crysdiff.foreign_state import own_state
from ase_crysdiff.predictors.averaging import NETWORK
from ase_crysdiff.predictors.base import Predictor, PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings, finetune
from ase_crysdiff.predictors.fitted_average import averaged
from ase_crysdiff.predictors.fitting import FULL, SMALL
from ase_crysdiff.predictors.formulas import check_readers, learned_from, said_of
from ase_crysdiff.predictors.heads.forest import Forest
from ase_crysdiff.predictors.initial_weights import InitialWeights


def teach(
    data: LabelledCrystals,
    split: Split,
    target: PropertyTarget,
    initial: InitialWeights,
    settings: FinetuneSettings,
    folder: Path,
    *,
    name: str,
    about: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    progress: bool | None = None,
    descriptors: Path | None = None,
    formulas: Forest | None = None,
    beside_plain: bool = True,
) -> Predictor:
    """A network fine-tuned as `finetune` does, averaged with a forest and a kernel regression on
    frozen descriptors where the validation rows err less so.

    Args:
        data: Clean rows, values in the unit of the target.
        split: Which of them train, which choose, weigh and calibrate, which measure.
        target: What is predicted.
        initial: What the network begins with.
        settings: How to train, and which models may take part.
        folder: Of checkpoints and the log.
        name: Of the predictor.
        about: What else its card says of the data.
        minutes: Time budget of the network.
        device: Where to compute.
        progress: Whether to show a progress bar; None shows one on a terminal.
        descriptors: File that keeps the descriptors of the data for the next call; None keeps none.
        formulas: Trees that know the formulas of other compounds, see `predictors.formulas`.
        beside_plain: Whether the plain forest is grown to be measured beside.

    Raises:
        InputError: If the rows do not suffice, or the folder holds another run.
        MissingExtraError: If scikit-learn is not installed and no network is wanted.
        KeyboardInterrupt: If a signal ended the training; the same call goes on with it.
    """
    network = None
    if NETWORK in settings.models:
        network = finetune(
            data,
            split,
            target,
            initial,
            settings,
            folder,
            name=name,
            about=about,
            minutes=minutes,
            device=device,
            progress=progress,
        )
    return averaged(
        data,
        split,
        target,
        network,
        models=settings.models,
        transform=settings.transform,
        seed=settings.seed,
        name=name,
        about={"settings": asdict(settings), **(about or {})},
        elements=initial.elements,
        device=device,
        descriptors=descriptors,
        formulas=formulas,
        blocks=settings.read,
        size=SMALL if settings.small else FULL,
        beside_plain=beside_plain,
    )


@own_state(one_thread=False)
def finetune_structures(
    structures: Sequence[Any],
    values: Sequence[float | None] | NDArray[np.float64],
    target: PropertyTarget,
    initial: InitialWeights,
    settings: FinetuneSettings,
    *,
    split: str = "random",
    validation: float = 0.15,
    test: float = 0.15,
    formulas: Mapping[str, float] | None = None,
    names: Sequence[str] | None = None,
    name: str | None = None,
    folder: str | Path | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> tuple[Predictor, TableReport]:
    """Cleans a table of structures and values, splits it and fine-tunes on it.

    Args:
        structures: Structures or ASE atoms, one for each value.
        values: In the unit of the target; None and NaN are missing values.
        target: What is predicted.
        initial: What to begin with.
        settings: How to train.
        split: "random", "composition" (rows of a formula stay together) or "chemical-system".
        validation: Share of the rows that stops the training and calibrates the uncertainty.
        test: Share of the rows that measures the result.
        formulas: Values of compounds whose structure is not known, in the same unit, by formula.
        names: Of the rows, for the report; by default their positions.
        name: Of the predictor; by default the target.
        folder: Where the training keeps its state, so that the same call goes on after an
            interruption; by default nowhere.
        minutes: Time budget.
        device: Where to compute.
        progress: Whether to show a progress bar; None shows one on a terminal.

    Returns:
        The predictor, and what became of every row.

    Raises:
        InputError: If the rows do not suffice, or the folder holds another run.
    """
    if formulas is not None:
        check_readers(settings.models)
    data, report = labelled(
        rows_of(structures, values, names),
        transform=settings.transform,
        elements=initial.elements,
        progress=progress,
    )
    parts = by_shares(groups_of(data.crystals, split), validation, test, settings.seed)
    about = {"table": {"read": report.read, "kept": report.kept}, "split_by": split}
    trees = None
    if formulas is not None:
        known = formulas_of(formulas, settings.transform)
        about |= said_of(known)
        trees = learned_from(known, data.crystals, settings.transform, settings.seed)
    with tempfile.TemporaryDirectory() as temporary:
        predictor = teach(
            data,
            parts,
            target,
            initial,
            settings,
            Path(folder or temporary),
            name=name or target.name.replace("_", "-"),
            about=about,
            minutes=minutes,
            device=device,
            progress=progress,
            formulas=trees,
        )
    return predictor, report
