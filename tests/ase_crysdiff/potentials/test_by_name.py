import pytest
import torch

from ase_crysdiff import registry
from ase_crysdiff.errors import (
    CheckpointError,
    IncompatibleError,
    InputError,
    NeedsWeightsError,
    UnknownNameError,
)
from ase_crysdiff.models import weights
from ase_crysdiff.potentials.loading import load_potential
from ase_crysdiff.testing.pair_potential import PairPotential


def test_our_potentials_are_registered():
    ours = {"dao-p", "chgnet", "matgl", "sevennet-0", "sevennet-l3i5"}
    assert ours <= set(registry.names(registry.POTENTIALS))


def test_others_register_theirs():
    asked = {}

    def make(weights, device, dtype):
        asked.update(weights=weights, device=device, dtype=dtype)
        return PairPotential(dtype=dtype)

    registry.register(registry.POTENTIALS, "mine", make)
    try:
        assert load_potential("mine", device="cpu", dtype=torch.float64).dtype == torch.float64
    finally:
        registry.unregister(registry.POTENTIALS, "mine")
    assert asked == {"weights": None, "device": "cpu", "dtype": torch.float64}


def test_matgl_asks_for_weights_and_guards_them(tmp_path):
    with pytest.raises(NeedsWeightsError, match="weights=FOLDER"):
        load_potential("matgl")
    for folder in (tmp_path / "none", tmp_path):  # an empty folder is not looked up elsewhere
        with pytest.raises(InputError, match=r"no folder of a matgl model: model\.json"):
            load_potential("matgl", weights=folder)
    with pytest.raises(IncompatibleError, match=r"torch\.float32 on the CPU"):
        load_potential("matgl", weights=tmp_path, dtype=torch.float64)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore")
def test_matgl_weights_that_are_read_wrongly_are_refused(data):
    folder = data.parent / "models" / "matgl" / "TensorNet-MatPES-PBE-v2025.1-PES"
    if not folder.is_dir():
        pytest.skip("The weights of TensorNet for matgl 2 are not beside the data packs")
    with pytest.raises(CheckpointError, match="NaCl: -2\\.68849 instead of"):
        load_potential("matgl", weights=folder)


def test_unknown_names_suggest_close_ones():
    with pytest.raises(UnknownNameError, match="Did you mean 'dao-p'"):
        load_potential("dao_p")


def test_chgnet_knows_single_precision_only():
    assert load_potential("chgnet").name == "chgnet"
    with pytest.raises(IncompatibleError, match="dao-p knows both"):
        load_potential("chgnet", dtype=torch.float64)


def test_missing_weights_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(CheckpointError, match="holds no weights"):
        load_potential("dao-p", tmp_path)


def test_weights_of_a_sampler_are_no_potential(toy_csp):
    assert weights.read_card(toy_csp).name == "dao-g"
    with pytest.raises(CheckpointError, match="which is no potential"):
        load_potential("dao-p", toy_csp)
