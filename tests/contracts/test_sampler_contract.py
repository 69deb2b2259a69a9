"""Every registered sampler meets the published contract, and broken ones do not."""

import pytest
import torch
from framework_toys import cell_of, pyrazine_cube

from ase_crysdiff import registry
from ase_crysdiff.errors import PluginError
from ase_crysdiff.frameworks.cutting import cut
from ase_crysdiff.randomness import Streams
from ase_crysdiff.sampling.batched import SamplerSpec, samplers_for
from ase_crysdiff.sampling.host import Guests, Host
from ase_crysdiff.sampling.request import SampleRequest
from ase_crysdiff.sampling.sampler import Sampled, Sampler
from ase_crysdiff.sampling.tasks.assemble import Assemble
from ase_crysdiff.sampling.tasks.csp import CSP
from ase_crysdiff.sampling.tasks.de_novo import DeNovo
from ase_crysdiff.sampling.tasks.inpaint import Inpaint
from ase_crysdiff.sampling.tasks.vary import Vary
from ase_crysdiff.testing.crystals import random_batch
from ase_crysdiff.testing.samplers import CHECKS

CUBE = ((4.0, 0.0, 0.0), (0.0, 4.0, 0.0), (0.0, 0.0, 4.0))
#: One request for each task; a sampler is tried with all that it declares.
TASKS = {
    Assemble: Assemble((cut(cell_of(pyrazine_cube())).blocks,)),
    DeNovo: DeNovo(),
    CSP: CSP(cells=(((22, 1), (8, 2)), ((11, 1), (17, 1)))),
    Inpaint: Inpaint(Host(CUBE, ((0.0, 0.0, 0.0),), (8,), (Guests(12, 1, 1),))),
    Vary: Vary(
        crystal=random_batch([3], torch.Generator().manual_seed(0)), time=0.4, num_atoms=None
    ),
}


class Stuck(Sampler):
    """Draws the same crystal whatever the seed."""

    def sample(self, request, streams):
        one = random_batch([3], torch.Generator().manual_seed(0))
        return Sampled(one.select([0] * len(streams)))


def requests(sampler):
    served = [TASKS[kind] for kind in TASKS if kind in sampler.capabilities.tasks]
    for task in served:
        needs_composition = isinstance(task, CSP)
        if isinstance(task, Assemble):
            yield SampleRequest(task, steps=3)
            continue
        if isinstance(task, DeNovo) and not sampler.capabilities.finds_species:
            continue
        if needs_composition and sampler.capabilities.finds_species:
            continue
        yield SampleRequest(task, steps=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.names(registry.SAMPLERS))
def test_registered_samplers(name):
    sampler = SamplerSpec(name, None, "cpu").load()
    tried = 0
    for request in requests(sampler):
        if not all(z in (sampler.capabilities.known_elements or {z}) for z in elements(request)):
            continue
        for check in CHECKS.values():
            check(sampler, request)
        tried += 1
    assert tried, f"{name} declares no task that is known here"


def elements(request):
    task = request.task
    if isinstance(task, CSP):
        return {z for amounts in task.compositions for z, _ in amounts}
    return set(task.crystal.species.tolist()) if isinstance(task, Vary) else set()


def test_a_broken_sampler_is_found():
    with pytest.raises(AssertionError, match="another seed gives the same"):
        CHECKS["seeds_are_obeyed"](Stuck(), SampleRequest())
    CHECKS["one_crystal_per_stream"](Stuck(), SampleRequest())
    assert len(Stuck().sample(SampleRequest(), Streams(0, (0, 1))).crystals) == 2


def test_a_plugin_that_fails_is_named_and_harms_no_other():
    def broken(weights, device):
        raise RuntimeError("boom")

    registry.register(registry.SAMPLERS, "broken", broken)
    try:
        with pytest.raises(PluginError, match=r"'broken' made no sampler: RuntimeError: boom"):
            SamplerSpec("broken", None, "cpu").load()
        able = samplers_for(SampleRequest(TASKS[CSP], steps=3))
    finally:
        registry.unregister(registry.SAMPLERS, "broken")
    assert "dao-g" in able
    assert "broken" not in able
