"""Trains the modules of the shipped hub, one after the other, each resumable.

    python tools/make_hub.py runs/hub -o ase_crysdiff/weights/hub

No module learns from a crystal whose formula is in a test part of the eleven published tasks,
except that modules of these tasks themselves leave out the formulas of their own test parts and of
tasks of the same kind of property. Rows beyond the limit are left out at random.
"""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.crystal.reduction import batch_of, reduced_cell
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import by_shares, groups_of
from ase_crysdiff.environment import data_folder
from ase_crysdiff.errors import CrysDiffError
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.networks.encoders.crysformer.modular import ModularCrysformer
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.finetuning import FinetuneSettings
from ase_crysdiff.predictors.modules.hub import ENCODER, save_module, trunk_of
from ase_crysdiff.predictors.modules.training import formula_digests, train_module
from ase_crysdiff.tasks import task, tasks
from ase_crysdiff.training.described_crystals import described

log = logging.getLogger(__name__)

#: Published tasks of one kind of property: a label of one tells that of another.
KINDS = (
    ("eps_electronic", "poly_electronic", "dielectric_2d"),
    ("elastic_anisotropy", "poisson_ratio"),
    ("expt_formation_enthalpy", "formation_energy_2d"),
)
#: What is learned where values spread over decades and the task is published without a transform.
TRANSFORMS = {
    "poly_electronic": "log",
    "dielectric_2d": "log",
    "exfoliation_energy_2d": "log",
    "elastic_anisotropy": "log1p",
    "heat_capacity": None,
}
#: Of crystals, as they are kept.
PARTS = ("lattice", "frac_coords", "species", "num_atoms")
#: Tables that are worth no module.
LEFT_OUT = (
    "perov5_direct_gap",
    "teacher_largest_force",
    "teacher_pressure",
)
ROWS, LEAST, WIDTH = 1500, 60, 64


def main() -> None:
    """Trains what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tests = {one.name: _test_formulas(one.name, options.folder) for one in tasks("published")}
    card = weight_files.read_card(weight_files.find(ENCODER))
    base = {"name": card.name, "sha256": card.sha256}
    standard = _standard(base, options.folder)
    for one in tasks():
        place = options.output / one.name.replace("_", "-")
        if one.name in LEFT_OUT or (place / weight_files.CARD).is_file():
            continue
        try:
            _make(one.name, base, standard, tests, options.folder, place)
        except CrysDiffError as error:
            log.info("%s: %s", one.name, error)


def _make(
    name: str,
    base: Mapping[str, str],
    standard: Mapping[str, torch.Tensor],
    tests: Mapping[str, frozenset[int]],
    folder: Path,
    place: Path,
) -> None:
    one = task(name)
    kind = next((k for k in KINDS if name in k), (name,)) if name in tests else tuple(tests)
    refused = frozenset().union(*(tests[other] for other in kind))
    data = _crystals(one.name, folder, min(one.rows, 2 * ROWS))
    digests = formula_digests(data.crystals)
    allowed = [i for i, digest in enumerate(digests) if digest not in refused]
    chosen = np.random.default_rng(0).permutation(allowed)[:ROWS]
    if len(chosen) < LEAST:
        log.info("%s: %d rows are left, which are too few", name, len(chosen))
        return
    data = data.select(np.sort(chosen).tolist())
    split = by_shares(groups_of(data.crystals, "composition"), 0.15, 0.0, 0)
    transform = TRANSFORMS.get(name, one.transform)
    settings = FinetuneSettings(
        members=1, transform=transform, epochs=40, patience=15, weight_decay=1e-2
    )
    about = {
        "data": f"{one.about}: {len(data)} rows of the task {name} ({one.source}), without any "
        f"formula of the test parts of {', '.join(kind)}",
        "command": "python tools/make_hub.py runs/hub -o ase_crysdiff/weights/hub",
    }
    module = train_module(
        data,
        split,
        PropertyTarget(name, one.unit),
        base,
        standard,
        settings,
        folder / name,
        name=place.name,
        about=about,
        licence=one.licence,
        width=WIDTH,
        progress=False,
    )
    save_module(place, module)
    for label, result in module.card.measured["results"].items():
        log.info("%s, %s: %s %s", name, label, result["value"], result.get("unit", ""))


def _crystals(name: str, folder: Path, limit: int) -> LabelledCrystals:
    """The rows of a task in reduced cells; kept in the folder once they are read."""
    kept = folder / f"{name}-{limit}.npz"
    if kept.is_file():
        return _kept(kept)
    entries = list(task(name).read(data_folder()))
    if limit < len(entries):
        drawn = np.random.default_rng(0).choice(len(entries), limit, replace=False)
        entries = [entries[i] for i in sorted(drawn)]
    cells, values, names = [], [], []
    known = trunk_of({"name": ENCODER})[1]
    for entry in entries:
        try:
            cell = reduced_cell(entry.load())
        except CrysDiffError:
            continue
        if set(cell.species.tolist()) <= known and np.isfinite(entry.value):
            cells.append(cell)
            values.append(entry.value)
            names.append(f"{entry.name}#{len(names)}")
    batch = batch_of(cells)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {part: getattr(batch, part).numpy() for part in PARTS}
    np.savez_compressed(kept, names=np.array(names), values=np.array(values), **arrays)
    return _kept(kept)


def _kept(path: Path) -> LabelledCrystals:
    with np.load(path) as found:
        batch = CrystalBatch(*(torch.from_numpy(found[part]) for part in PARTS))
        values = torch.from_numpy(found["values"])
        return LabelledCrystals(tuple(found["names"].tolist()), batch, values)


def _test_formulas(name: str, folder: Path) -> frozenset[int]:
    """Digests of the formulas of the test parts of a published task."""
    parts = [entry.parts for entry in task(name).read(data_folder())]
    crystals = _crystals(name, folder, len(parts)).crystals
    assert len(parts) == len(crystals), "a crystal of a published task cannot be read"
    return frozenset(
        digest
        for digest, part in zip(formula_digests(crystals), parts, strict=True)
        if "test" in part
    )


def _standard(base: Mapping[str, str], folder: Path) -> dict[str, torch.Tensor]:
    """Mean and deviation of what the encoder says of the atoms of the published tasks; of the
    structures, not of their labels.
    """
    config, _, tensors = trunk_of(base)
    network = make_backbone({**config, "width": 1})
    assert isinstance(network, ModularCrysformer)
    blank = {n: p for n, p in network.named_parameters() if n not in tensors}
    weight_files.fill(network, {**blank, **tensors}, Path(ENCODER))
    parts = [
        described(network, _crystals(one.name, folder, one.rows).crystals)
        for one in tasks("published")
    ]
    atoms = torch.cat(parts)
    return {"shift": atoms.mean(0), "scale": atoms.std(0) + 1e-3}


if __name__ == "__main__":
    main()
