"""What guidance costs."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Usage:
    """What guidance has cost since it was last asked."""

    evaluations: int = 0
    seconds: float = 0.0
    unguided: Counter[str] = field(default_factory=Counter)

    def take(self) -> dict[str, float]:
        """The numbers so far, which start again from zero."""
        taken = {
            "potential evaluations": float(self.evaluations),
            "potential seconds": float(self.seconds),
        }
        taken |= {
            f"unguided steps: {reason}": float(count) for reason, count in self.unguided.items()
        }
        self.evaluations, self.seconds, self.unguided = 0, 0.0, Counter()
        return {name: number for name, number in taken.items() if number}
