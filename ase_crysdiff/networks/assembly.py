"""Putting a denoiser together from the components it serves."""

from collections.abc import Callable, Mapping

from ase_crysdiff.crystal.properties import Property
from ase_crysdiff.networks.base import Denoiser, Encoder, Stem
from ase_crysdiff.networks.conditioning import condition
from ase_crysdiff.networks.heads import head_for
from ase_crysdiff.networks.stems import CrystalStem
from ase_crysdiff.processes.joint import JointProcess
from ase_crysdiff.representations.base import LatticeRepresentation


def denoiser_for(
    joint: JointProcess,
    make_encoder: Callable[[int], Encoder],
    make_stem: Callable[..., Stem] = CrystalStem,
    kind: Callable[..., Denoiser] = Denoiser,
    properties: Mapping[str, Property] | None = None,
) -> Denoiser:
    """A denoiser for the components of a joint process.

    Args:
        joint: The components; one of them must be the lattice.
        make_encoder: Builds the encoder for a number of invariants per crystal.
        make_stem: Builds the stem for a width and a lattice representation, with or without species
            to generate.
        kind: What is made of the parts.
        properties: What it can be told of the crystals, by name.

    Raises:
        InputError: If the encoder cannot be told properties.
    """
    lattice = joint.components["lattice"].representation
    assert isinstance(lattice, LatticeRepresentation)
    encoder = make_encoder(lattice.num_invariants)
    stem = make_stem(encoder.hidden, lattice, generates_species="species" in joint.components)
    heads = {
        name: head_for(c.representation, encoder.hidden) for name, c in joint.components.items()
    }
    centred = [name for name, c in joint.components.items() if c.centred]
    return condition(kind(stem, encoder, heads, centred), properties or {})
