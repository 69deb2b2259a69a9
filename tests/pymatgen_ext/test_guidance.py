"""Guidance through the public door: neutral at scale 0, lower energies above, costs reported,
failures harmless.
"""

import json
import pickle

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from monty.json import MontyDecoder, MontyEncoder

from ase_crysdiff import registry
from ase_crysdiff.errors import InputError, UnknownNameError
from ase_crysdiff.relaxation.ranking import rank
from ase_crysdiff.testing.pair_potential import PairPotential
from calculators import PotentialCalculator
from pymatgen_ext import EnergyGuidance


def draw(sampler, guidance, count=6, **constraints):
    conditions = () if guidance is None else [guidance]
    return sampler.sample(
        count, conditions=conditions, **{"seed": 0, "redraws": 30, "progress": False} | constraints
    )


def mean_energy(samples):
    ranked, reasons = rank(list(samples), PairPotential())
    assert not reasons
    return np.mean([s.properties["crysdiff_energy_per_atom"] for s in ranked])


SALT = {"composition": "NaCl", "formula_units": 2}


def test_scale_zero_is_exactly_unguided_and_costs_nothing(miad, csp):
    for sampler, constraints in ((miad, {}), (csp, SALT)):
        guided = draw(sampler, EnergyGuidance(PairPotential(), guidance_scale=0), **constraints)
        assert list(guided) == list(draw(sampler, None, **constraints))
        assert guided.report.guidance.get("potential evaluations", 0) == 0


def test_guidance_lowers_the_energy_and_reports_its_cost(csp):
    free = draw(csp, None, 8, **SALT)
    guided = draw(csp, EnergyGuidance(PairPotential(), guidance_scale=100.0), 8, **SALT)
    assert mean_energy(guided) < mean_energy(free)
    report = guided.report.guidance
    assert report["potential evaluations"] > 0
    assert report["potential seconds"] > 0
    assert "potential evaluations" in str(guided.report)
    assert not free.report.guidance


def test_batches_and_seeds(miad, csp):
    for sampler, constraints in ((miad, {"num_atoms": 2}), (csp, SALT)):
        guidance = EnergyGuidance(LennardJones(sigma=2.0, rc=3.0), guidance_scale=5.0)
        one = draw(sampler, guidance, 3, **constraints)
        assert list(one) == list(draw(sampler, guidance, 3, batch_size=2, **constraints))
        assert list(one) != list(draw(sampler, guidance, 3, **constraints, seed=1))


def test_our_calculators_are_as_good_as_their_potentials(csp):
    one, two = (
        EnergyGuidance(p, guidance_scale=20)
        for p in (PairPotential(), PotentialCalculator(PairPotential()))
    )
    assert list(draw(csp, one, 2, **SALT)) == list(draw(csp, two, 2, **SALT))


class Moody(Calculator):
    """Fails on every structure that holds titanium, and answers NaN for one of chlorine."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if 22 in atoms.numbers:
            raise ValueError("no titanium today")
        energy = float("nan") if 17 in atoms.numbers else 0.0
        self.results = {"energy": energy, "forces": np.zeros((len(atoms), 3))}


@pytest.mark.parametrize("composition", ["SrTiO3", "NaCl"])
def test_a_potential_that_fails_leaves_the_crystal_unguided_and_is_counted(csp, composition):
    constraints = {"composition": composition, "formula_units": 1}
    guided = draw(csp, EnergyGuidance(Moody(), guidance_scale=10), 2, **constraints)
    assert list(guided) == list(draw(csp, None, 2, **constraints))
    reasons = {k: v for k, v in guided.report.guidance.items() if k.startswith("unguided steps")}
    assert sum(reasons.values()) > 0
    word = "titanium" if composition == "SrTiO3" else "finite"
    assert any(word in reason for reason in reasons)


def test_nothing_happens_outside_the_window(csp):
    guided = draw(csp, EnergyGuidance(PairPotential(), 10, window=(0.98, 1.0)), 3, **SALT)
    assert list(guided) == list(draw(csp, None, 3, **SALT))
    assert guided.report.guidance.get("potential evaluations", 0) == 0


def test_guided_variation(csp):
    seed = draw(csp, None, 1, **SALT)[0]
    how = {"strength": 0.5, "num_samples": 4, "seed": 0, "redraws": 30, "progress": False}
    guided = csp.vary(seed, conditions=[EnergyGuidance(PairPotential(), 100.0)], **how)
    assert mean_energy(guided) < mean_energy(csp.vary(seed, **how))


def test_names_and_numbers_survive_storage():
    registry.register(
        registry.POTENTIALS, "toy-stored", lambda weights, device, dtype: PairPotential()
    )
    try:
        guidance = EnergyGuidance("toy-stored", 2, window=(0.1, 0.5), max_shift=0.02)
        again = json.loads(json.dumps(guidance, cls=MontyEncoder), cls=MontyDecoder)
        assert (again.potential, again.guidance_scale, again.window, again.max_shift) == (
            "toy-stored",
            2.0,
            (0.1, 0.5),
            0.02,
        )
        assert pickle.loads(pickle.dumps(guidance)).window == (0.1, 0.5)  # noqa: S301
        with pytest.raises(InputError, match="by a potential's name"):
            EnergyGuidance(PairPotential()).as_dict()
    finally:
        registry.unregister(registry.POTENTIALS, "toy-stored")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"guidance_scale": "strong"}, "numbers"),
        ({"window": (0.5, 0.5)}, "window"),
        ({"window": (0.5, 1.5)}, "window"),
        ({"window": (0.5,)}, "window"),
        ({"window": 0.5}, "window"),
        ({"max_shift": 0}, "max_shift"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EnergyGuidance(PairPotential(), **settings)


def test_what_is_no_potential_is_refused():
    with pytest.raises(UnknownNameError, match="dao-p"):
        EnergyGuidance("dao-q")
    with pytest.raises(InputError, match="instance"):
        EnergyGuidance(LennardJones)
