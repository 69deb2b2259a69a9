"""Potentials side by side: energies, forces, relaxations, solids, elasticity, dynamics, speed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_crysdiff.campaigns.benchmark.base import Benchmark, BenchmarkResult


@dataclass(frozen=True, kw_only=True)
class PotentialOptions:
    """Options of `potential`.

    Args:
        potentials: names of potentials, such as dao-p chgnet; NAME=FOLDER takes other weights
        only: sections to measure, among formation forces relaxation polymorphs phonons solids
            surfaces vacancies dissociation elasticity heat-capacity equilibrium dynamics
            consistency speed; default all that have their input
        reference: potential that forces, candidates, phonons, surfaces, vacancies and speed are
            compared with
        structures: CSV with the columns cif and formation_energy_per_atom (eV/atom)
        limit: use the first so many structures only
        rattled: structures, evenly spread, that are rattled, and strained
        relaxed: structures, evenly spread, that are relaxed twice
        compositions: compositions, evenly spread, whose first candidates are relaxed
        phonons: small symmetric structures, evenly spread, whose phonons are computed
        elasticity: file of MatCalc-Bench with elastic moduli
        heat_capacity: file of MatCalc-Bench with heat capacities
        equilibrium: file of MatCalc-Bench with relaxed crystals
        count: crystals of each of these three, drawn at random; default all
        amplitude: standard deviation of each coordinate, Å
        strain: standard deviation of the strain's entries
        picoseconds: of molecular dynamics, for each solid
        sizes: atoms of the cells whose time is taken
        seed: of displacements, strains, velocities and choices
        keep: folder that keeps the values of every item, so that more can follow
        output: JSON file of the result; the table lies beside it in Markdown
    """

    potentials: tuple[str, ...]
    only: tuple[str, ...] = ()
    reference: str = "chgnet"
    structures: Path | None = None
    limit: int | None = None
    rattled: int = 200
    relaxed: int = 200
    compositions: int = 100
    phonons: int = 20
    elasticity: Path | None = None
    heat_capacity: Path | None = None
    equilibrium: Path | None = None
    count: int | None = None
    amplitude: float = 0.1
    strain: float = 0.03
    picoseconds: float = 1.0
    sizes: tuple[int, ...] = (8, 64, 512)
    seed: int = 0
    keep: Path | None = None
    output: Path = Path("potential.json")


def potential(
    options: PotentialOptions,
    *,
    calculator: Callable[[Any], Any],
    others: Mapping[str, Any] | None = None,
) -> BenchmarkResult:
    """Figures of potentials side by side: errors against data, against a reference potential and
    against what is known of solids, faults, drift of the energy, time and memory.

    Args:
        options: What is asked for.
        calculator: Makes an ASE calculator of a potential: `calculators.PotentialCalculator`.
        others: Further potentials or ASE calculators by the name of their column, which stands for
            the same in every run that shares `keep`; the reference may be one of them.

    Returns:
        `results`: figures by section, as rows with their unit and the value of each potential.
        Beside the JSON file lie the table in Markdown and parity plots.

    Raises:
        InputError: If an option makes no sense, a section lacks its input, or a file cannot be
            used.
        MissingExtraError: If a section is asked for that needs matcalc or phonopy, and it is not
            installed.
        UnknownNameError: If there is no potential of a name.
    """
    from ase_crysdiff.campaigns.benchmark.machine import machine
    from ase_crysdiff.campaigns.benchmark.potentials.room import Room
    from ase_crysdiff.campaigns.benchmark.potentials.table import markdown, plots, table
    from ase_crysdiff.campaigns.benchmark.run import written
    from ase_crysdiff.storage import write_text

    started = time.perf_counter()
    room = Room.open(options, calculator, others or {})
    outcomes = room.measure()
    names = [contender.name for contender in room.contenders]
    page = options.output.with_suffix(".md")
    write_text(page, markdown(outcomes, names, options.reference))
    content = {
        "benchmark": "potential",
        "potentials": {c.name: dict(c.identity) for c in room.contenders},
        "reference": options.reference,
        "seconds": round(time.perf_counter() - started, 1),
        "machine": machine("cpu"),
        "results": {outcome.section.name: outcome.as_plain() for outcome in outcomes},
        "table": page.name,
        "plots": [path.name for path in plots(outcomes, options.output)],
    }
    result = written(content, table(outcomes, names, options.reference), options.output)
    room.close()
    return result


BENCHMARK = Benchmark(potential, PotentialOptions, "potentials side by side", needs=("calculator",))
