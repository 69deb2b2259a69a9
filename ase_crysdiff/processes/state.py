"""Noisy states of several components: a tensor each, and auxiliaries beside those that have
some.
"""

from collections.abc import Iterator, Mapping

from ase_crysdiff.processes.base import ComponentState
from ase_crysdiff.shapes import Tensor

#: What a component may keep.
Kept = Tensor | ComponentState
#: Component name -> noisy value. A plain dictionary is a state without auxiliaries.
NoisyState = Mapping[str, Tensor]


class CompositeState(Mapping[str, Tensor]):
    """A noisy state some of whose components have auxiliaries; reads as name -> noisy value.

    Args:
        components: What each component keeps.
    """

    def __init__(self, components: Mapping[str, Kept]) -> None:
        self.components = dict(components)

    def __getitem__(self, name: str) -> Tensor:
        kept = self.components[name]
        return kept.value if isinstance(kept, ComponentState) else kept

    def __iter__(self) -> Iterator[str]:
        return iter(self.components)

    def __len__(self) -> int:
        return len(self.components)


def state_of(components: Mapping[str, Kept]) -> NoisyState:
    """The state of components: a plain dictionary unless one of them has auxiliaries."""
    plain = {
        name: kept for name, kept in components.items() if not isinstance(kept, ComponentState)
    }
    return plain if len(plain) == len(components) else CompositeState(components)


def kept(state: NoisyState, name: str) -> Kept:
    """What a component keeps in a state: its value, with its auxiliaries if it has some."""
    return state.components[name] if isinstance(state, CompositeState) else state[name]


def auxiliaries(state: NoisyState, name: str) -> Mapping[str, Tensor]:
    """The auxiliaries of a component by name; empty for a component without."""
    found = kept(state, name)
    return found.auxiliaries if isinstance(found, ComponentState) else {}


def replaced(state: NoisyState, name: str, value: Tensor) -> NoisyState:
    """The state with another value of one component; its auxiliaries stay."""
    if not isinstance(state, CompositeState):
        return {**state, name: value}
    old = state.components[name]
    new = old.with_value(value) if isinstance(old, ComponentState) else value
    return CompositeState({**state.components, name: new})
