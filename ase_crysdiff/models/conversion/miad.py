"""MiAD: de novo crystals, by diffusion with atoms that may vanish.

Source: Okhotin et al. 2025, arXiv 2511.14426, and the code at github.com/andrey-okhotin/miad. Its
network is that of DiffCSP, whose 100 classes of elements are the vacancy and Z = 1 … 99.

Where sampling differs from the authors': their corrector adds noise at the last step, too, and ends
at σ = 0.005; here the last step ends at the data.
"""

from ase_crysdiff.models.conversion.names import (
    CLASSES,
    demand_published_noise,
    encoder_sizes,
    encoder_tensors,
    stem_and_heads,
)
from ase_crysdiff.models.conversion.result import Converted
from ase_crysdiff.models.conversion.source import DataSet, Source

#: Rows that a crystal has in training, beyond the largest one. Published for MP-20: 25 for 20.
_SHARE = 1.25


def convert_miad(source: Source, data: DataSet) -> Converted:
    """A network of MiAD, as the recipe `miad` builds it.

    Args:
        source: The checkpoint.
        data: What it was trained on.

    Raises:
        CheckpointError: If it is of a variant that cannot be expressed here.
    """
    tensors = {**encoder_tensors(source), **stem_and_heads(source)}
    generates = "type_out.weight" in source.network and "node_embedding.bias" in source.network
    source.demand(
        "a network that generates the elements",
        generates and source.shape("type_out.weight")[0] == CLASSES,
        "one for given compositions" if not generates else "another number of classes",
    )
    demand_published_noise(source)
    tensors |= {
        "stem.species.weight": source.tensor("node_embedding.weight"),
        "stem.species.bias": source.tensor("node_embedding.bias"),
        "heads.species.linear.weight": source.tensor("type_out.weight"),
        "heads.species.linear.bias": source.tensor("type_out.bias"),
    }
    slots = source.parameter("slots") or round(_SHARE * data.max_atoms)
    config = {
        "recipe": "miad",
        "state_space": {"name": "mirage", "slots": slots, "max_atoms": data.max_atoms},
        "lattice": {"name": "matrix"},
        "family": "diffusion",
        "lattice_target": "noise",
        "species": {"kernel": "published", "prior": None},
        "encoder": {"name": "cspnet", **encoder_sizes(source, others=9)},
        "loss_weights": {"lattice": 1.0, "frac_coords": 1.0, "species": 1.0},
        "centred": False,
    }
    sampling = {
        "steps": 1000,
        "start": 1.0,
        "corrections": {"frac_coords": data.generation_corrector},
    }
    return Converted("miad", config, tensors, sampling)
