"""The exceptions of the package: one tree, so that `except CrysDiffError` catches everything we
raise on purpose.

Every message says what was expected, what came, and what to do.
"""

import difflib
from collections.abc import Iterable


class CrysDiffError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(CrysDiffError, ValueError):
    """An argument or a file holds something that cannot be used."""


class ShapeError(InputError):
    """Tensors that must fit together do not."""


class IncompatibleError(InputError):
    """The request is sound, but this sampler cannot serve it; the message names those that can."""


class UnknownNameError(CrysDiffError, LookupError):
    """A name is not registered; the message lists close ones."""


class PluginError(CrysDiffError):
    """An installed plugin is broken or clashes with another one."""


class CheckpointError(CrysDiffError):
    """Weights or a training checkpoint are damaged, foreign or of another version."""


class NeedsWeightsError(InputError):
    """A registered part works with a user's weights only; the message says which."""


class SamplingError(CrysDiffError):
    """Sampling could not deliver what was asked for."""


class WorkerError(CrysDiffError):
    """Worker processes cannot be started; the message says what is wrong with the set-up."""


class MissingExtraError(CrysDiffError, ImportError):
    """An optional dependency is needed; the message holds the line that installs it."""


def did_you_mean(name: object, known: Iterable[str], most: int = 3) -> str:
    """A question, with a space before it, that names what was probably meant; empty if nothing is
    close.

    Args:
        name: As it was given.
        known: Names that would do.
        most: How many are named at most.
    """
    close = difflib.get_close_matches(str(name), list(known), most)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
