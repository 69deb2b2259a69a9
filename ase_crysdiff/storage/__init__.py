"""Files that are complete or absent, and folders that remember what is done."""

from ase_crysdiff.storage.files import (
    check_ending,
    ensure_writable,
    write_by,
    write_bytes,
    write_tensors,
    write_text,
)
from ase_crysdiff.storage.journal import Journal
from ase_crysdiff.storage.store import Store, differences

__all__ = [
    "Journal",
    "Store",
    "check_ending",
    "differences",
    "ensure_writable",
    "write_by",
    "write_bytes",
    "write_tensors",
    "write_text",
]
