"""Networks of potentials: which encoders serve, what stays as it is, weights of earlier names."""

from dataclasses import replace

import pytest
import torch
from pymatgen.core import Lattice, Structure

from ase_crysdiff.crystal.convert import from_structures
from ase_crysdiff.errors import CheckpointError, IncompatibleError, InputError
from ase_crysdiff.models import weights
from ase_crysdiff.networks.element_properties import covalent_radii
from ase_crysdiff.networks.energy import AtomicEnergies, build
from ase_crysdiff.networks.graph import Neighborhood, build_graph
from ase_crysdiff.networks.registry import make_backbone, make_encoder
from ase_crysdiff.testing.crystals import rattled

SMALL = {"name": "crysformer", "hidden": 16, "layers": 1, "heads": 2}


def graph_for(network):
    crystals = from_structures(rattled(5)).sorted()[0].to(dtype=torch.float64)
    return build_graph(crystals, network.encoder.neighborhood)


@pytest.mark.parametrize("spec", [SMALL, {"name": "tensornet", "hidden": 8, "cutoff": 4.0}])
def test_forces_of_any_smooth_encoder_are_gradients_by_finite_differences(spec):
    network = build(spec).double()
    with torch.no_grad():
        terms, graph = network(graph_for(network)), graph_for(network)
        edge = int(torch.nonzero(graph.receivers != graph.senders)[0])
        atom = int(graph.receivers[edge])
        energies = []
        for step in (1e-4, -1e-4):
            moved = graph.vectors.clone()
            moved[graph.receivers == atom, 0] -= step
            moved[graph.senders == atom, 0] += step
            energies.append(float(network.energies(replace(graph, vectors=moved)).sum()))
    numeric = -(energies[0] - energies[1]) / 2e-4
    assert float(terms.forces[atom, 0]) == pytest.approx(numeric, rel=1e-4, abs=1e-7)
    assert float(terms.forces.abs().max()) > 1e-4


def test_open_metals_have_neighbours_within_their_reach():
    """Caesium's are 5.3 Å away; what lies within the cutoff anyway stays as it is."""
    caesium = from_structures([Structure(Lattice.cubic(6.14), ["Cs"] * 2, [[0] * 3, [0.5] * 3])])
    salt = from_structures([rattled(5)[0]])
    short, long = Neighborhood(None, 5.0), Neighborhood(None, 5.0, reach=1.6)
    assert not len(build_graph(caesium, short).receivers)
    graph = build_graph(caesium, long)
    assert len(graph.receivers) == 2 * 14
    limits = long.cutoffs(graph.species, graph.species, torch.float64)
    assert limits.tolist() == pytest.approx([1.6 * 4.88] * 2)
    assert float(graph.distances.max()) < 1.6 * 4.88
    for crystal in (caesium, salt):
        graphs = [build_graph(crystal, n) for n in (short, long)]
        bond = covalent_radii()[graphs[1].species]
        near = graphs[1].distances < 5.0
        assert int(near.sum()) == len(graphs[0].receivers)
        ends = bond[graphs[1].receivers] + bond[graphs[1].senders]
        assert bool((near | (graphs[1].distances < 1.6 * ends)).all())


def test_the_graph_of_the_caller_stays_as_it_is():
    """Its tensors are shared with others, who may want no gradients."""
    network = build(SMALL).double()
    graph = graph_for(network)
    before = graph.vectors.clone()
    network(graph)
    assert not graph.vectors.requires_grad
    assert torch.equal(graph.vectors, before)


@pytest.mark.parametrize("name", ["pddformer", "cspnet", "crystal-graph"])
def test_encoders_whose_forces_would_jump_are_refused(name):
    with pytest.raises(IncompatibleError, match="not smooth"):
        AtomicEnergies(make_backbone({"name": name, "hidden": 16}))


def test_one_name_serves_generation_and_properties():
    cell = make_encoder({"name": "crysformer", "hidden": 16, "heads": 2, "layers": 1}, 6)
    assert type(cell) is type(make_encoder({"name": "crysformer-full", "hidden": 16}, 6))
    assert make_backbone(SMALL).is_smooth
    with pytest.raises(InputError, match=r"cannot denoise; known: \['crysformer-full', 'cspnet'\]"):
        make_encoder({"name": "matformer"}, 6)
    with pytest.raises(InputError, match="'crysfromer' is not known"):
        make_encoder({"name": "crysfromer"}, 6)


def test_cards_may_call_radial_functions_waves():
    network = build({**SMALL, "edges": "periodic", "waves": [4, 2, 2]})
    assert network.encoder.num_radial == (4, 2, 2)
    assert network.encoder.elements.own.num_embeddings == 100


def former(name, prefix):
    """What the periodic Crysformer called its parameters."""
    name = name.replace("elements.own.weight", "species.weight")
    return prefix + name.replace("elements.common.", "describe.")


@pytest.mark.parametrize("wrapped", [False, True], ids=["of a potential", "of a backbone"])
def test_weights_of_former_names_are_read(wrapped, tmp_path):
    """A potential's encoder stood at `encoder.`, a backbone's was wrapped at the same name."""
    source = make_backbone(SMALL) if wrapped else build(SMALL)
    tensors = {
        former(name, "encoder." if wrapped else ""): p.detach() + 1
        for name, p in source.named_parameters()
    }
    assert any("describe" in name for name in tensors)
    target = make_backbone(SMALL) if wrapped else build(SMALL)
    weights.fill(target, tensors, tmp_path)
    for (name, new), old in zip(target.named_parameters(), source.parameters(), strict=True):
        assert torch.equal(new, old + 1), name
    with pytest.raises(CheckpointError, match="nonsense is not part of the model"):
        weights.fill(target, {**tensors, "nonsense": torch.zeros(1)}, tmp_path)
