"""Checkpoints of DiffCSP, MiAD and FlowMM as weights that samplers load."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ase_crysdiff.errors import CheckpointError, InputError, UnknownNameError
from ase_crysdiff.models import weights
from ase_crysdiff.models.card import Card
from ase_crysdiff.models.conversion.diffcsp import convert_diffcsp
from ase_crysdiff.models.conversion.flowmm import convert_flowmm
from ase_crysdiff.models.conversion.miad import convert_miad
from ase_crysdiff.models.conversion.source import DATA_SETS, DataSet, Source, data_set, read_source
from ase_crysdiff.models.recipe import recipe

FAMILIES = {"diffcsp": convert_diffcsp, "flowmm": convert_flowmm, "miad": convert_miad}
LICENCE = "that of the checkpoint, which its authors gave; ask them before passing it on"


def convert(
    family: str,
    checkpoint: str | Path,
    folder: str | Path,
    *,
    data: str | None = None,
    max_atoms: int | None = None,
    elements: Sequence[int] | None = None,
    hyper_parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
    licence: str = LICENCE,
) -> Card:
    """Writes the network of a checkpoint as weights with a card. Code in the checkpoint is not run.

    Args:
        family: `diffcsp`, `miad` or `flowmm`.
        checkpoint: File of Lightning or of `torch.save`.
        folder: To write; give it as `weights` to the sampler that the card's config names.
        data: What the network was trained on: `mp_20`, `mpts_52`, `perov_5` or `carbon_24`; None
            for what the checkpoint says. Other data need `max_atoms`.
        max_atoms: Atoms of the largest crystal, where it is not that of the data.
        elements: Atomic numbers that it knows, where they are not those of the data.
        hyper_parameters: Count more than those of the checkpoint, in the same places.
        name: Of the weights; by default that of the sampler.
        licence: Of the weights, for the card.

    Raises:
        UnknownNameError: If the family is not known.
        InputError: If the data are not known, or an argument makes no sense.
        CheckpointError: If the file is damaged, or of a variant that cannot be expressed here.
    """
    if family not in FAMILIES:
        raise UnknownNameError(f"There is no family {family!r}. Known: {', '.join(FAMILIES)}.")
    path, target = Path(checkpoint), Path(folder)
    if (target / weights.CARD).exists():
        raise InputError(f"{target} holds weights already. Give another folder.")
    source = read_source(path, hyper_parameters or {})
    about = _data(source, data, max_atoms, elements)
    try:
        found = FAMILIES[family](source, about)
    except RuntimeError as error:  # torch's, where shapes do not fit each other
        raise CheckpointError(
            f"The tensors of {path} do not have the shapes of a network of {family}: {error}"
        ) from error
    content: dict[str, Any] = {
        "name": name or found.sampler,
        "config": {
            **found.config,
            "sizes": {str(n): count for n, count in about.sizes.items()},
            "elements": list(about.elements),
        },
        "sampling": dict(found.sampling),
        "training": {
            "data": data or "as the checkpoint says",
            "converted": f"{family} checkpoint {path.name}",
            "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "parameters": sum(t.numel() for t in found.tensors.values()),
            **source.progress,
        },
        "measured": {},
        "elements": list(about.elements),
        "licence": licence,
    }
    tensors = {n: t.float().contiguous() for n, t in found.tensors.items()}
    with torch.random.fork_rng(devices=[]):  # initial weights, which are overwritten
        model = recipe(found.config["recipe"]).build(content["config"])
    weights.fill(model.denoiser, tensors, path)
    return weights.save(target, tensors, content)


def _data(
    source: Source, name: str | None, max_atoms: int | None, elements: Sequence[int] | None
) -> DataSet:
    """What the network may be asked for."""
    if max_atoms is not None and max_atoms < 1:
        raise InputError(f"max_atoms must be at least 1, got {max_atoms}.")
    try:
        found = data_set(name, source)
    except InputError:
        if name is not None or max_atoms is None:
            raise
        found = DATA_SETS["mp20"]
    if max_atoms is not None and max_atoms != found.max_atoms:
        found = replace(found, max_atoms=max_atoms, sizes=dict.fromkeys(range(1, max_atoms + 1), 1))
    return found if elements is None else replace(found, elements=tuple(sorted(set(elements))))
