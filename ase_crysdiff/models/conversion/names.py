"""From the published names of a CSPNet's parameters to ours."""

import re
from collections.abc import Mapping

import torch

from ase_crysdiff.constants import NUM_SPECIES
from ase_crysdiff.models.conversion.source import Source
from ase_crysdiff.networks.stems import TIME_WIDTH
from ase_crysdiff.schedules.noise import Cosine, Geometric
from ase_crysdiff.shapes import Float, Tensor

#: Parts of a layer by their published names: two maps of edges, two of nodes, each pair in a list
#: with activations between them.
_LAYER = {
    "layer_norm": "norm",
    "edge_mlp.0": "edge_in",
    "edge_mlp.2": "edge_out",
    "node_mlp.0": "node_in",
    "node_mlp.2": "node_out",
}
_LAYER_NAME = re.compile(r"csp_layer_(\d+)\.(.+)\.(weight|bias)")
#: Classes of the published embeddings: hydrogen is the first, there is none for a vacancy.
CLASSES = 100
#: How far the stored tables of noise may be from ours: they are in single precision, and squares of
#: scores are means over 10,000 draws.
_LEVELS, _SCORES = 1e-3, 0.2


def encoder_tensors(source: Source) -> dict[str, Tensor]:
    """Parameters of the layers and the last norm, under our names.

    Args:
        source: Of a network with norms.

    Raises:
        CheckpointError: If it has none.
    """
    source.demand(
        "a network with layer norms (ln: true)", "final_layer_norm.weight" in source.network, "none"
    )
    found = {
        f"encoder.norm.{kind}": source.tensor(f"final_layer_norm.{kind}")
        for kind in ("weight", "bias")
    }
    for name, tensor in source.network.items():
        if match := _LAYER_NAME.fullmatch(name):
            number, part, kind = match.groups()
            if part in _LAYER:
                found[f"encoder.layers.{number}.{_LAYER[part]}.{kind}"] = tensor
    return found


def encoder_sizes(source: Source, others: int) -> dict[str, int]:
    """Width, number of layers and of frequencies, which the shapes tell.

    Args:
        source: Of the network.
        others: Columns of the first edge map that are neither nodes nor sines and cosines.

    Raises:
        CheckpointError: If the shapes are not those of a network with sines and cosines.
    """
    hidden, columns = source.shape("csp_layer_0.edge_mlp.0.weight")
    layers = sum(1 for n in source.network if re.fullmatch(r"csp_layer_\d+\.edge_mlp\.0\.bias", n))
    frequencies, rest = divmod(columns - 2 * hidden - others, 6)
    source.demand(
        "an embedding of differences by sines and cosines (dis_emb: sin)",
        rest == 0 and frequencies > 0,
        f"edges of {columns} numbers at a width of {hidden}",
    )
    for section in ("decoder", "vectorfield"):
        style, act = source.parameter(section, "edge_style"), source.parameter(section, "act_fn")
        source.demand("edges between all pairs (edge_style: fc)", style in (None, "fc"), style)
        source.demand("the activation silu", act in (None, "silu"), act)
    return {"hidden": hidden, "layers": layers, "frequencies": frequencies}


def by_atomic_number(rows: Float[Tensor, "classes hidden"]) -> Float[Tensor, "classes hidden"]:
    """Rows for Z = 1 … 100 as rows for 0 … 99. The first one, of vacancies, is left empty: nothing
    asks for it where species are given.
    """
    return torch.cat([torch.zeros_like(rows[:1]), rows[: NUM_SPECIES - 1]])


def stem_and_heads(source: Source) -> dict[str, Tensor]:
    """What DiffCSP and MiAD have beside the encoder and the species.

    Raises:
        CheckpointError: If the network reads time in another way, or predicts energies.
    """
    hidden = source.shape("coord_out.weight")[1]
    source.demand(
        "a network of DiffCSP or MiAD", "time_emb.weight" not in source.network, "one of FlowMM"
    )
    source.demand(
        "a generator, not a predictor of energies", "scalar_out.weight" not in source.network, "one"
    )
    source.demand(
        "a lattice that is multiplied to its prediction (ip: true)",
        source.parameter("decoder", "ip") in (None, True),
        "none",
    )
    joined = source.shape("atom_latent_emb.weight")
    source.demand(
        f"an embedding of time of {TIME_WIDTH} numbers and no latent vector",
        joined == (hidden, hidden + TIME_WIDTH),
        f"{joined[1] - hidden} numbers beside the nodes",
    )
    return {
        "stem.join.weight": source.tensor("atom_latent_emb.weight"),
        "stem.join.bias": source.tensor("atom_latent_emb.bias"),
        "heads.frac_coords.linear.weight": source.tensor("coord_out.weight"),
        "heads.lattice.linear.weight": source.tensor("lattice_out.weight"),
    }


def demand_published_noise(source: Source) -> None:
    """Refuses networks that were trained on other noise than ours is, as far as the checkpoint
    tells.

    Raises:
        CheckpointError: If the tables of noise differ.
    """
    known: Mapping[str, tuple[Tensor, float]] = {
        "beta_scheduler.alphas_cumprod": (Cosine().signal_power, _LEVELS),
        "sigma_scheduler.sigmas": (Geometric().levels, _LEVELS),
        "sigma_scheduler.sigmas_norm": (Geometric().score_scales.square(), _SCORES),
    }
    for name, (ours, tolerance) in known.items():
        theirs = next((t for n, t in source.around.items() if n.endswith(name)), None)
        if theirs is None:
            continue
        same = theirs.shape == ours.shape and torch.allclose(
            theirs[1:].double(), ours[1:], rtol=tolerance, atol=1e-8
        )
        source.demand(
            "the published noise of 1,000 steps, cosine for lattices and 0.005 to 0.5 for "
            "coordinates",
            same,
            f"another table {name} of {len(theirs) - 1} steps",
        )
