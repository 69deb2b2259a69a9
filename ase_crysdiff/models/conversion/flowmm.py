"""FlowMM: the crystal structure of a given composition, by flow matching.

Source: Miller et al. 2024, and the code at github.com/facebookresearch/flowmm. Its time runs the
other way round, t = 0 at the prior, and velocities point to the data; both are turned here.

Not expressible here, and refused: elements as analog bits or on a simplex (FlowMM's de novo
variants), lattices as matrices or as logarithms of metric tensors, self-conditioning, networks that
leave out the angles, the number of atoms or the sum over atoms.
"""

import torch

from ase_crysdiff.models.conversion.names import (
    CLASSES,
    by_atomic_number,
    encoder_sizes,
    encoder_tensors,
)
from ase_crysdiff.models.conversion.result import Converted
from ase_crysdiff.models.conversion.source import DataSet, Source
from ase_crysdiff.networks.encoders.near_pairs import AXES
from ase_crysdiff.shapes import Tensor

#: Numbers of a lattice, and numbers of atoms that edges are told.
_LATTICE, _COUNTS = 6, 100


def convert_flowmm(source: Source, data: DataSet) -> Converted:
    """A network of FlowMM for given compositions, as the recipe `dao-g-flow` builds it.

    Args:
        source: The checkpoint.
        data: What it was trained on.

    Raises:
        CheckpointError: If it is of a variant that cannot be expressed here.
    """
    _demand_conditional_parameters(source)
    hidden = source.shape("coord_out.weight")[1]
    # Edges also have the embedded number of atoms, which is as wide as a node.
    sizes = encoder_sizes(source, others=AXES + _LATTICE + hidden)
    tensors = encoder_tensors(source)
    for number in range(sizes["layers"]):
        tensors[f"encoder.layers.{number}.edge_in.weight"] = _edge_columns(source, number)
    tensors |= _stem(source, hidden) | _heads(source, hidden)
    mean, scale = (_around(source, f"lat_x_t_{n}").flatten().tolist() for n in ("mean", "std"))
    prior = {
        "log_length_mean": list(source.parameter("length_log_mean") or data.log_length_mean),
        "log_length_scale": list(source.parameter("length_log_std") or data.log_length_scale),
    }
    config = {
        "recipe": "dao-g-flow",
        "state_space": {"name": "identity", "max_atoms": data.max_atoms},
        "lattice": {"name": "parameters", "mean": mean, "scale": scale},
        "processes": {
            "lattice": {"name": "lattice-parameters-flow", **prior},
            "frac_coords": {"name": "torus-flow"},
        },
        "family": "flow",
        "stem": {"name": "linear-time"},
        "encoder": {
            "name": "cspnet",
            **sizes,
            "cell_angles": True,
            "atom_counts": _COUNTS,
            "self_pairs": False,
            "summed": True,
        },
        "loss_weights": {"lattice": 1.0, "frac_coords": 400.0},
        "centred": True,
    }
    steps = source.parameter("integrate", "num_steps") or 1000
    sampling = {"steps": steps, "start": 1.0, "solver": "euler"}
    slope = source.parameter("integrate", "inference_anneal_slope")
    if slope:
        sampling["velocity_annealing"] = {"frac_coords": float(slope)}
    return Converted("dao-g-flow", config, tensors, sampling)


def _demand_conditional_parameters(source: Source) -> None:
    """Refuses what is not FlowMM's structure prediction with lengths and angles."""
    source.demand(
        "a network of FlowMM", "time_emb.weight" in source.network, "one of DiffCSP or MiAD"
    )
    read = source.shape("node_embedding.weight")[1]
    source.demand(
        "a network for given compositions (atom_type_manifold: null_manifold)",
        read == CLASSES,
        f"elements of {read} numbers",
    )
    out = source.shape("lattice_out.weight")
    source.demand(
        "lattices as lengths and angles (lattice_manifold: lattice_params) and crystals read from "
        "mean and sum (concat_sum_pool: true)",
        out[0] == _LATTICE and out[1] == 2 * source.shape("coord_out.weight")[1],
        f"a map of {out[1]} to {out[0]} numbers",
    )
    source.demand(
        "the number of atoms at each edge (represent_num_atoms: true)",
        source.network.get("csp_layer_0.num_atom_embedding.weight") is not None,
        "none",
    )
    manifold = ("model", "manifold_getter")
    expected = {
        (*manifold, "atom_type_manifold"): ("null_manifold",),
        (*manifold, "lattice_manifold"): ("lattice_params",),
        (*manifold, "coord_manifold"): ("flat_torus_01",),
        ("model", "self_cond"): (False,),
        ("vectorfield", "self_edges"): (False,),
        ("vectorfield", "represent_angle_edge_to_lattice"): (True,),
        ("integrate", "inference_anneal_offset"): (0, 0.0),
        ("integrate", "method"): ("euler",),
    }
    for place, sound in expected.items():
        value = source.parameter(*place)
        source.demand(f"{place[-1]}: {sound[0]}", value is None or value in sound, value)


def _edge_columns(source: Source, number: int) -> Tensor:
    """The first edge map of a layer. Its columns: angles, receiver, sender, lattice, sines and
    cosines, number of atoms; ours in another order, and the embedding of the number of atoms
    multiplied into it.
    """
    name = f"csp_layer_{number}"
    weight = source.tensor(f"{name}.edge_mlp.0.weight").double()
    hidden = weight.shape[0]
    waves = weight.shape[1] - AXES - 3 * hidden - _LATTICE
    angles, receive, send, lattice, fourier, counts = weight.split(
        (AXES, hidden, hidden, _LATTICE, waves, hidden), 1
    )
    told = counts @ source.tensor(f"{name}.num_atom_embedding.weight").double()
    return torch.cat([receive, send, lattice, told, fourier, angles], 1).float()


def _stem(source: Source, hidden: int) -> dict[str, Tensor]:
    """Two linear maps in a row, of species and of time, as one of each; time from data to prior."""
    species, time = (
        source.tensor("atom_latent_emb.weight")
        .double()
        .split((hidden, source.shape("time_emb.weight")[0]), 1)
    )
    rows = (species @ source.tensor("node_embedding.weight").double()).T
    along = (time @ source.tensor("time_emb.weight").double()).flatten()
    return {
        "stem.species.weight": by_atomic_number((rows + along).float()),
        "stem.time": -along.float(),
    }


def _heads(source: Source, hidden: int) -> dict[str, Tensor]:
    """Velocities with their standardisation multiplied in, turned round. What is added to all
    coordinates alike falls out with their mean.
    """
    scale = _around(source, "lat_u_t_std").flatten().double()
    shift = _around(source, "lat_u_t_mean").flatten().double()
    weight = source.tensor("lattice_out.weight").double()
    bias = source.tensor("lattice_out.bias").double()
    pool = torch.zeros(hidden, 2 * hidden, dtype=torch.float64)
    pool[:_LATTICE] = -scale[:, None] * weight
    coords = _around(source, "coord_u_t_std").flatten().double()
    return {
        "encoder.pool.weight": pool.float(),
        "heads.lattice.linear.weight": torch.eye(_LATTICE, hidden),
        "heads.lattice.linear.bias": -(scale * bias + shift).float(),
        "heads.frac_coords.linear.weight": (
            -coords[:, None] * source.tensor("coord_out.weight").double()
        ).float(),
    }


def _around(source: Source, name: str) -> Tensor:
    found = next((t for n, t in source.around.items() if n.endswith(name)), None)
    source.demand(f"the statistics {name}", found is not None, "none")
    assert found is not None
    return found
