"""Ninety-two numbers per element, nine of them one: the frozen table that the published Crysformer
reads species through.

The layout is that of CGCNN. Its values are those of pymatgen (and Cordero's radii), binned anew,
because CGCNN's own file is not to be had from an installed library: of the 45 entries that are
published for H, O, Si, Fe and La, 42 are the same, the others (a radius of Si and of La, a volume
of H) fall into a neighbouring bin. Some elements share a row, as they do in CGCNN's table: a
network that must tell La from Ce has to learn an embedding beside it.

Source of the layout: Xie and Grossman 2018 (CGCNN), supplementary table; DAO-P (code) for its use.
"""

import torch

from ase_crysdiff.shapes import Float, Tensor

#: Columns of each property: group (0 for lanthanides and actinides), period, electronegativity,
#: radius, valence electrons, ionisation energy, electron affinity, block, volume.
WIDTHS = (19, 7, 10, 10, 12, 10, 10, 4, 10)
#: Row 0 stands for no atom and is zero.
ROWS = 101
#: A word per element from H to Fm; its letters are the columns within each property, base 36, a
#: point where none is known.
_WORDS = (
    "104006503 i0.019315 111401503 213314300 d14224410 e15235610 f17246413 g18156614 h19167913 "
    "i1.178213 "
    "121601505 222513304 d23422512 e23333613 f24345514 g25355714 h27366914 i2.377215 130700508 "
    "231612406 "
    "332622424 432633423 533543522 633553521 733563321 833473421 933483521 a34493621 b334a3621 "
    "c334b4322 "
    "d33422413 e34433613 f34444513 g35454714 h37465915 i37476216 140800509 241712407 342722425 "
    "442632524 "
    "543643523 644553522 743563522 844573622 945583622 a44594522 b445a3622 c435b4323 d43522514 "
    "e44533614 "
    "f44544615 g44554715 h46565916 i46575317 150900509 251811407 051812535 051712535 051711435 "
    "051712435 "
    "051712435 051712435 051712436 051712435 051712435 052712435 052712435 052712435 052712635 "
    "051712436 "
    "052711424 452633423 552643423 655653522 753563422 854574622 954584622 a55494722 b554a4722 "
    "c544b5324 "
    "d53522414 e55533515 f54543515 g54554615 h5456481. i54575318 16090050. 261811407 061811535 "
    "062812535 "
    "062712534 062712433 062712533 062712333 062612434 062612434 062712134 062712234 062712436 "
    "06271253. "
)


def element_table() -> Float[Tensor, "elements features"]:
    """The table, shape (101, 92)."""
    table = torch.zeros(ROWS, sum(WIDTHS))
    starts = [sum(WIDTHS[:i]) for i in range(len(WIDTHS))]
    for number, word in enumerate(_WORDS.split(), start=1):
        for start, letter in zip(starts, word, strict=True):
            if letter != ".":
                table[number, start + int(letter, 36)] = 1
    return table
