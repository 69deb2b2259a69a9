"""Training of a flow of places: from an archive to weights that a sampler loads."""

import json

import numpy as np
import pytest
from ase.build import molecule

from ase_crysdiff.data.molecules import is_archive, read_archive
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.sampling.loading import load_sampler
from ase_crysdiff.training.export import export
from ase_crysdiff.training.run import train
from ase_crysdiff.training.settings import TrainSettings
from pymatgen_ext import MoleculeSampler

NAMES = ["CH3CH2OH", "CH3OCH3", "C2H6", "CH3CN", "C6H6", "H2CO", "CH4", "NH3"] * 4
ENCODER = {"hidden": 32, "layers": 2, "pair": 32, "arrows": 4}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("molecules")
    atoms = [molecule(name) for name in [*NAMES, "H2"]]
    np.savez(
        folder / "some.npz",
        num_atoms=[len(a) for a in atoms],
        atomic_numbers=np.concatenate([a.numbers for a in atoms]),
        positions=np.concatenate([a.positions for a in atoms]),
        gap=np.linspace(4.0, 9.0, len(atoms)),
    )
    assert is_archive(folder / "some.npz")
    found = read_archive(folder / "some.npz")
    assert len(found) == len(NAMES)
    assert found.metadata["left_out"] == "1"
    found.save(folder / "some.safetensors")
    return folder / "some.safetensors"


def test_it_learns_and_is_loaded(packed, tmp_path):
    settings = TrainSettings(steps=120, batch_size=16, warmup=5, log_every=1, learning_rate=5e-3)
    changes = {"encoder": ENCODER, "properties": ["gap"]}
    train("geobfn", packed, tmp_path / "run", settings, changes=changes, accelerator="cpu")
    lines = (tmp_path / "run/log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["positions"] for line in lines]
    assert np.mean(losses[-30:]) < 0.8 * np.mean(losses[:20])
    sampling = {"steps": 6, "solver": "end-back", "start": 1.0}
    card = export(tmp_path / "run", tmp_path / "weights", "geobfn", sampling=sampling)
    assert card.sampling.solver == "end-back"
    assert card.config["properties"]["gap"]["unit"] == "eV"
    sampler = MoleculeSampler("geobfn", weights=str(tmp_path / "weights"), device="cpu")
    told = sampler.sample(2, composition="C2H6O", properties={"gap": 6.0}, seed=0)
    plain = sampler.sample(2, composition="C2H6O", seed=0)
    assert not np.allclose(told[0].cart_coords, plain[0].cart_coords)
    assert list(card.config["outlooks"]) == ["gap"]
    with pytest.warns(UserWarning, match="gap of 60.0 is outside of what the model has seen: gap"):
        sampler.request(properties={"gap": 60.0})
    with pytest.raises(InputError, match=r"called 'gaps'. Did you mean 'gap'"):
        sampler.request(properties={"gaps": 6.0})
    with pytest.raises(IncompatibleError, match=r"takes gap.*Others are learnt"):
        sampler.request(properties={"colour": 6.0})
    with pytest.raises(CheckpointError, match="molecule sampler"):
        load_sampler("geobfn", tmp_path / "weights")


def test_what_is_no_archive(tmp_path):
    np.savez(tmp_path / "labels.npz", num_atoms=[1], positions=np.zeros((1, 3)), lattice=[1])
    assert not is_archive(tmp_path / "labels.npz")
    with pytest.raises(InputError, match="archive of molecules"):
        read_archive(tmp_path / "labels.npz")
    with pytest.raises(InputError, match="archive of molecules"):
        read_archive(tmp_path / "missing.npz")


def test_weights_of_crystals_make_no_molecules(toy_csp):
    with pytest.raises(CheckpointError, match="makes no molecules"):
        MoleculeSampler("geobfn", weights=str(toy_csp), device="cpu").sample(1)
