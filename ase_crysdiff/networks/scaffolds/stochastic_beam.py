"""Random numbers of a stochastic beam search: sampling of sequences without replacement.

A sequence's log-probability plus its own Gumbel noise is its perturbed score, and the sequences of
the k highest scores are a sample without replacement. They are found without listing all sequences,
as the highest score below a prefix is known from the prefix alone.

Source: Kool, van Hoof and Welling 2019, section 4.1 and appendix B.3.
"""

import numpy as np

from ase_crysdiff.shapes import Float

#: Keeps logarithms of random numbers finite.
_LEAST = 1e-18


def perturbed(
    log_probabilities: Float[np.ndarray, "rows choices"],
    highest: Float[np.ndarray, " rows"],
    uniform: Float[np.ndarray, "rows choices"],
) -> Float[np.ndarray, "rows choices"]:
    """Scores of continuations: Gumbel noise around log-probabilities, given the highest of each
    row.

    Args:
        log_probabilities: Of all decisions with this one, nats; minus infinity for impossible ones.
        highest: Score of each row before the decision.
        uniform: Random numbers in [0, 1).
    """
    with np.errstate(divide="ignore"):
        noisy = log_probabilities - np.log(-np.log(np.maximum(np.asarray(uniform, float), _LEAST)))
        below = noisy - noisy.max(1, keepdims=True)
        # Shifted such that the highest comes out right, in a form that loses no digits.
        gap = highest[:, None] - noisy + np.log1p(-np.exp(below))
    found: np.ndarray = highest[:, None] - np.maximum(gap, 0) - np.log1p(np.exp(-np.abs(gap)))
    return found
