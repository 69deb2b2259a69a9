"""Frameworks as rigid blocks, packed into one safetensors file; and batches of them."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ase_crysdiff.data.epochs import expected_once
from ase_crysdiff.data.packed_files import names_as_tensor, names_of, read_packed
from ase_crysdiff.frameworks.batch import Blocks, FrameworkBatch
from ase_crysdiff.geometry.lattice import volume
from ase_crysdiff.shapes import Tensor
from ase_crysdiff.storage import write_tensors

FORMAT = "crysdiff-frameworks-1"
_BLOCKS = ("block_species", "block_positions", "block_atoms", "block_kinds", "num_blocks")
_PLACES = ("lattice", "centres", "rotations", "symmetries", "num_symmetries")


@dataclass(frozen=True)
class PackedFrameworks:
    """A data set of frameworks that were cut into blocks.

    Args:
        batch: All frameworks, in the order of the file.
        metadata: Where the data come from.
        names: What the frameworks are called where they come from; none where nobody kept that.
    """

    batch: FrameworkBatch
    metadata: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything by name."""
        blocks = self.batch.blocks
        return {n: getattr(blocks, n) for n in _BLOCKS} | {
            n: getattr(self.batch, n) for n in _PLACES
        }

    def save(self, path: str | Path) -> None:
        """Writes the file atomically. Species take one byte each."""
        tensors = self.tensors
        tensors["block_species"] = tensors["block_species"].to(torch.uint8)
        for name in ("block_atoms", "block_kinds", "num_blocks", "num_symmetries"):
            tensors[name] = tensors[name].to(torch.int32)
        tensors |= names_as_tensor(self.names)
        write_tensors(Path(path), tensors, {**self.metadata, "format": FORMAT})

    @staticmethod
    def load(path: str | Path) -> "PackedFrameworks":
        """Reads a packed file.

        Raises:
            InputError: If the file is missing, damaged or holds no frameworks.
        """
        hint = "Make one with: crysdiff pack FILES --blocks -o frameworks.safetensors"
        needed, kind = (*_BLOCKS, *_PLACES), "packed set of frameworks"
        tensors, metadata = read_packed(path, FORMAT, needed, kind, hint)
        names = names_of(tensors)
        tensors = {n: x if x.is_floating_point() else x.long() for n, x in tensors.items()}
        blocks = Blocks(*(tensors[name] for name in _BLOCKS))
        return PackedFrameworks(
            FrameworkBatch.place(blocks, *(tensors[name] for name in _PLACES)), metadata, names
        )

    @property
    def digest(self) -> str:
        """SHA-256 over blocks and places: names the data in a card."""
        digest = hashlib.sha256()
        for tensor in self.tensors.values():
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


class BucketedFrameworks:
    """A set of frameworks by number of blocks. A step draws from one bucket.

    Args:
        data: Frameworks; those of more blocks than `max_blocks` are left out.
        max_blocks: Blocks of the largest.
        batch_size: Frameworks per batch at most.
        batch_atoms: Atoms per batch, about: large frameworks come in small batches.
        device: Where the batches live.
    """

    def __init__(
        self,
        data: PackedFrameworks,
        max_blocks: int,
        batch_size: int,
        batch_atoms: int,
        device: torch.device,
    ) -> None:
        self.batch, self.device = data.batch, device
        counts = data.batch.blocks.num_blocks
        fits = torch.nonzero(counts <= max_blocks).flatten()
        self.left_out = len(counts) - len(fits)
        members: dict[int, list[int]] = {}
        for number, count in zip(fits.tolist(), counts[fits].tolist(), strict=True):
            members.setdefault(count, []).append(number)
        self.buckets = [torch.tensor(members[count]) for count in sorted(members)]
        means = [float(data.batch.num_atoms[rows].float().mean()) for rows in self.buckets]
        self.batch_sizes = [max(1, min(batch_size, int(batch_atoms / mean))) for mean in means]

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def epoch(
        self, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[FrameworkBatch]:
        """The batches of one epoch, a function of seed, epoch, rank and processes only. Every
        framework is expected once.
        """
        counts = [len(rows) for rows in self.buckets]
        for number, rows in expected_once(counts, self.batch_sizes, seed, epoch, world_size):
            share = rows.chunk(world_size)[rank]
            yield self._gathered(self.buckets[number][share])

    def everything(self) -> Iterator[FrameworkBatch]:
        """Every framework once, in order, for validation."""
        for bucket, size in zip(self.buckets, self.batch_sizes, strict=True):
            for rows in bucket.split(size):
                yield self._gathered(rows)

    def _gathered(self, rows: Tensor) -> FrameworkBatch:
        order = torch.argsort(self.batch.num_atoms[rows], stable=True)
        return self.batch.select(rows[order]).to(self.device)


def statistics(data: PackedFrameworks) -> dict[str, object]:
    """What a config keeps of a data set: the elements, how many frameworks have how many blocks,
    and the geometric mean of the volume per atom, Å³.
    """
    batch = data.batch
    numbers = Counter(batch.blocks.num_blocks.tolist())
    room = volume(batch.lattice.double()) / batch.num_atoms
    return {
        "elements": sorted(set(batch.species.tolist())),
        "blocks": {str(n): numbers[n] for n in sorted(numbers)},
        "volume_per_atom": round(float(room.log().mean().exp()), 4),
    }
