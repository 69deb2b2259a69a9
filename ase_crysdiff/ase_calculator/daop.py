"""The potential dao-p for `atoms.calc`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from ase_crysdiff.ase_calculator.potential_calculator import PotentialCalculator
from ase_crysdiff.devices import resolve
from ase_crysdiff.errors import InputError

if TYPE_CHECKING:
    from ase_crysdiff.potentials.base import Potential

_DTYPES = ("float32", "float64")


class DAOPCalculator(PotentialCalculator):
    """The shipped potential dao-p as an ASE calculator; it works offline.

    dao-p is a Crysformer after DAO (GLAD-RUC 2026) with edges to all periodic images within a
    cutoff, which makes it extensive, and learnt from energies, forces and stresses of SevenNet-l3i5
    (Park et al. 2024; Kim et al. 2024) and CHGNet (Deng et al. 2023). Cite all three.

    Args:
        model: Name of a potential, or the folder of its weights.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU where there is one.
        dtype: "float32", or "float64" for finite differences, phonons and tight convergence.
        atoms: Atoms that the calculator is attached to.
        directory: Unused; kept for ASE.
        stress_weight: Ignored; pymatgen passes it to every calculator class. The stress is always
            in eV/Å³.

    Raises:
        InputError: If the device or the dtype is unknown.
        UnknownNameError: If there is no such model.
    """

    name = "daop"
    default_parameters = {"model": "dao-p", "device": "auto", "dtype": "float32"}  # noqa: RUF012

    def __init__(
        self,
        model: str | Path = "dao-p",
        device: str = "auto",
        dtype: str = "float32",
        *,
        atoms: Atoms | None = None,
        directory: str = ".",
        stress_weight: float | None = None,
    ) -> None:
        self._potential: Potential | None = None
        # The parameters are plain text: trajectories and databases store them.
        super(PotentialCalculator, self).__init__(
            atoms=atoms,
            directory=directory,
            model=str(model),
            device=str(device),
            dtype=str(dtype).removeprefix("torch."),
        )
        self._potential = self._load()
        self._offer(self._potential)

    @property
    def potential(self) -> "Potential":
        """The potential, loaded again by name in another process or after a change of
        parameters.
        """
        if self._potential is None:
            self._potential = self._load()
            self._offer(self._potential)
        return self._potential

    def set(self, **changes: Any) -> dict[str, Any]:
        """Changes parameters; results are dropped, and the weights are loaded again at the next
        calculation.

        Raises:
            InputError: If a parameter is unknown.
        """
        unknown = sorted(set(changes) - set(self.default_parameters))
        if unknown:
            raise InputError(
                f"DAOPCalculator has no parameters {unknown}; it has "
                f"{sorted(self.default_parameters)}."
            )
        changed: dict[str, Any] = super(PotentialCalculator, self).set(**changes)
        if changed:
            self._potential = None
        return changed

    def __getstate__(self) -> dict[str, Any]:
        """Without weights: they are found again by name."""
        return self.__dict__ | {"_potential": None}

    def _load(self) -> "Potential":
        import torch

        from ase_crysdiff.potentials.loading import load_potential

        model, device, dtype = (self.parameters[key] for key in ("model", "device", "dtype"))
        if dtype not in _DTYPES:
            raise InputError(f"dtype is one of {_DTYPES}, not {dtype!r}.")
        device = resolve(device)
        if Path(model).is_dir():
            return load_potential(
                "dao-p", weights=model, device=device, dtype=getattr(torch, dtype)
            )
        return load_potential(model, device=device, dtype=getattr(torch, dtype))
