"""The estimates of the network as what the processes ask for."""

from torch import nn

from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.geometry import rotations as turning
from ase_crysdiff.geometry.torus import wrap
from ase_crysdiff.networks.base import Context
from ase_crysdiff.networks.frameworks.assembler import Assembler, Estimates
from ase_crysdiff.processes.joint import NoisyState, Prediction
from ase_crysdiff.processes.rigid import RigidProcess
from ase_crysdiff.shapes import Float, Tensor


class RigidDenoiser(nn.Module):
    """Velocities of lattice, centres and rotations from the estimates of a network.

    Args:
        network: Estimates the clean crystal.
        joint: Its processes.
    """

    def __init__(self, network: Assembler, joint: RigidProcess) -> None:
        super().__init__()
        self.network, self.joint = network, joint

    def forward(
        self, state: NoisyState, t: Float[Tensor, " crystals"], context: Context, layout: Layout
    ) -> Prediction:
        """Predictions per component; one time per crystal, above 0."""
        found = clean_values(self.network(state, t, context, layout), state, self.joint, layout)
        prediction: dict[str, Tensor] = {}
        for name, c in self.joint.components.items():
            times = layout.broadcast(t, c.level)
            prediction[name] = c.process.from_clean(state[name], found[name], times)
        return prediction


def clean_values(
    found: Estimates, state: NoisyState, joint: RigidProcess, layout: Layout
) -> dict[str, Tensor]:
    """Estimates as clean values of the components, by name."""
    lattice = joint.components["lattice"].representation
    inverse = lattice.decode(state["lattice"]).inverse()[layout.index("body")]
    shift = (found.shifts.unsqueeze(-1) * inverse).sum(-2)
    return {
        "lattice": found.lattice,
        "centres": wrap(state["centres"] + shift),
        "rotations": turning.from_matrix(found.rotations),
    }
