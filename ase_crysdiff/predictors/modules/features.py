"""What a module makes of crystals, as rows of numbers for regressions."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.geometry.segments import segment_index
from ase_crysdiff.models import weights as weight_files
from ase_crysdiff.networks.encoders.crysformer.modular import Bottleneck, ModularCrysformer
from ase_crysdiff.networks.registry import make_backbone
from ase_crysdiff.predictors.modules.hub import ENCODER, STANDARD, trunk_of
from ase_crysdiff.shapes import Float, Int, Tensor
from ase_crysdiff.training.described_crystals import described


@lru_cache(maxsize=2)
def trunk(name: str, sha256: str | None = None) -> tuple[ModularCrysformer, frozenset[int]]:
    """The frozen encoder of modules, which standardises nothing and adds nothing, and the elements
    that it knows.

    Args:
        name: Of the potential.
        sha256: Digest that its weights must have; None takes those there are.

    Raises:
        IncompatibleError: If the weights that are found have another digest.
    """
    base = {"name": name} if sha256 is None else {"name": name, "sha256": sha256}
    config, elements, tensors = trunk_of(base)
    network = make_backbone({**config, "width": 1})
    assert isinstance(network, ModularCrysformer)
    blank = {n: p for n, p in network.named_parameters() if n not in tensors}
    weight_files.fill(network, {**blank, **tensors}, Path(name) / weight_files.WEIGHTS)
    return network.eval().requires_grad_(False), elements


@torch.no_grad()
def module_features(
    tensors: Mapping[str, Tensor],
    atoms: Float[Tensor, "atoms features"],
    counts: Int[Tensor, " crystals"],
) -> Float[Tensor, "crystals features"]:
    """Features of crystals by a module: means over their atoms.

    Args:
        tensors: Of the module, with those that standardise.
        atoms: What the `trunk` says of all atoms, in order.
        counts: Atoms of every crystal.
    """
    width, inputs = tensors["down.weight"].shape
    bottleneck = Bottleneck(inputs, width)
    bottleneck.load_state_dict({n: t for n, t in tensors.items() if n not in STANDARD})
    nodes = bottleneck((atoms - tensors["shift"]) / tensors["scale"])
    owner = segment_index(counts)
    sums = atoms.new_zeros(len(counts), inputs).index_add(0, owner, nodes)
    return sums / counts.unsqueeze(-1)


def rows(tensors: Mapping[str, Tensor], crystals: CrystalBatch) -> NDArray[np.float64]:
    """Features of crystals by a module beside the shipped encoder; NaN for those with elements that
    it does not know.

    Args:
        tensors: Of the module, with those that standardise.
        crystals: In their reduced cells.
    """
    network, elements = trunk(ENCODER)
    strange = ~torch.isin(crystals.species, torch.tensor(sorted(elements)))
    owner = segment_index(crystals.num_atoms)
    known = torch.nonzero(torch.bincount(owner, strange.double(), len(crystals)) == 0).flatten()
    found = np.full((len(crystals), len(tensors["shift"])), np.nan)
    if len(known):
        chosen = crystals.select(known)
        atoms = described(network, chosen)
        found[known.numpy()] = module_features(tensors, atoms, chosen.num_atoms).double().numpy()
    return found
