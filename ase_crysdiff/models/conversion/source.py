"""What is found in a checkpoint of a CSPNet, whoever wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ase_crysdiff.errors import CheckpointError, InputError, did_you_mean
from ase_crysdiff.models.conversion.pickled import plain, read_pickled
from ase_crysdiff.shapes import Tensor

#: Tensors by name.
Tensors: TypeAlias = Mapping[str, Tensor]
#: Every CSPNet has it.
_MARK = "csp_layer_0.edge_mlp.0.weight"


@dataclass(frozen=True)
class Source:
    """A network of someone else's, and what is known about it.

    Args:
        network: Its tensors, by the names that its authors gave them.
        around: All other tensors of the checkpoint, by name.
        hyper_parameters: As the checkpoint has them, or as they were given.
        progress: Epoch and step, as far as they are known.
    """

    network: Tensors
    around: Tensors
    hyper_parameters: Mapping[str, Any]
    progress: Mapping[str, int] = field(default_factory=dict)

    def parameter(self, *path: str) -> Any:
        """A hyper-parameter by its place, at the top or in the section `model`; None where it is
        not known.
        """
        value: Any = self.hyper_parameters
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None and path[0] != "model":
            return self.parameter("model", *path)
        # OmegaConf keeps what refers to another entry as text.
        return None if isinstance(value, str) and "${" in value else value

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor of the network.

        Raises:
            CheckpointError: If it is missing.
        """
        return tuple(self.tensor(name).shape)

    def tensor(self, name: str) -> Tensor:
        """A tensor of the network.

        Raises:
            CheckpointError: If it is missing.
        """
        if name not in self.network:
            raise CheckpointError(
                f"The network lacks {name!r}. It is no CSPNet as published; this version converts "
                "nothing else."
            )
        return self.network[name]

    def demand(self, what: str, sound: bool, found: object) -> None:
        """Refuses what cannot be expressed here.

        Args:
            what: What is needed.
            sound: Whether the checkpoint has it.
            found: What it has.

        Raises:
            CheckpointError: If it has not.
        """
        if not sound:
            raise CheckpointError(
                f"This checkpoint cannot be converted: {what} is needed, and it has {found}."
            )


def read_source(path: Path, given: Mapping[str, Any]) -> Source:
    """The network of a checkpoint.

    Args:
        path: Of Lightning (`.ckpt`) or of `torch.save` (`.pt`): zipped tensors by name, with or
            without something around them.
        given: Hyper-parameters that count more than those of the file.

    Raises:
        CheckpointError: If the file is damaged or holds no CSPNet.
    """
    content = read_pickled(path)
    tensors = _tensors(content)
    marks = sorted((n for n in tensors if n.endswith(_MARK)), key=len)
    if not marks:
        raise CheckpointError(
            f"{path} holds no CSPNet: no tensor is called {_MARK!r}. Give a checkpoint of DiffCSP, "
            "MiAD or FlowMM."
        )
    prefix = marks[0].removesuffix(_MARK)
    network = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    around = {n: t for n, t in tensors.items() if not n.startswith(prefix)}
    top = content if isinstance(content, Mapping) else {}
    own = plain(top.get("hyper_parameters", {})) or {}
    own, given = (tree.get("cfg", tree) for tree in (own, given))  # FlowMM has one entry for all
    progress = {n: top[n] for n in ("epoch", "global_step") if isinstance(top.get(n), int)}
    return Source(_averaged(network, around, prefix), around, _merged(own, given), progress)


def _tensors(content: Any) -> dict[str, Tensor]:
    """Tensors by name, wherever in a checkpoint they stand."""
    if not isinstance(content, Mapping):
        return {}
    own = {str(n): t for n, t in content.items() if isinstance(t, Tensor)}
    if any(n.endswith(_MARK) for n in own):
        return own
    for value in content.values():
        if found := _tensors(value):
            return found
    return {}


