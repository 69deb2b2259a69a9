"""What compounds without a structure teach a predictor of crystals."""

import numpy as np
import pytest
import torch
from pymatgen.core import Structure
from toys import write_encoder

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.data.formula_tables import formulas_of
from ase_crysdiff.data.labelled import LabelledCrystals
from ase_crysdiff.data.splits import by_shares
from ase_crysdiff.errors import InputError
from ase_crysdiff.predictors.averaging import AveragedPredictor
from ase_crysdiff.predictors.base import PropertyTarget
from ase_crysdiff.predictors.descriptors import composition
from ase_crysdiff.predictors.finetuning import FinetuneSettings
from ase_crysdiff.predictors.formulas import learned_from
from ase_crysdiff.predictors.initial_weights import InitialWeights
from ase_crysdiff.predictors.loading import load_predictor, save
from ase_crysdiff.predictors.teaching import teach
from ase_crysdiff.testing.crystals import rattled
from pymatgen_ext import StructurePredictor

ELEMENTS = ["Li", "Na", "K", "Mg", "Ca", "Al", "Si", "P", "S", "Cl", "Ti", "Cu", "Zn", "Mo", "O"]


def value(contents: dict[str, float]) -> float:
    """A property of formulas that trees need some of them for."""
    total = sum(contents.values())
    weights = {s: np.cos(3.0 * i) for i, s in enumerate(ELEMENTS)}
    return 5 + 4 * sum(n * weights[s] for s, n in contents.items()) / total


def crystals(count: int) -> list[Structure]:
    rng, found = np.random.default_rng(3), []
    for structure in rattled(count, deviation=0.03):
        names = rng.permutation(ELEMENTS)
        old = list(structure.composition.get_el_amt_dict())
        structure.replace_species(dict(zip(old, names[: len(old)].tolist(), strict=True)))
        found.append(structure)
    return found


@pytest.fixture(scope="module")
def structures():
    return crystals(60)


@pytest.fixture(scope="module")
def data(structures):
    values = [value(s.composition.get_el_amt_dict()) for s in structures]
    names = tuple(map(str, range(len(structures))))
    return LabelledCrystals(
        names, from_structures(structures), torch.tensor(values, dtype=torch.float64)
    )


@pytest.fixture(scope="module")
def table():
    rng, found = np.random.default_rng(7), {}
    for _ in range(500):
        names = rng.choice(ELEMENTS, 3, replace=False).tolist()
        contents = dict(zip(names, rng.integers(1, 5, 3).tolist(), strict=True))
        found["".join(f"{s}{n}" for s, n in contents.items())] = value(contents)
    return found


def taught(data, folder, trees):
    split = by_shares(range(len(data)), 0.2, 0.3, 0)
    encoder = InitialWeights.of(write_encoder(folder, list(range(1, 60))))
    found = teach(
        data,
        split,
        PropertyTarget("softness", "K"),
        encoder,
        FinetuneSettings(models=("forest",), descriptors=("composition", "geometry"), small=True),
        folder,
        name="softness",
        progress=False,
        formulas=trees,
    )
    assert isinstance(found, AveragedPredictor)
    return found


def test_formulas_lower_the_error_on_crystals(data, table, tmp_path):
    trees = learned_from(formulas_of(table), data.crystals, None, 0)
    without, informed = (taught(data, tmp_path, t) for t in (None, trees))
    errors = [p.card.measured["results"]["test MAE"]["value"] for p in (without, informed)]
    assert errors[1] < 0.8 * errors[0]
    assert informed.formulas is not None
    assert tuple(informed.card.config["average"]["blocks"]) == ("composition", "geometry")
    said = informed.predict(data.crystals)
    save(informed, tmp_path / "softness")
    again = load_predictor(tmp_path / "softness").predict(data.crystals)
    assert torch.equal(again.values, said.values)
    assert torch.equal(again.uncertainty, said.uncertainty)


def test_what_is_measured_on_crystals_was_not_learned_from_their_formulas(structures, data):
    """Trees that are told the formulas of the crystals alone have nothing to learn from."""
    own = {s.composition.formula.replace(" ", ""): 1.0 for s in structures}
    with pytest.raises(InputError, match="0 of .* formulas are none of a labelled crystal"):
        learned_from(formulas_of(own), data.crystals, None, 0)


def test_trees_know_values_under_the_transform(data, table):
    trees = learned_from(formulas_of(table, "log"), data.crystals, "log", 0)
    found = formulas_of(table, "log").without(composition.shares(data.crystals))
    said = trees.predict(composition.statistics(found.shares))
    assert np.abs(said - np.log(found.values)).mean() < 0.2 * np.log(found.values).std()


def test_a_predictor_is_given_formulas(structures, data, table):
    predictor = StructurePredictor("crysldnet").finetune(
        structures,
        data.values.numpy(),
        unit="K",
        target="softness",
        formulas={**table, "Xx": 1.0},
        models=("forest",),
        descriptors=("composition", "geometry"),
        small=True,
        progress=False,
    )
    different = len(formulas_of(table))
    said = predictor.card.training["formulas"]
    assert said == {"read": different + 1, "kept": different}
    assert np.isfinite(predictor.predict(structures)).all()
