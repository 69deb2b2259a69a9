import json
import sys

import numpy as np
import pytest
from ase.build import bulk
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.core import Lattice, Structure
from toys import write_encoder

from ase_crysdiff.errors import IncompatibleError, InputError, UnknownNameError
from ase_crysdiff.testing.crystals import prototypes, rattled
from pymatgen_ext import StructurePredictor, available_predictors

ELEMENTS = [3, 8, 11, 12, 13, 14, 15, 16, 17, 22, 29, 38, 42]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return str(write_encoder(tmp_path_factory.mktemp("encoders"), ELEMENTS))


@pytest.fixture(scope="module")
def structures():
    return rattled(50, deviation=0.03)


@pytest.fixture(scope="module")
def volume(encoder, structures):
    """Fine-tuned on volumes per atom, with some rows that cannot be used."""
    values = [s.volume / len(s) for s in structures]
    return StructurePredictor(encoder).finetune(
        [*structures, None, structures[0], structures[1]],
        [*values, 3.0, np.nan, 2 * values[1]],
        unit="Å³",
        target="volume_per_atom",
        epochs=25,
        learning_rate=1e-2,
        progress=False,
    )


def test_finetuning_learns_and_reports_bad_rows(volume, structures):
    known = np.array([s.volume / len(s) for s in structures])
    found = volume.predict(structures, progress=False)
    assert np.abs(found - known).mean() < 0.5 * np.abs(known - known.mean()).mean()
    assert (volume.target, volume.unit) == ("volume_per_atom", "Å³")
    results = volume.card.measured["results"]
    assert results["test MAE"]["rows"] > 3
    assert results["test MAE"]["unit"] == "Å³"


def test_bad_rows_are_named(encoder, structures):
    values = [s.volume for s in structures[:20]]
    found = StructurePredictor(encoder).finetune(
        [*structures[:20], None, structures[0], structures[1]],
        [*values, 3.0, np.nan, 2 * values[1]],
        unit="Å³",
        target="volume",
        epochs=1,
        progress=False,
    )
    reasons = dict(found.finetune_report.left_out)
    assert set(reasons) == {"20", "21", "22", "1"}
    assert "contradictory" in reasons["1"]
    assert "contradictory" in reasons["22"]
    assert (found.finetune_report.read, found.finetune_report.kept) == (23, 19)


def test_supercells_and_atoms_get_the_same_value(volume):
    for structure in prototypes().values():
        large = structure.copy()
        large.make_supercell([[2, 0, 0], [1, 1, 0], [0, 0, 1]])
        values = volume.predict(
            [structure, large, structure.to_ase_atoms(), large.to_ase_atoms()], progress=False
        )
        assert np.allclose(values, values[0], rtol=1e-4)


def test_bad_structures_get_nan_and_a_reason(volume):
    good = prototypes()["NaCl"]
    half = Structure(Lattice.cubic(4), [{"Cu": 0.5, "Si": 0.5}], [[0, 0, 0]])
    unknown = Structure(Lattice.cubic(4), ["Au"], [[0, 0, 0]])
    values, uncertainty = volume.predict(
        [good, None, half, unknown, good], return_uncertainty=True, progress=False
    )
    assert (
        np.isfinite(values).tolist()
        == np.isfinite(uncertainty).tolist()
        == [True, False, False, False, True]
    )
    refused = volume.report.refused
    assert list(refused) == [1, 2, 3]
    assert "does not know these elements: Au" in refused[3]
    assert volume.report.asked == 5
    with pytest.raises(InputError, match="None of 2 structures can be used"):
        volume.predict([None, half], progress=False)
    assert volume.predict([], progress=False).shape == (0,)
    assert volume.predict(good).shape == (1,)


def test_values_are_written_into_copies(volume):
    salt, atoms = prototypes()["NaCl"], bulk("Cu")
    copies = volume.annotate([salt, atoms, None], progress=False)
    key = "crysdiff_volume_per_atom"
    assert copies[0].properties[key] == pytest.approx(volume.predict(salt)[0])
    assert copies[0].properties[f"{key}_unit"] == copies[1].info[f"{key}_unit"] == "Å³"
    assert copies[1].info[f"{key}_uncertainty"] > 0
    assert copies[2] is None
    assert key not in salt.properties
    assert key not in atoms.info


