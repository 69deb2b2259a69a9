"""`MoleculeSampler`: the way from a name to molecules."""

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ase_crysdiff import arguments, registry
from ase_crysdiff.errors import InputError
from ase_crysdiff.foreign_state import own_state
from pymatgen_ext.named_sampler import NamedSampler, how_drawn

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ase import Atoms
    from pymatgen.core import Molecule

    from ase_crysdiff.conditions.named import Conditions
    from ase_crysdiff.isolation import Workers
    from ase_crysdiff.sampling.molecules.molecule_set import MoleculeSet
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.sampling.tasks.base import Task
    from pymatgen_ext.parsing import Formula, WishLike


#: Molecules computed together on a CPU and on a GPU.
_BATCH_SIZES = (512, 4096)


def available_molecule_samplers() -> list[str]:
    """Names that `MoleculeSampler` takes, from this and all other installed packages."""
    return registry.names(registry.MOLECULE_SAMPLERS)


class MoleculeSampler(NamedSampler):
    """Draws molecules from a generative model.

    Holds names and numbers only, so that it can be stored in workflows; weights are loaded at first
    use.

    Args:
        name: One of `available_molecule_samplers()`.
        weights: Folder with other weights for the model; None takes the shipped ones.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Raises:
        UnknownNameError: If no sampler of molecules has this name.
    """

    group: ClassVar[str] = registry.MOLECULE_SAMPLERS

    @own_state()
    def sample(
        self,
        num_samples: int = 1,
        *,
        composition: "Formula | None" = None,
        num_atoms: int | None = None,
        elements: str | Iterable[str] | None = None,
        chemical_system: str | Iterable[str] | None = None,
        properties: "Mapping[str, WishLike] | None" = None,
        guidance_weight: float = 1.0,
        conditions: "Conditions" = (),
        steps: int | None = None,
        batch_size: int | None = None,
        workers: "Workers" = 0,
        executor: "Executor | None" = None,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> "MoleculeSet":
        """Draws molecules.

        The same seed and version give the same molecules on the same type of machine, whatever the
        batch size and the number of workers.

        Args:
            num_samples: How many.
            composition: The formula of each molecule, such as "C7H10O2"; one of a size that
                training has hardly shown is warned of. None draws formulas as they occur in
                training.
            num_atoms: Atoms of each molecule, hydrogens among them.
            elements: Only these may occur, such as "C-H-O".
            chemical_system: Exactly these elements, each present.
            properties: What is wished of properties, by name, such as `{"gap": 6.0}`: a number, or
                a window of two, in the unit of the card. A number beyond the training's is warned
                of.
            guidance_weight: How much these count: 1 draws from the model's conditional probability.
            conditions: One or several further conditions on the sampling loop, such as
                `EnergyGuidance` with an ASE calculator.
            steps: Steps of the reverse process; None takes the sampler's default.
            batch_size: Molecules computed together; changes speed and memory only.
            workers: Isolated processes that compute batches; 0 computes in this one.
            executor: Any executor of `concurrent.futures`, whose workers compute batches instead.
            seed: 0 to 2^63 - 1; None draws one, which the report records.
            redraws: How often a draw with atoms on each other is repeated before its index is given
                up and reported.
            progress: Whether to show a progress bar; None shows one on a terminal.

        Returns:
            The molecules by index, their centres at the origin.

        Raises:
            IncompatibleError: If this sampler cannot serve the request.
            InputError: If an argument makes no sense: a formula with a charge or an odd number of
                electrons, elements that the model does not know, more atoms than it holds.
        """
        request = self.request(
            composition=composition,
            num_atoms=num_atoms,
            elements=elements,
            chemical_system=chemical_system,
            properties=properties,
            guidance_weight=guidance_weight,
            conditions=conditions,
            steps=steps,
        )
        how = how_drawn(batch_size, workers, executor, seed, redraws, progress)
        return self._collected(num_samples, request, how)

    @own_state()
    def complete(
        self,
        fragment: "Molecule | Atoms",
        add: "Formula",
        *,
        num_samples: int = 1,
        conditions: "Conditions" = (),
        steps: int | None = None,
        batch_size: int | None = None,
        workers: "Workers" = 0,
        executor: "Executor | None" = None,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> "MoleculeSet":
        """Builds molecules around a fragment whose atoms stay where they are.

        All keywords that are not listed here are those of `sample`.

        Args:
            fragment: Atoms to keep, with open bonds where something shall grow: phenyl is C6H5.
            add: Atoms beside them, such as "C2H5"; fragment and these together have an even number
                of electrons.
            num_samples: How many molecules.

        Returns:
            Molecules whose first atoms are those of the fragment, in its frame; site property
            `crysdiff_role` is "host" or "guest".

        Raises:
            InputError: If the fragment is charged, periodic or has hydrogens on no heavy atom, or
                the whole is no molecule that the sampler knows.
        """
        request = self._completion(fragment, add, conditions, steps)
        how = how_drawn(batch_size, workers, executor, seed, redraws, progress)
        return self._collected(num_samples, request, how)

    def request(
        self,
        *,
        composition: "Formula | None" = None,
        num_atoms: int | None = None,
        elements: str | Iterable[str] | None = None,
        chemical_system: str | Iterable[str] | None = None,
        properties: "Mapping[str, WishLike] | None" = None,
        guidance_weight: float = 1.0,
        conditions: "Conditions" = (),
        steps: int | None = None,
    ) -> "SampleRequest":
        """What `sample` asks for, parsed and checked; the arguments are its own.

        Raises:
            IncompatibleError: If this sampler cannot serve the request.
            InputError: If an argument makes no sense.
        """
        from ase_crysdiff.conditions.named import conditions_of
        from ase_crysdiff.sampling.request import SampleRequest
        from pymatgen_ext import parsing

        request = SampleRequest(
            _task(composition, num_atoms, elements, chemical_system),
            properties=parsing.properties(properties),
            guidance_weight=guidance_weight,
            conditions=conditions_of(conditions),
            steps=steps,
        )
        self.check(request)
        for sentence in self.sampler.doubts(request):
            warnings.warn(sentence, stacklevel=3)
        return request

    def check(self, request: "SampleRequest") -> None:
        """Refuses what this sampler cannot serve.

        Raises:
            IncompatibleError: If the request is sound but not for this sampler.
            InputError: If a number or an element is outside what the sampler knows.
        """
        self.sampler.check(request)

    def collect(  # type: ignore[override]  # a set of other things
        self, request: "SampleRequest", indices: Iterable[int], **how: Any
    ) -> "MoleculeSet":
        """Draws the molecules with the given indices of a run; `sample` draws 0 to n - 1.

        Args:
            request: What is asked for, parsed.
            indices: Which molecules of the run.
            how: Keywords of `pymatgen_ext.collecting.gathered`: `seed`, `redraws`, `batch_size`,
                `workers`, `executor`, `progress`, `on_draws`.
        """
        from ase_crysdiff.crystal.molecules import to_molecules
        from ase_crysdiff.sampling.molecules.molecule_set import MoleculeReport, MoleculeSet
        from pymatgen_ext.collecting import gathered

        how["batch_size"] = how.get("batch_size") or _BATCH_SIZES[self.spec.device != "cpu"]
        found, facts = gathered(
            self.spec,
            self.sampler,
            request,
            indices,
            lambda drawn, properties: to_molecules(drawn.crystal, [properties])[0],
            **how,
        )
        return MoleculeSet(_with_roles(found, request), MoleculeReport(**facts))

    def _collected(
        self, num_samples: int, request: "SampleRequest", how: Mapping[str, Any]
    ) -> "MoleculeSet":
        count = arguments.positive("num_samples", num_samples)
        return self.collect(request, range(count), **how)

    def _completion(
        self, fragment: "Molecule | Atoms", add: "Formula", conditions: "Conditions", steps: Any
    ) -> "SampleRequest":
        from ase_crysdiff.conditions.named import conditions_of
        from ase_crysdiff.crystal.molecules import LONGEST, atoms_of_molecule, group_order
        from ase_crysdiff.sampling.molecules.tasks import Completion
        from ase_crysdiff.sampling.request import SampleRequest
        from pymatgen_ext import parsing

        species, positions = atoms_of_molecule(fragment)
        order = group_order(species, positions)
        if order is None:
            raise InputError(
                "The fragment needs heavy atoms, and each of its hydrogens one of them within "
                f"{LONGEST} Å."
            )
        places = tuple((float(x), float(y), float(z)) for x, y, z in positions[order])
        task = Completion(
            tuple(map(int, species[order])), places, tuple(sorted(parsing.composition(add)))
        )
        request = SampleRequest(task, conditions=conditions_of(conditions), steps=steps)
        self.check(request)
        return request


def _task(
    composition: "Formula | None",
    num_atoms: int | None,
    elements: str | Iterable[str] | None,
    chemical_system: str | Iterable[str] | None,
) -> "Task":
    """What is asked for.

    Raises:
        InputError: If it cannot be read, or a composition contradicts something else.
    """
    from ase_crysdiff.sampling.molecules.tasks import MoleculeOf, NewMolecule
    from pymatgen_ext import parsing
    from pymatgen_ext.requests import element_constraints

    constraints = element_constraints(chemical_system, elements, num_atoms)
    if composition is None:
        return NewMolecule(**constraints)
    formula = tuple(sorted(parsing.composition(composition)))
    count, own = sum(n for _, n in formula), {z for z, _ in formula}
    if num_atoms is not None and num_atoms != count:
        raise InputError(
            f"num_atoms={num_atoms} contradicts the {count} atoms of {composition}. Give one."
        )
    system, allowed = constraints["chemical_system"], constraints["elements"]
    if (system is not None and own != system) or (allowed is not None and not own <= allowed):
        raise InputError(
            f"{composition} contradicts the elements that are asked for. Give the composition "
            "alone."
        )
    return MoleculeOf((formula,))


def _with_roles(molecules: "list[Molecule]", request: "SampleRequest") -> "list[Molecule]":
    """Completed fragments, whose sites say which were given."""
    from ase_crysdiff.crystal.convert import ROLE
    from ase_crysdiff.sampling.molecules.tasks import Completion

    if isinstance(request.task, Completion):
        given = len(request.task.species)
        for molecule in molecules:
            roles = ["host"] * given + ["guest"] * (len(molecule) - given)
            molecule.add_site_property(ROLE, roles)
    return molecules
