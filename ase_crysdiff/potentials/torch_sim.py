"""Our potentials as models of torch-sim (optional; Python 3.12 or later): its integrators,
optimisers and batching run on them.

    from ase_crysdiff.potentials.torch_sim import as_torch_sim_model
    model = as_torch_sim_model("dao-p")
    torch_sim.optimize(atoms, model, ...)

Source: the contract of `torch_sim.models.interface.ModelInterface`. torch-sim keeps lattice vectors
as columns, as this module alone has to know; energies in eV, forces in eV/Å, stress in eV/Å³ with
tension positive are the same in both.
"""

from typing import TYPE_CHECKING, Any

import torch

from ase_crysdiff.errors import InputError, MissingExtraError
from ase_crysdiff.potentials.base import Configurations

if TYPE_CHECKING:
    from ase_crysdiff.potentials.loading import PotentialLike


def configurations_of(state: Any) -> Configurations:
    """What a potential reads of a state of torch-sim.

    Args:
        state: With `positions` (atoms, 3) in Å, `cell` (systems, 3, 3) with vectors as columns,
            `pbc` (one truth value, or three), `atomic_numbers` and `system_idx` (atoms,), the
            atoms of a system next to each other.

    Raises:
        InputError: If the systems of the atoms do not ascend.
    """
    index, cells = state.system_idx, state.cell
    if len(index) > 1 and bool((index.diff() < 0).any()):
        raise InputError(
            "The atoms of a system must stand next to each other, but system_idx does not ascend. "
            "Build the state with torch_sim.initialize_state."
        )
    periodic = torch.as_tensor(state.pbc, dtype=torch.bool, device=cells.device)
    return Configurations(
        state.positions,
        cells.transpose(-2, -1).contiguous(),
        periodic.expand(3).expand(len(cells), 3).contiguous(),
        state.atomic_numbers.long(),
        torch.bincount(index.long(), minlength=len(cells)),
    )


def as_torch_sim_model(potential: "PotentialLike", *, compute_stress: bool = True) -> Any:
    """A potential as a `torch_sim.models.interface.ModelInterface`.

    Args:
        potential: A registered name, a potential, or any ASE calculator.
        compute_stress: Whether the model returns stresses; systems that are not periodic along all
            axes have none, and get zeros.

    Raises:
        MissingExtraError: If torch-sim is not installed.
        UnknownNameError: If there is no potential of that name.
    """
    try:
        from torch_sim.models.interface import ModelInterface
    except ImportError as error:
        raise MissingExtraError(
            "torch-sim is needed, which asks for Python 3.12 or later: "
            "pip install torch-sim-atomistic"
        ) from error
    from ase_crysdiff.potentials.loading import as_potential

    inner = as_potential(potential)

    class TorchSimModel(ModelInterface):  # type: ignore[misc]
        """Energies, forces and stresses of one of our potentials for states of torch-sim."""

        def __init__(self) -> None:
            super().__init__()
            self._device, self._dtype = inner.device, inner.dtype
            self._compute_stress, self._compute_forces = compute_stress, True
            self._compute_force = True  # the name of older versions
            self.potential = inner

        def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
            return outputs(inner, state, compute_stress)

    return TorchSimModel()


def outputs(potential: Any, state: Any, compute_stress: bool = True) -> dict[str, torch.Tensor]:
    """What torch-sim expects of a model's `forward`.

    Args:
        potential: One of ours.
        state: Of torch-sim, with the fields that `configurations_of` names.
        compute_stress: Whether to return stresses.

    Returns:
        "energy" (systems,) in eV, "forces" (atoms, 3) in eV/Å and, if wanted, "stress" (systems, 3,
        3) in eV/Å³, in the dtype of the potential.

    Raises:
        InputError: If a system cannot be evaluated, or the potential has no answer for it.
    """
    found = potential.evaluate(configurations_of(state))
    if found.failures:
        system, reason = next(iter(found.failures.items()))
        raise InputError(f"{potential.name} has no answer for system {system}: {reason}")
    results = {"energy": found.energy, "forces": found.forces}
    if compute_stress:
        results["stress"] = torch.nan_to_num(found.stress, nan=0.0)
    return {name: value.to(potential.dtype) for name, value in results.items()}
