"""`crysdiff convert`: from a checkpoint to crystals, as a user types it."""

import json

import pytest
import torch

from ase_crysdiff.cli.main import main
from ase_crysdiff.models import weights

HIDDEN, WAVES = 12, 3


@pytest.fixture
def checkpoint(tmp_path, generator):
    """A network of DiffCSP's names and shapes, with random numbers."""
    shapes = {
        "node_embedding": ((100, HIDDEN), False),
        "atom_latent_emb": ((HIDDEN, HIDDEN + 256), True),
        "csp_layer_0.edge_mlp.0": ((HIDDEN, 2 * HIDDEN + 9 + 6 * WAVES), True),
        "csp_layer_0.edge_mlp.2": ((HIDDEN, HIDDEN), True),
        "csp_layer_0.node_mlp.0": ((HIDDEN, 2 * HIDDEN), True),
        "csp_layer_0.node_mlp.2": ((HIDDEN, HIDDEN), True),
        "csp_layer_0.layer_norm": ((HIDDEN,), True),
        "final_layer_norm": ((HIDDEN,), True),
        "coord_out": ((3, HIDDEN), False),
        "lattice_out": ((9, HIDDEN), False),
    }
    tensors = {}
    for name, (shape, bias) in shapes.items():
        tensors[f"decoder.{name}.weight"] = torch.randn(shape, generator=generator)
        if bias:
            tensors[f"decoder.{name}.bias"] = torch.randn(shape[0], generator=generator)
    path = tmp_path / "epoch=9.ckpt"
    torch.save({"epoch": 9, "state_dict": tensors}, path)
    return path


def test_convert_says_how_to_draw(checkpoint, tmp_path, capsys):
    words = ["convert", "diffcsp", str(checkpoint), "-o", str(tmp_path / "out")]
    assert main(words) == 1
    assert "Give data: one of carbon_24, mp_20" in capsys.readouterr().err
    assert main([*words, "--data", "perov_5", "--name", "mine", "--licence", "MIT"]) == 0
    out = capsys.readouterr().out
    assert f"crysdiff sample dao-g --composition NaCl --weights {tmp_path / 'out'}" in out
    card = weights.read_card(tmp_path / "out")
    assert (card.name, card.licence, card.training["epoch"]) == ("mine", "MIT", 9)
    assert card.config["state_space"]["max_atoms"] == 5


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_hyper_parameters_of_a_file(checkpoint, tmp_path, capsys, ending):
    given = tmp_path / f"hparams.{ending}"
    words = ["convert", "diffcsp", str(checkpoint), "-o", str(tmp_path / "out")]
    words += ["--hyper-parameters", str(given)]
    entries = {"data": {"eval_model_name": "mp20"}, "model": {"decoder": {"edge_style": "knn"}}}
    yaml = "data:\n  eval_model_name: mp20\nmodel:\n  decoder: {edge_style: knn}\n"
    given.write_text(json.dumps(entries) if ending == "json" else yaml)
    assert main(words) == 1
    assert "edge_style: fc" in capsys.readouterr().err
    given.write_text(given.read_text().replace("knn", "fc"))
    assert main([*words, "--elements", "Na-Cl"]) == 0
    assert weights.read_card(tmp_path / "out").elements == (11, 17)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "!!python/object/apply:os.getcwd []"])
def test_a_file_of_hyper_parameters_that_is_none(checkpoint, tmp_path, capsys, text):
    given = tmp_path / "hparams.yaml"
    given.write_text(text)
    words = ["convert", "diffcsp", str(checkpoint), "-o", str(tmp_path / "out")]
    assert main([*words, "--hyper-parameters", str(given)]) == 1
    assert str(given) in capsys.readouterr().err