def test_saved_predictors_travel_by_name(encoder, structures, tmp_path):
    values = [s.volume for s in structures[:20]]
    predictor = StructurePredictor(encoder).finetune(
        structures[:20], values, unit="Å³", target="volume", epochs=1, progress=False
    )
    with pytest.raises(InputError, match="Save them first"):
        predictor.as_dict()
    predictor.save(tmp_path / "volume")
    same = StructurePredictor(tmp_path / "volume")
    travelled = json.loads(json.dumps(predictor, cls=MontyEncoder), cls=MontyDecoder)
    for other in (same, travelled):
        assert np.array_equal(
            other.predict(structures, progress=False), predictor.predict(structures, progress=False)
        )
    assert predictor.finetune_report.kept == 20
    assert predictor.card.version == same.card.version != ""


def test_units_and_targets_are_not_guessed(volume, encoder, structures):
    values = [1.0] * len(structures)
    with pytest.raises(IncompatibleError, match="in Å³, not in nm³"):
        volume.finetune(structures, values, unit="nm³")
    with pytest.raises(InputError, match="give target="):
        StructurePredictor(encoder).finetune(structures, values, unit="eV")
    with pytest.raises(InputError, match=r"no settings \['layers'\]"):
        StructurePredictor(encoder).finetune(structures, values, unit="eV", target="gap", layers=3)
    with pytest.raises(InputError, match="do not differ"):
        StructurePredictor(encoder).finetune(
            structures, values, unit="eV", target="gap", progress=False
        )
    with pytest.raises(IncompatibleError, match="has learned no property"):
        StructurePredictor(encoder).predict(structures)
    with pytest.raises(IncompatibleError, match="asks a potential"):
        StructurePredictor("formation-energy").finetune(structures, values, unit="eV/atom")


def test_names():
    assert "formation-energy" in available_predictors()
    with pytest.raises(UnknownNameError, match="Did you mean 'formation-energy'"):
        StructurePredictor("formation-energ")
    value = StructurePredictor("formation-energy").predict(prototypes()["NaCl"])
    assert value[0] == pytest.approx(-2.1, abs=0.15)  # eV/atom, Materials Project


@pytest.mark.parametrize("with_matminer", [True, False])
def test_featurizer(encoder, with_matminer, monkeypatch):
    if with_matminer:
        pytest.importorskip("matminer")
    else:
        monkeypatch.setitem(sys.modules, "matminer.featurizers.base", None)
    monkeypatch.delitem(sys.modules, "pymatgen_ext.featurizer", raising=False)
    from pymatgen_ext.featurizer import EncoderFeaturizer

    featurizer = EncoderFeaturizer(encoder)
    salt, unknown = prototypes()["NaCl"], Structure(Lattice.cubic(4), ["Au"], [[0, 0, 0]])
    assert len(featurizer.featurize(salt)) == len(featurizer.feature_labels()) == 32
    rows = featurizer.featurize_many(
        [salt, (salt * (2, 1, 1),), unknown], ignore_errors=True, return_errors=True
    )
    assert np.allclose(rows[0][:-1], rows[1][:-1], atol=1e-4)
    assert np.isnan(rows[2][:-1]).all()
    assert "does not know: [79]" in rows[2][-1]
    with pytest.raises(InputError, match="Structure 1"):
        featurizer.featurize_many([salt, unknown])
    if with_matminer:
        import pandas as pd
        from matminer.featurizers.base import MultipleFeaturizer
        from matminer.featurizers.structure import DensityFeatures

        table = pd.DataFrame({"structure": [salt, prototypes()["SrTiO3"]]})
        both = MultipleFeaturizer([DensityFeatures(), featurizer])
        both.set_n_jobs(1)
        found = both.featurize_dataframe(table, "structure", pbar=False)
        assert np.allclose(found[featurizer.feature_labels()].iloc[0], rows[0][:-1], atol=1e-5)
    monkeypatch.delitem(sys.modules, "pymatgen_ext.featurizer", raising=False)
