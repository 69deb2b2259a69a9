"""One probability for what a library votes for and what a model thinks of."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from ase_crysdiff.symmetry.tables import Floats


@dataclass(frozen=True)
class Weighing:
    """How votes v and a model's logarithms of probabilities q make one probability.

    An arrangement of the library has the probability (1 - P) softmax(votes v + model q), a new one
    P softmax(sharpness q), where P = logistic(new - far v_max + doubt (q_new - q_old)) is that of
    none of the known ones: the fewer votes and the less of the model's probability they have, the
    higher. q_old and q_new are the logarithms of the sums over the known and the new ones that are
    looked at. The numbers are those of the largest likelihood on held-out crystals.

    Args:
        votes: Power of the votes.
        model: Power of the model's probability.
        new: Log-odds of an arrangement that the library lacks.
        far: What a lack of votes adds to them.
        doubt: What the model's own odds add to them.
        sharpness: Power of the model's probability among new arrangements.
        considered: Known arrangements that the model looks at, those with the most votes.
        beam: Unfinished new arrangements that are followed.
        kept: New arrangements that are kept.
    """

    votes: float = 0.6
    model: float = 0.2
    new: float = -2.5
    far: float = 0.02
    doubt: float = 0.4
    sharpness: float = 1.0
    considered: int = 64
    beam: int = 48
    kept: int = 24


def probabilities(weighing: Weighing, votes: Floats, log_model: Floats) -> Floats:
    """Logarithms of the probabilities of known and new arrangements, see `Weighing`.

    Args:
        weighing: The powers.
        votes: Logarithm of the votes for each known one, shape (known,).
        log_model: Logarithm of the model's probability of each, the known ones first, shape (known
            + new,).
    """
    old, new = np.split(log_model, [len(votes)])
    of_old = weighing.votes * votes + weighing.model * old
    of_new = weighing.sharpness * new
    of_old = of_old - logsumexp(of_old) if len(old) else of_old
    of_new = of_new - logsumexp(of_new) if len(new) else of_new
    if not len(old) or not len(new):
        return np.concatenate([of_old, of_new])
    doubt = logsumexp(new) - logsumexp(old)
    odds = weighing.new - weighing.far * votes.max() + weighing.doubt * doubt
    return np.concatenate([of_old - np.logaddexp(0, odds), of_new - np.logaddexp(0, -odds)])
