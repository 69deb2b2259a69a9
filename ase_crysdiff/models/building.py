"""From a config to a generative model: state space, processes and network."""

from ase_crysdiff.crystal.properties import declared
from ase_crysdiff.models.card import Config
from ase_crysdiff.models.generative import GenerativeModel
from ase_crysdiff.models.parts import (
    SPACES,
    coordinate_component,
    lattice_component,
    make_encoder,
    make_stem,
    part,
    processes,
    species_component,
)
from ase_crysdiff.networks.assembly import denoiser_for
from ase_crysdiff.processes.joint import JointProcess


def build_model(config: Config) -> GenerativeModel:
    """Lattice, coordinates and, where the config names a process for them, species; with a
    network that serves them and can be told the declared properties.

    Args:
        config: With the entries that `models.parts` reads.

    Raises:
        InputError: If a part is not known, or the encoder cannot be told properties.
    """
    components = [lattice_component(config), coordinate_component(config)]
    if "species" in processes(config):
        components.append(species_component(config))
    joint = JointProcess(*components)
    space = part(SPACES, config["state_space"], "state space")
    told = declared(config.get("properties"))
    parts = make_encoder(config), make_stem(config)
    return GenerativeModel(space, joint, denoiser_for(joint, *parts, properties=told), config)
