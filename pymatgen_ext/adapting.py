"""From structures with a measured number each to a sampler that can be told the number."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ase_crysdiff.campaigns.adapting import AdapterSettings, adapt
from ase_crysdiff.data.property_columns import unit_for
from ase_crysdiff.data.property_tables import rows_of
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import InputError
from ase_crysdiff.predictors.reports import FinetuneReport

if TYPE_CHECKING:
    from pymatgen_ext.teachable import TeachableSampler


T = TypeVar("T", bound="TeachableSampler")


def finetuned(
    sampler: T,
    structures: Sequence[Any],
    values: Sequence[Any] | NDArray[np.float64],
    name: str,
    unit: str | None,
    folder: str | Path | None,
    how: dict[str, Any],
    settings: dict[str, Any],
) -> T:
    """The sampler with adapters for one more property; the given one stays as it is.

    Args:
        sampler: What is fine-tuned.
        structures: One for each value.
        values: In the unit.
        name: Of the property.
        unit: Of the values; None for that of a property that this package knows.
        folder: Where the adapters go; None for one that lasts as long as the new sampler.
        how: `split`, `validation`, `minutes` and `progress` of `campaigns.adapting.adapt`.
        settings: Of `AdapterSettings`.

    Raises:
        InputError: If a setting is not known, or the rows do not suffice.
    """
    known = [f.name for f in fields(AdapterSettings)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(f"There are no settings {unknown}; there are {known}.")
    kept = tempfile.TemporaryDirectory(prefix="crysdiff-") if folder is None else None
    label = f"{sampler.name}-{name.replace('_', '-')}"
    target = Path(kept.name) / label if kept is not None else Path(str(folder))
    card, report = adapt(
        sampler.name,
        rows_of(structures, values),
        name,
        unit_for(name, unit),
        target,
        AdapterSettings(**settings),
        weights=sampler.weights,
        device=resolve(sampler.device),
        **how,
    )
    new = type(sampler)(sampler.name, str(target), sampler.device)
    new.temporary = kept
    new.finetune_report = FinetuneReport(
        report.read, report.kept, report.left_out, dict(card.measured["results"])
    )
    return new


def save(sampler: "TeachableSampler", folder: str | Path) -> None:
    """Copies the weights of a sampler that was fine-tuned into a folder.

    Raises:
        InputError: If it was not, or the folder holds something.
    """
    if sampler.weights is None:
        raise InputError(f"{sampler.name} has its shipped weights; there is nothing to save.")
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} holds something already. Choose another folder.")
    shutil.copytree(
        sampler.weights, target, ignore=shutil.ignore_patterns("training"), dirs_exist_ok=True
    )
    sampler.weights, sampler.temporary = str(target), None
