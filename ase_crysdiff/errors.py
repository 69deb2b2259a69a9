"""The exceptions of the package: one tree, so that `except CrysDiffError` catches everything we
raise on purpose.

Every message says what was expected, what came, and what to do.
"""


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