def _averaged(network: Tensors, around: Tensors, prefix: str) -> Tensors:
    """The moving average of a network, where FlowMM's wrapper keeps one: a list in the order of the
    parameters.
    """
    shadows = {n: t for n, t in around.items() if ".shadow_params." in f".{n}"}
    if not shadows:
        return network
    ordered = [shadows[n] for n in sorted(shadows, key=lambda n: int(n.rsplit(".", 1)[1]))]
    if [t.shape for t in ordered] != [t.shape for t in network.values()]:
        raise CheckpointError(
            f"The averaged weights of {prefix.rstrip('.')} do not fit its parameters: "
            f"{len(ordered)} tensors for {len(network)}. Save the checkpoint again."
        )
    return dict(zip(network, ordered, strict=True))


def _merged(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of entries; those of the second count more."""
    result = dict(own)
    for name, value in given.items():
        below = result.get(name)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[name] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


@dataclass(frozen=True)
class DataSet:
    """What a network may be asked for, by the data that it was trained on.

    Args:
        max_atoms: Of the largest crystal.
        sizes: How often crystals have each number of atoms, as far as it is known.
        elements: Atomic numbers.
        corrector: Published size of the corrector step of DiffCSP.
        generation_corrector: Published size of the corrector step of MiAD.
        log_length_mean: Means of the logarithms of a, b, c in Å.
        log_length_scale: Their standard deviations.
    """

    max_atoms: int
    sizes: Mapping[int, int]
    elements: tuple[int, ...]
    corrector: float
    generation_corrector: float
    log_length_mean: tuple[float, float, float]
    log_length_scale: tuple[float, float, float]


def _counts(*sizes: int) -> dict[int, int]:
    return dict.fromkeys(sizes, 1)


#: The elements of the Materials Project up to plutonium, without noble and short-lived ones that it
#: lacks.
_ELEMENTS = (*range(1, 84), *range(89, 95))
#: Source: the configurations of DiffCSP, MiAD and FlowMM. Where the frequencies of sizes are not
#: published, all count alike.
DATA_SETS = {
    "carbon": DataSet(
        24, _counts(*range(6, 25, 2)), (6,), 5e-6, 1e-5,
        (0.9853, 1.3865, 1.7068), (0.1496, 0.2043, 0.2404),
    ),
    "mp20": DataSet(
        20, _counts(*range(1, 21)), _ELEMENTS, 1e-5, 1e-5,
        (1.5754, 1.7017, 1.9782), (0.2444, 0.2653, 0.3536),
    ),
    "mpts52": DataSet(
        52, _counts(*range(1, 53)), _ELEMENTS, 1e-5, 1e-5,
        (1.6565, 1.8408, 2.1225), (0.2952, 0.3340, 0.4189),
    ),
    "perov": DataSet(
        5, _counts(5), _ELEMENTS, 5e-7, 5e-7,
        (1.4192, 1.4192, 1.4192), (0.0727, 0.0727, 0.0727),
    ),
}  # fmt: skip


def data_set(name: str | None, source: Source) -> DataSet:
    """The training data of a checkpoint.

    Args:
        name: As `mp_20`, `mpts_52`, `perov_5` or `carbon_24`; None for what the hyper-parameters
            say.
        source: The checkpoint.

    Raises:
        InputError: If the data are not known.
    """
    places = (("data", "dataset_name"), ("data", "eval_model_name"), ("data", "name"))
    said = [name] if name else [source.parameter(*place) for place in places]
    for candidate in said:
        short = "".join(c for c in str(candidate).lower() if c.isalnum())
        for known, found in DATA_SETS.items():
            if candidate and short.startswith(known):
                return found
    named = "carbon_24, mp_20, mpts_52, perov_5"
    if name is None:
        raise InputError(
            f"The checkpoint does not say what it was trained on. Give data: one of {named}."
        )
    hint = did_you_mean(name, named.split(", "), 1)
    raise InputError(f"data must be one of {named}, got {name!r}.{hint}")
