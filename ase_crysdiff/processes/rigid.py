"""The joint process of frameworks: a lattice, and the centres and rotations of rigid blocks."""

from collections.abc import Mapping

from ase_crysdiff.crystal.batch import CrystalBatch, Layout, Level
from ase_crysdiff.frameworks.batch import Blocks
from ase_crysdiff.processes.flow import Flow, LinearFlow, TorusFlow
from ase_crysdiff.processes.joint import Component, JointProcess, NoisyState
from ase_crysdiff.processes.rotation_flow import RotationFlow
from ase_crysdiff.representations.base import LatticeRepresentation
from ase_crysdiff.representations.bodies import BodyCentres, BodyRotations
from ase_crysdiff.shapes import Tensor


class RigidProcess(JointProcess):
    """Flows of the lattice, of the centres on the torus and of the rotations.

    Args:
        lattice: How the lattice is written.
        loss_weights: Of the components, by name.

    Source: Kim et al. 2025 (MOFFlow), section 4, with centres on the torus in place of space.
    """

    def __init__(
        self, lattice: LatticeRepresentation, loss_weights: Mapping[str, float] | None = None
    ) -> None:
        weights = dict(loss_weights or {})
        super().__init__(
            Component("lattice", lattice, LinearFlow(lattice.width), weights.get("lattice", 1.0)),
            Component("centres", BodyCentres(), TorusFlow(), weights.get("centres", 1.0), True),
            Component("rotations", BodyRotations(), RotationFlow(), weights.get("rotations", 1.0)),
        )

    @property
    def flows(self) -> dict[str, tuple[Flow, Level]]:
        """The flow of each component, and what its rows belong to."""
        found = {}
        for name, c in self.components.items():
            assert isinstance(c.process, Flow)
            found[name] = (c.process, c.level)
        return found

    def decode(
        self, state: NoisyState, layout: Layout, given: Mapping[str, Tensor]
    ) -> CrystalBatch:
        """The crystals that the blocks among what is given make at the places of a state."""
        parts = [c.representation.decode(state[name]) for name, c in self.components.items()]
        return Blocks.of_context(given).placed(*parts)
