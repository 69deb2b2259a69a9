"""Second stage of a round: drawn crystals relax with their symmetry."""

from collections.abc import Mapping

from pymatgen.core import Structure

from ase_crysdiff.campaigns.evaluation.relaxing import Options, as_plain, from_plain
from ase_crysdiff.isolation import Workers
from ase_crysdiff.potentials.loading import PotentialLike
from ase_crysdiff.progress import tqdm
from ase_crysdiff.relaxation.engine import MAX_ATOMS
from ase_crysdiff.relaxation.grouped import groups, relax_groups
from ase_crysdiff.relaxation.results import RelaxResult
from ase_crysdiff.relaxation.symmetric import KeptSymmetry
from ase_crysdiff.storage import Store

#: Crystals and atoms of a group at most: about half a round, so that two processes share one.
_GROUP = 32, 512


def relax_into(
    store: Store,
    stages: Mapping[str, Mapping[str, Structure]],
    potential: PotentialLike,
    symmetry: KeptSymmetry,
    workers: Workers,
    progress: bool | None,
) -> dict[str, list[tuple[str, RelaxResult]]]:
    """Key and result of every crystal of every stage, group by group from the store or computed
    now; all groups that are missing share the processes.

    Args:
        store: Keeps what is done.
        stages: By name, under which the store keeps its groups: the crystals by key.
        potential: A name, a potential or an ASE calculator.
        symmetry: What is kept.
        workers: Processes; 0 relaxes in this one.
        progress: Whether to show a progress bar; None shows one on a terminal.
    """
    crystals = [s for structures in stages.values() for s in structures.values()]
    members: list[list[int]] = []
    names: list[str] = []
    first = 0
    for name, structures in stages.items():
        own = groups(dict(enumerate(structures.values())), _GROUP)
        members += [[first + i for i in group] for group in own]
        names += [f"{name}-{n:02d}" for n in range(len(own))]
        first += len(structures)
    missing = {n: group for n, group in enumerate(members) if not store.has(names[n])}
    bar = tqdm(
        total=len(crystals),
        initial=len(crystals) - sum(map(len, missing.values())),
        desc="relax",
        unit=" crystals",
        disable=None if progress is None else not progress,
    )
    how = {**Options().as_dict(), "max_atoms": MAX_ATOMS, "symmetry": symmetry}
    numbered = dict(enumerate(crystals))
    with bar:
        for n, results in relax_groups(missing, numbered, potential, how, workers=workers):
            # Numbered from the first of the group: its place among all depends on the stages.
            store.keep(names[n], [as_plain(k, result) for k, result in enumerate(results)])
            bar.update(len(results))
    found: dict[int, RelaxResult] = {}
    for name, group in zip(names, members, strict=True):
        found |= {group[k]: r for k, r in map(from_plain, store.find(name))}
    results_of = iter(sorted(found.items()))
    return {
        name: [(key, next(results_of)[1]) for key in structures]
        for name, structures in stages.items()
    }
