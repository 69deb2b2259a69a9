"""What every recipe must satisfy; authors of new ones run the same checks.

A recipe turns data into a config (`configure`), a config into a model (`build`), and both into what
the training loop is given (`task`). Each check
takes a recipe, its name and data that it can be configured for, and raises AssertionError with what
disagrees:

    for name, check in CHECKS.items():
        check(recipe("my-recipe"), "my-recipe", data)
"""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from ase_crysdiff.crystal.batch import CrystalBatch
from ase_crysdiff.errors import InputError
from ase_crysdiff.models.card import Kind
from ase_crysdiff.models.recipe import recipe as recipe_by_name
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.training.settings import TrainSettings

#: A recipe, its name, and data that it is configured for.
Check: TypeAlias = Callable[[Any, str, Any], None]

#: Entries of a config that name a part; a part that nobody knows is put there.
_PARTS = ("encoder", "backbone", "lattice", "state_space", "decoder")


def names_itself(recipe: Any, name: str, data: Any) -> None:
    """The config names the recipe that builds it, and the elements it has seen."""
    config = recipe.configure(data)
    named = config.get("recipe")
    assert named is not None, "the config does not name its recipe"
    assert recipe_by_name(named) is recipe_by_name(name), (
        f"the config of {name} names the recipe {named!r}"
    )
    elements = config.get("elements", [])
    assert elements, "the config names no elements"
    assert all(isinstance(z, int) and z > 0 for z in elements), f"elements are {elements}"


def is_json(recipe: Any, name: str, data: Any) -> None:
    """A config comes back from JSON as it was: names, numbers and lists, no tuples or tensors."""
    config = recipe.configure(data)
    again = json.loads(json.dumps(config))
    assert again == config, f"JSON changes {sorted(k for k in config if config[k] != again.get(k))}"


def same_network_from_json(recipe: Any, name: str, data: Any) -> None:
    """A config that went through JSON builds the same network: names, shapes, initial weights."""
    config = recipe.configure(data)
    one = _weights(recipe, config)
    other = _weights(recipe, json.loads(json.dumps(config)))
    assert list(one) == list(other), f"names differ: {sorted(set(one) ^ set(other))}"
    differing = [n for n in one if not torch.equal(one[n], other[n])]
    assert not differing, f"shapes or initial weights differ: {differing[:5]}"


def weights_are_sound(recipe: Any, name: str, data: Any) -> None:
    """A new network has finite weights, most of which can be trained."""
    config = recipe.configure(data)
    network = _network(recipe, _built(recipe, config))
    weights = dict(network.named_parameters())
    bad = [n for n, p in weights.items() if not bool(torch.isfinite(p).all())]
    assert not bad, f"initial weights are not finite: {bad[:5]}"
    trained = sum(p.numel() for p in weights.values() if p.requires_grad)
    total = sum(p.numel() for p in weights.values())
    assert trained > total / 2, f"only {trained:,} of {total:,} numbers are trained"


def does_not_disturb(recipe: Any, name: str, data: Any) -> None:
    """Data and config are as they were; the same data give the same config."""
    before = _tensors(data)
    config = recipe.configure(data)
    after = _tensors(data)
    changed = [n for n in before if not torch.equal(before[n], after[n])]
    assert not changed, f"configure changed {changed} of the data"
    assert recipe.configure(data) == config, "the same data gave another config"
    kept = copy.deepcopy(config)
    _built(recipe, config)
    assert config == kept, "build changed its config"


def refuses_unknown_parts(recipe: Any, name: str, data: Any) -> None:
    """A config with a part or an argument that does not exist is an InputError that names it."""
    config = recipe.configure(data)
    for part in (p for p in _PARTS if isinstance(config.get(p), Mapping)):
        for change in ({"name": "no-such-part"}, {"no_such_argument": 1}):
            wrong = {**config, part: {**config[part], **change}}
            told = next(iter(change.values())) if "name" in change else "no_such_argument"
            message = _refusal(recipe, wrong)
            assert message is not None, f"{part} {change} was built without a word"
            assert str(told) in message, f"the error does not name {told!r}: {message}"


def gives_a_task(recipe: Any, name: str, data: Any) -> None:
    """The task trains the weights that ship, on the data it names, towards a finite loss."""
    assert isinstance(recipe.kind, Kind), f"the kind is {recipe.kind!r}, no models.card.Kind"
    config = recipe.configure(data)
    model = _built(recipe, config)
    settings = TrainSettings(batch_size=4, batch_atoms=32)
    task = recipe.task(model, config, data, settings, torch.device("cpu"), data)
    assert task.network is recipe.network(model), "the task trains another network"
    assert task.config == config, "the task has another config"
    assert task.inputs.get("data"), "the task does not name its data by a digest"
    assert len(task.data), "the task left all data out"
    batch = next(iter(task.data.epoch(0, 0)))
    loss, parts = task.objective.loss(task.network, batch, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(loss)), f"the first loss is {float(loss)}: {parts}"
    loss.backward()
    gradients = [p.grad for p in task.network.parameters() if p.grad is not None]
    assert any(bool(g.abs().sum() > 0) for g in gradients), "no weight has a gradient"


def ships_what_it_loads(recipe: Any, name: str, data: Any) -> None:
    """What is exported belongs to the config: the names are those of weights, numbers unchanged."""
    config = recipe.configure(data)
    weights = _weights(recipe, config)
    kept, shipped = recipe.exported(config, weights)
    assert set(shipped) <= set(weights), f"exports {sorted(set(shipped) - set(weights))[:5]}"
    assert shipped, "exports nothing"
    assert all(torch.equal(shipped[n], weights[n]) for n in shipped), "changes the weights"
    lost = [k for k in config if kept.get(k) != config[k]]
    assert not lost, f"changes {lost} of the config"


#: All of them by name.
CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        names_itself,
        is_json,
        same_network_from_json,
        weights_are_sound,
        does_not_disturb,
        refuses_unknown_parts,
        gives_a_task,
        ships_what_it_loads,
    )
}


def _built(recipe: Any, config: Mapping[str, Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(4)
        return recipe.build(config)


def _refusal(recipe: Any, config: Mapping[str, Any]) -> str | None:
    """What the error says that a config meets; None if it is built."""
    try:
        _built(recipe, config)
    except InputError as error:
        return str(error)
    return None


def _network(recipe: Any, model: Any) -> torch.nn.Module:
    network = recipe.network(model)
    assert isinstance(network, torch.nn.Module), f"build made a {type(model).__name__}"
    return network


def _weights(recipe: Any, config: Mapping[str, Any]) -> dict[str, Tensor]:
    return {n: p.detach() for n, p in _network(recipe, _built(recipe, config)).named_parameters()}


def _tensors(data: Any, prefix: str = "") -> dict[str, Tensor]:
    """Copies of all tensors of a record and of the records in it."""
    found: dict[str, Tensor] = {}
    for name, value in vars(data).items():
        if isinstance(value, Tensor):
            found[prefix + name] = value.clone()
        elif isinstance(value, CrystalBatch) or hasattr(value, "__dataclass_fields__"):
            found |= _tensors(value, f"{prefix}{name}.")
    return found
