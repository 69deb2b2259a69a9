"""DiffCSP: the crystal structure of a given composition, by diffusion.

Source: Jiao et al. 2023, and the code at github.com/jiaor17/DiffCSP.

Not expressible here, and refused: DiffCSP's de novo variant, which diffuses one-hot vectors of the
elements as real numbers; networks without layer norms, with edges to neighbours only, or with
lattice or coordinates held fixed; the energy model that guides DiffCSP.
"""

from ase_crysdiff.models.conversion.names import (
    by_atomic_number,
    demand_published_noise,
    encoder_sizes,
    encoder_tensors,
    stem_and_heads,
)
from ase_crysdiff.models.conversion.result import Converted
from ase_crysdiff.models.conversion.source import DataSet, Source


def convert_diffcsp(source: Source, data: DataSet) -> Converted:
    """A network of DiffCSP for given compositions, as the recipe `dao-g` builds it.

    Args:
        source: The checkpoint.
        data: What it was trained on.

    Raises:
        CheckpointError: If it is of a variant that cannot be expressed here.
    """
    tensors = {**encoder_tensors(source), **stem_and_heads(source)}
    source.demand(
        "a network for given compositions (crystal structure prediction)",
        "type_out.weight" not in source.network and "node_embedding.bias" not in source.network,
        "one that generates the elements, as real numbers. MiAD generates them as classes",
    )
    demand_published_noise(source)
    for cost in ("cost_lattice", "cost_coord"):
        weight = source.parameter(cost)
        source.demand(
            f"a network that finds lattice and coordinates ({cost} above 0)",
            weight is None or weight >= 1e-5,
            weight,
        )
    tensors["stem.species.weight"] = by_atomic_number(source.tensor("node_embedding.weight"))
    config = {
        "recipe": "dao-g",
        "state_space": {"name": "identity", "max_atoms": data.max_atoms},
        "lattice": {"name": "matrix"},
        "lattice_target": "noise",
        "encoder": {"name": "cspnet", **encoder_sizes(source, others=9)},
        "loss_weights": {"lattice": 1.0, "frac_coords": 1.0},
        "centred": False,
    }
    sampling = {"steps": 1000, "start": 1.0, "corrections": {"frac_coords": data.corrector}}
    return Converted("dao-g", config, tensors, sampling)
