"""How many structures are in no set of known crystals?"""

from collections.abc import Sequence

from pymatgen.core import Structure

from ase_crysdiff.metrics.base import MetricResult, rate
from ase_crysdiff.metrics.matching import SETTINGS, formula_key, match, reduced
from ase_crysdiff.metrics.reference import Reference
from ase_crysdiff.metrics.validity import gate


def novelty(structures: Sequence[Structure | None], reference: Reference) -> MetricResult:
    """Share of the requested structures that are sound and match no known crystal of the same composition.

    Judged on the structures as they are given: noise alone can hide a known crystal in a larger cell from the matcher.
    """
    failures = {i: r for i, r in ((i, gate(s)) for i, s in enumerate(structures)) if r is not None}
    verdicts = []
    for i, structure in enumerate(structures):
        if i in failures or structure is None:
            verdicts.append(False)
            continue
        known = reference.candidates(formula_key(structure))
        verdicts.append(not known or not any(match(reduced(structure), k) for k in known))
    settings = {**SETTINGS, "reference": reference.name, "crystals": len(reference), "sha256": reference.digest[:12]}
    return rate(verdicts, failures, settings)
