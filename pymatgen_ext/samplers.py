"""`StructureSampler`: the way from a name to structures."""

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ase_crysdiff import arguments
from ase_crysdiff.errors import IncompatibleError
from ase_crysdiff.foreign_state import own_state
from pymatgen_ext.named_sampler import how_drawn
from pymatgen_ext.teachable import TeachableSampler

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ase import Atoms
    from numpy.typing import ArrayLike
    from pymatgen.core import Lattice, Structure

    from ase_crysdiff.conditions.named import Conditions
    from ase_crysdiff.isolation import Workers
    from ase_crysdiff.potentials.loading import PotentialLike
    from ase_crysdiff.sampling.request import SampleRequest
    from ase_crysdiff.sampling.sample_set import SampleSet
    from pymatgen_ext.blocks import BlocksLike
    from pymatgen_ext.cells import CellTransform
    from pymatgen_ext.inpainting import GuestCounts
    from pymatgen_ext.masks import Mask
    from pymatgen_ext.parsing import Formula, PrototypeLike, WishLike
    from pymatgen_ext.selection import Refinement


class StructureSampler(TeachableSampler):
    """Draws crystal structures from a generative model.

    Holds names and numbers only, so that it can be stored in workflows; weights are loaded at first
    use.

    Args:
        name: One of `available_samplers()`; by default "default", which leaves each request to the
            sampler that has done best at it and names it in the report.
        weights: Folder with other weights for the model; None takes the shipped ones.
        device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Raises:
        UnknownNameError: If no sampler has this name.
    """

    @own_state()
    def sample(
        self,
        num_samples: int = 1,
        *,
        composition: "Formula | None" = None,
        formula_units: int | Iterable[int] | str = "auto",
        chemical_system: str | Iterable[str] | None = None,
        elements: str | Iterable[str] | None = None,
        num_atoms: int | None = None,
        lattice: "Lattice | ArrayLike | None" = None,
        space_group: int | str | None = None,
        prototype: "PrototypeLike" = None,
        known: bool | None = None,
        properties: "Mapping[str, WishLike] | None" = None,
        guidance_weight: float = 1.0,
        charge_balance: bool = False,
        building_blocks: "BlocksLike | None" = None,
        conditions: "Conditions" = (),
        potential: "PotentialLike | None" = None,
        relax: bool | str = False,
        rank_prior: float | None = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        workers: "Workers" = 0,
        executor: "Executor | None" = None,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> "SampleSet":
        """Draws structures.

        The same seed and version give the same structures on the same type of machine, whatever the
        batch size and the number of workers.

        Args:
            num_samples: How many.
            composition: One formula unit exactly as written, for samplers that predict structures.
            formula_units: Formula units per cell: a number, several to choose from, or "auto": as
                many as a given lattice has room for, else as training crystals have.
            chemical_system: Exactly these elements, each present, such as "Li-Mn-O".
            elements: Only these elements may occur.
            num_atoms: Atoms per cell.
            lattice: A cell that is given and kept: a Lattice, 3 × 3 numbers in Å, or a b c alpha
                beta gamma, in Å and degrees. With a centred space group it is the primitive or the
                conventional cell; formula units and atoms are those of the given one.
            space_group: Number or short symbol; each structure has this space group, or a
                supergroup, at 1e-3 Å.
            prototype: Occupied Wyckoff positions: those of a structure, a `Scaffold`, or a text
                such as "Fm-3m a|b|c" (letters of each element) or "P4_2/mnm: Ti a, O f". False
                leaves out symmetry that a sampler would choose by itself.
            known: Whether crystals that the sampler's library holds may be answers: with False
                known structures of the composition are left out, with True new crystals may have
                known formulas. None is True for a composition and False without one.
            properties: What is wished of properties, by name: a number, a window of two, a name or
                elements, such as `{"band_gap": (1.5, 2.5), "crystal_system": "cubic"}`. A sampler
                that is conditioned on it, by its card, draws for it; else a shipped predictor
                (band_gap, formation_energy, energy_above_hull, bulk_modulus, shear_modulus)
                chooses among candidates, and the report says so.
            guidance_weight: How much these count: 1 draws from the model's conditional probability,
                0 ignores them, more overstates them.
            charge_balance: Keep only structures whose charge balances by oxidation states that
                pymatgen knows, for samplers that find formulas themselves; others are drawn again,
                up to `redraws` times. Alloys have none that do.
            building_blocks: Rigid blocks that each cell holds all of, for samplers that assemble
                frameworks: pymatgen molecules, each as often as it occurs, or a framework whose
                own blocks are taken, see `building_blocks`.
            conditions: One or several further conditions on the sampling loop: an object such as
                `EnergyGuidance`, a registered name, or a mapping with a name and its settings.
            potential: Name of a potential, a potential or an ASE calculator that ranks the
                structures by energy per atom (`crysdiff_energy_per_atom`); what it refuses comes
                last.
            relax: Whether the potential relaxes structures before it ranks them. True keeps their
                symmetry, then moves the atoms of those near the top by 0.03 Å and relaxes without
                it, so that saddles fall (`crysdiff_fallen_from`); "symmetric" keeps it for good,
                "free" never. What does not come to a sound end stays as drawn, and the report
                says why.
            rank_prior: Weight τ of what the sampler itself says of its candidates, ordered by
                energy per atom + τ p (`crysdiff_score`, eV/atom), p being `-crysdiff_log_votes` or
                log(1 + `crysdiff_rank`). None takes the potential's τ; 0 ranks by energy alone,
                which is worse than the sampler's order.
            distinct: Whether to keep only the best-ranked (else the first) of structures that are
                the same: the "unique" of S.U.N.
            symprec: Tolerance in Å within which structures are symmetrised, before they are ranked;
                None leaves them alone.
            steps: Steps of the reverse process; None takes the sampler's default.
            batch_size: Crystals computed together; changes speed and memory only.
            workers: Isolated processes that compute batches; 0 computes in this one.
            executor: Any of `concurrent.futures`, such as a Dask client's, computes them instead.
            seed: 0 to 2^63 - 1; None draws one, which the report records.
            redraws: How often an unusable crystal is drawn again before its index is given up and
                reported.
            progress: Whether to show a progress bar; None shows one on a terminal.

        Returns:
            The structures by index, or by rank. Indices that failed for good are missing here and
            named in `.report.failed`.

        Raises:
            IncompatibleError: If this sampler cannot serve the request; the message names those
                that can.
            InputError: If an argument makes no sense.
            WorkerError: If processes cannot be started, or the executor is broken.

        Warns:
            UserWarning: If a wished number lies outside of what the model has seen.
        """
        from ase_crysdiff.predictors.guides import said_of_guides
        from pymatgen_ext.parsing import isotope_note
        from pymatgen_ext.selection import Refinement

        request, cell = self.request(
            composition,
            formula_units,
            chemical_system,
            elements,
            num_atoms,
            lattice,
            space_group,
            prototype,
            known,
            properties,
            guidance_weight,
            conditions,
            steps,
            charge_balance,
            building_blocks,
        )
        fixed_cell = cell is not None
        refine = Refinement.of(potential, distinct, symprec, fixed_cell, relax, rank_prior)
        how = how_drawn(batch_size, workers, executor, seed, redraws, progress)
        notes = isotope_note(composition, chemical_system, elements)
        notes += said_of_guides(request, self.sampler)
        return self._refined(num_samples, request, cell, refine, how, notes)

    @own_state()
    def vary(
        self,
        structure: "Structure | Atoms",
        *,
        strength: float = 0.3,
        num_samples: int = 1,
        keep_symmetry: bool = False,
        chemical_system: str | Iterable[str] | None = None,
        elements: str | Iterable[str] | None = None,
        num_atoms: int | None = None,
        conditions: "Conditions" = (),
        potential: "PotentialLike | None" = None,
        relax: bool | str = False,
        rank_prior: float | None = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        workers: "Workers" = 0,
        executor: "Executor | None" = None,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> "SampleSet":
        """Draws neighbours of a structure: noises it part of the way and takes the noise away.

        Samplers that predict structures keep its composition and its sites' order; `miad` may
        change species and number of atoms. Cells come back in the setting and orientation of the
        given one. All keywords that are not listed here are those of `sample`.

        Args:
            structure: The seed, ordered and periodic, a structure or ASE atoms.
            strength: Time to which it is noised: near 0 gives the structure back, 1 forgets it.
            num_samples: How many.
            keep_symmetry: Whether the seed is refined within 0.1 Å and every variation keeps its
                space group: the numbers that the group leaves free are noised alone.
            steps: Steps from `strength` to the end; None takes that share of the sampler's default.

        Raises:
            IncompatibleError: If this sampler cannot serve the request, with its limits.
            InputError: If an argument makes no sense.
        """
        from pymatgen_ext.selection import Refinement
        from pymatgen_ext.variation import prepare

        request, cell = prepare(
            self.check,
            structure,
            strength,
            chemical_system=chemical_system,
            elements=elements,
            num_atoms=num_atoms,
            keep_symmetry=keep_symmetry,
            conditions=conditions,
            steps=steps,
        )
        refine = Refinement.of(potential, distinct, symprec, False, relax, rank_prior)
        how = how_drawn(batch_size, workers, executor, seed, redraws, progress)
        return self._refined(num_samples, request, cell, refine, how)

    @own_state()
    def inpaint(
        self,
        host: "Structure | Atoms",
        guests: "GuestCounts | None" = None,
        *,
        num_samples: int = 1,
        mask: "Mask | None" = None,
        relax_cell: bool = False,
        charge_balance: bool = False,
        keep_symmetry: bool = False,
        jump_length: int = 10,
        repeats: int = 1,
        conditions: "Conditions" = (),
        potential: "PotentialLike | None" = None,
        relax: bool | str = False,
        rank_prior: float | None = None,
        distinct: bool = False,
        symprec: float | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        workers: "Workers" = 0,
        executor: "Executor | None" = None,
        seed: int | None = None,
        redraws: int = 3,
        progress: bool | None = None,
    ) -> "SampleSet":
        """Places guests in a host whose atoms stay where they are.

        All keywords that are not listed here are those of `sample`.

        Args:
            host: The known part of the crystal, periodic, a structure or ASE atoms; its cell is
                kept.
            guests: Atoms to place: `{"Li": 3}`, or `{"Li": (0, 6)}` where the sampler decides how
                many there are. None for those that `mask` takes out, or for those on the shared
                sites of a disordered host, as `from_disordered` counts them.
            num_samples: How many structures.
            mask: Sites of `host` that are taken out first: element symbols, site indices, one bool
                per site, or `{"centre": fractional coordinates, "radius": Å}`.
            relax_cell: Whether the cell is let go towards the end; host atoms keep their fractional
                coordinates.
            charge_balance: Keep only structures whose charge balances by oxidation states that
                pymatgen guesses.
            keep_symmetry: Whether guests go to Wyckoff positions of the space group that the host
                has within 0.1 Å, or of a subgroup, on which the sampler finds their free
                coordinates. Likely sets of positions come more often: few sites, few free
                coordinates, little symmetry lost, much room.
            jump_length: Levels that a resampling jump goes back up.
            relax: As for `sample`; moves atoms of the host, too, and the cell only with
                `relax_cell`.
            repeats: Passes through each stretch of the plan (RePaint); 1 makes no jumps, each
                further one costs a plan.
            symprec: Tolerance in Å within which structures are symmetrised; it moves atoms of the
                host, too, and the cell only with `relax_cell`.

        Returns:
            Structures with the host's sites first, in the host's order, with their oxidation
            states, labels and properties; site property `crysdiff_role` is "host" or "guest".

        Raises:
            IncompatibleError: If this sampler cannot serve the request, with its limits.
            InputError: If an argument makes no sense, or there is no room for the guests.
        """
        from pymatgen_ext.inpainting import prepare
        from pymatgen_ext.selection import Refinement

        filling = prepare(
            self.check,
            host,
            guests,
            mask=mask,
            relax_cell=relax_cell,
            charge_balance=charge_balance,
            keep_symmetry=keep_symmetry,
            jump_length=jump_length,
            repeats=repeats,
            conditions=conditions,
            steps=steps,
        )
        refine = Refinement.of(potential, distinct, symprec, not relax_cell, relax, rank_prior)
        how = how_drawn(batch_size, workers, executor, seed, redraws, progress)
        return self._refined(num_samples, filling.request, filling.cell, refine, how, filling.notes)

    def request(
        self,
        composition: "Formula | None" = None,
        formula_units: int | Iterable[int] | str = "auto",
        chemical_system: str | Iterable[str] | None = None,
        elements: str | Iterable[str] | None = None,
        num_atoms: int | None = None,
        lattice: "Lattice | ArrayLike | None" = None,
        space_group: int | str | None = None,
        prototype: "PrototypeLike" = None,
        known: bool | None = None,
        properties: "Mapping[str, WishLike] | None" = None,
        guidance_weight: float = 1.0,
        conditions: "Conditions" = (),
        steps: int | None = None,
        charge_balance: bool = False,
        building_blocks: "BlocksLike | None" = None,
    ) -> "tuple[SampleRequest, CellTransform | None]":
        """The keywords of `sample`, parsed and checked against each other and the sampler."""
        from ase_crysdiff.predictors.guides import guided
        from pymatgen_ext.requests import sample_request

        constraints = {"chemical_system": chemical_system, "elements": elements}
        request, cell = sample_request(
            **constraints,
            composition=composition,
            formula_units=formula_units,
            num_atoms=num_atoms,
            lattice=lattice,
            space_group=space_group,
            prototype=prototype,
            known=known,
            properties=properties,
            guidance_weight=guidance_weight,
            charge_balance=charge_balance,
            building_blocks=building_blocks,
            conditions=conditions,
            steps=steps,
        )
        request = guided(request, self.sampler)
        self.check(request)
        for sentence in self.sampler.doubts(request):
            warnings.warn(sentence, stacklevel=3)
        given = [name for name, value in constraints.items() if value is not None]
        given += ["charge_balance"] * charge_balance
        if composition is not None and given:
            raise IncompatibleError(
                f"{self.name!r} takes a composition, which leaves nothing for "
                f"{' and '.join(given)} to decide."
            )
        return request, cell

    def _refined(
        self,
        num_samples: int,
        request: "SampleRequest",
        cell: "CellTransform | None",
        refine: "Refinement",
        how: Mapping[str, Any],
        notes: tuple[str, ...] = (),
    ) -> "SampleSet":
        """Draws crystals 0 to n - 1 and refines the set."""
        from dataclasses import replace

        count = arguments.positive("num_samples", num_samples)
        samples = self.collect(request, range(count), cell=cell, **how)
        samples.report = replace(samples.report, notes=(*samples.report.notes, *notes))
        return refine(samples)
