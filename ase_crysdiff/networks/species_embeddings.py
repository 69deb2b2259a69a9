"""Elements as node vectors. Row 0 is an element that is hidden; every other row differs from all
others.
"""

from torch import nn
from torch.nn import functional

from ase_crysdiff.errors import InputError
from ase_crysdiff.networks.element_properties import descriptors
from ase_crysdiff.networks.encoders.crysformer.element_table import element_table
from ase_crysdiff.networks.linear import Linear, product
from ase_crysdiff.shapes import Float, Int, Tensor

#: Species classes of backbones: 0 for a hidden element, then atomic numbers to 100.
NUM_ELEMENTS = 101
#: Classes of the published one-hot vectors.
_ONE_HOT = 119


class DescribedElements(nn.Module):
    """A learned row for every element beside a linear map of its place in the periodic table,
    radius and electronegativity.

    What elements have in common comes first; what sets one apart is learnt. So an element that is
    rare in the training data resembles its neighbours in the table instead of noise.

    Args:
        hidden: Width.
        num_species: Classes: 0 for a hidden element, then the atomic numbers below it.
    """

    def __init__(self, hidden: int, num_species: int = NUM_ELEMENTS) -> None:
        super().__init__()
        self.num_species = num_species
        self.table: Tensor
        self.register_buffer("table", descriptors(num_species), persistent=False)
        self.own = nn.Embedding(num_species, hidden)
        self.common = Linear(self.table.shape[1], hidden)
        nn.init.normal_(self.own.weight, std=0.1)
        nn.init.normal_(self.common.weight, std=0.5)

    def forward(self, species: Int[Tensor, " atoms"]) -> Float[Tensor, "atoms hidden"]:
        check_species(species, self.num_species)
        return self.own(species) + self.common(self.table[species].to(self.own.weight.dtype))


class OneHotElements(nn.Module):
    """A linear map of the one-hot vector of an element, as CrysLDNet publishes it.

    Args:
        hidden: Width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = Linear(_ONE_HOT, hidden)

    def forward(self, species: Int[Tensor, " atoms"]) -> Float[Tensor, "atoms hidden"]:
        check_species(species, NUM_ELEMENTS)
        return product(
            functional.one_hot(species, _ONE_HOT).to(self.linear.weight.dtype),
            self.linear.weight,
            self.linear.bias,
        )


class TableElements(nn.Module):
    """A linear map of CGCNN's table, as Matformer and PDDFormer publish it. Some elements share a
    row: La is Ce.

    Args:
        hidden: Width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", element_table(), persistent=False)
        self.linear = Linear(self.table.shape[1], hidden)

    def forward(self, species: Int[Tensor, " atoms"]) -> Float[Tensor, "atoms hidden"]:
        check_species(species, NUM_ELEMENTS)
        return self.linear(self.table[species].to(self.linear.weight.dtype))


ELEMENTS = {"described": DescribedElements, "one-hot": OneHotElements, "table": TableElements}


def make_elements(name: str, hidden: int) -> nn.Module:
    """The embedding of a name.

    Raises:
        InputError: If the name is not known.
    """
    if name not in ELEMENTS:
        raise InputError(f"elements must be one of {sorted(ELEMENTS)}, got {name!r}.")
    return ELEMENTS[name](hidden)


def check_species(species: Int[Tensor, " atoms"], classes: int) -> None:
    """Refuses numbers that are no classes.

    Raises:
        InputError: If there are any.
    """
    bad = (species < 0) | (species >= classes)
    if bool(bad.any()):
        found = sorted(set(species[bad].tolist()))
        raise InputError(
            f"Backbones know the elements Z = 1 to {classes - 1} and 0 for a hidden one, got "
            f"{found}. Leave these crystals out."
        )
