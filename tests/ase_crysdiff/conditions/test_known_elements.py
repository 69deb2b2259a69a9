"""Slots whose element is known, should they be atoms."""

import torch

from ase_crysdiff.conditions.species import AllowedSpecies, KnownElements
from ase_crysdiff.constants import NUM_SPECIES, VACANCY
from ase_crysdiff.crystal.batch import Layout
from ase_crysdiff.sampling.host import Guests, Host

CELL = ((3.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 3.0))


def test_the_element_inherits_all_atoms_and_the_vacancy_keeps_its_own(generator):
    logits = torch.randn(5, NUM_SPECIES, generator=generator, dtype=torch.float64)
    elements = torch.tensor([3, VACANCY, 3, 17, VACANCY])
    layout = Layout((5,), dtype=torch.float64)
    pooled = KnownElements(elements).estimate(logits, 0.5, layout)
    before, after = logits.softmax(-1), pooled.softmax(-1)
    torch.testing.assert_close(after[:, VACANCY], before[:, VACANCY])
    for row, z in ((0, 3), (2, 3), (3, 17)):
        torch.testing.assert_close(after[row, z], 1 - before[row, VACANCY])
    torch.testing.assert_close(after[[1, 4]], before[[1, 4]])


def test_a_network_that_knows_no_element_yet_leaves_the_guest_as_likely_as_any_atom():
    """Forbidding the other elements alone would make a guest a hundred times rarer than an atom."""
    host = Host(CELL, ((0.0, 0.0, 0.0),), (8,), (Guests(3, 0, 2),))
    assert host.elements(5).tolist() == [VACANCY, 3, 3, VACANCY, VACANCY]
    layout = Layout((5,), dtype=torch.float64)
    even = torch.zeros(5, NUM_SPECIES, dtype=torch.float64)
    even[:, VACANCY] = torch.tensor(float(NUM_SPECIES - 1)).log()  # as likely a vacancy as an atom

    def ask(*conditions):
        clean = even
        for condition in conditions:
            clean = condition.estimate(clean, 0.9, layout)
        return clean.softmax(-1)[1, 3]

    allowed = AllowedSpecies(host.allowed(5))
    torch.testing.assert_close(
        ask(KnownElements(host.elements(5)), allowed), torch.tensor(0.5).double()
    )
    assert ask(allowed) < 0.02
