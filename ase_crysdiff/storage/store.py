"""A folder that remembers what a run depends on and what is done, so that the run goes on after a
kill.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ase_crysdiff.errors import InputError
from ase_crysdiff.storage.files import ensure_writable, write_text
from ase_crysdiff.storage.journal import Journal, _plain

#: Longest text of a value in a message.
_SHOWN = 60


class Store:
    """The folder of one run: its settings, journals of what is done, and finished files.

    A journal (`journal`) is for many small results: append-only, a kill costs at most the last
    entry. An artefact (`keep`, `find`, `made_once`) is for one result of a whole stage: its file is
    complete or absent.

    Args:
        path: The folder; made if need be.
        settings: Everything that the results in the folder depend on, as JSON can hold it. None
            keeps no record and compares nothing, for a folder inside another store.
        facts: What was decided once for this run and stands beside the settings, such as its seed;
            compared, too.

    Raises:
        InputError: If the folder cannot be written, its record is damaged, or it holds a run with
            other settings; the message names each difference with the old and the new value.
    """

    RECORD = "run.json"

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        ensure_writable(path)
        self.settings: dict[str, Any] = _as_json(settings or {})
        self._facts: dict[str, Any] = _as_json(facts or {})
        if settings is None:
            return
        old = self.record(path)
        if old:
            self._compare(old)
            self._facts = {k: v for k, v in old.items() if k != "settings"} | self._facts
        else:
            self._write_record()

    @classmethod
    def record(cls, path: Path) -> dict[str, Any]:
        """What the record of a folder says: `settings`, and the facts beside them; empty if there
        is none.

        Raises:
            InputError: If the record is damaged.
        """
        file = path / cls.RECORD
        if not file.exists():
            return {}
        try:
            found = dict(json.loads(file.read_text(encoding="utf-8")))
            # Before there were facts, a record was the settings themselves.
            return found if isinstance(found.get("settings"), dict) else {"settings": found}
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{file} is damaged ({error!r}). Choose another output folder, or empty this one."
            ) from error

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the settings."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record says beside the settings."""
        return self._facts

    def note(self, **facts: Any) -> None:
        """Writes facts into the record, in place of older ones of these names."""
        self._facts |= _as_json(facts)
        self._write_record()

    def journal(self, name: str, *keys: str) -> Journal:
        """The journal `<name>.jsonl`.

        Args:
            name: Of the journal.
            keys: What every entry has; a line without one of them counts as damaged.
        """
        return Journal(self.path / f"{name}.jsonl", keys)

    def file(self, name: str, suffix: str = ".json") -> Path:
        """Where the artefact of this name lies: for those that are no JSON, to be written with
        `write_bytes` or `write_tensors` of this package.
        """
        return self.path / f"{name}{suffix}"

    def has(self, name: str, suffix: str = ".json") -> bool:
        """Whether there is an artefact of this name."""
        return self.file(name, suffix).exists()

    def keep(self, name: str, value: Any, encode: Callable[[Any], Any] | None = None) -> None:
        """Writes an artefact `<name>.json`, whole or not at all.

        Args:
            name: Of the artefact.
            value: What JSON can hold.
            encode: Makes JSON of what JSON does not know; by default arrays of numpy become lists,
                everything else becomes text.
        """
        write_text(self.file(name), json.dumps(value, default=encode or _plain) + "\n")

    def find(self, name: str) -> Any:
        """The value of an artefact; None if there is none.

        Raises:
            InputError: If its file is damaged.
        """
        file = self.file(name)
        if not file.exists():
            return None
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{file} is damaged ({error!r}). Remove that file: what it held is computed again."
            ) from error

    def made_once(
        self, name: str, make: Callable[[], Any], encode: Callable[[Any], Any] | None = None
    ) -> Any:
        """The value of an artefact, which is made and written first if there is none.

        Args:
            name: Of the artefact.
            make: Computes the value.
            encode: Makes JSON of what JSON does not know; by default arrays of numpy become lists,
                everything else becomes text.

        Returns:
            The value as it is read back, so that it is alike whether it was made now or before.

        Raises:
            InputError: If its file is damaged.
        """
        if not self.has(name):
            self.keep(name, make(), encode)
        return self.find(name)

    def remove(self, *journals: str) -> None:
        """Removes journals and the record, and the folder if nothing else is in it."""
        for file in [*(self.journal(name).path for name in journals), self.path / self.RECORD]:
            file.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _compare(self, old: Mapping[str, Any]) -> None:
        pairs = {k: (old["settings"].get(k), v) for k, v in self.settings.items()}
        pairs |= {k: (v, self.settings.get(k)) for k, v in old["settings"].items()}
        pairs |= {k: (old.get(k), v) for k, v in self._facts.items()}
        changed = {k: pairs[k] for k in sorted(pairs) if pairs[k][0] != pairs[k][1]}
        if changed:
            was = {k: before for k, (before, _) in changed.items()}
            now = {k: after for k, (_, after) in changed.items()}
            raise InputError(
                f"{self.path} holds a run with other settings ({', '.join(changed)} differ): "
                f"{'; '.join(differences(was, now))}. Choose another output folder, or give the "
                "same options to continue that run."
            )

    def _write_record(self) -> None:
        content = {"settings": self.settings, **self._facts}
        write_text(self.path / self.RECORD, json.dumps(content, indent=1) + "\n")


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they will be read back."""
    return dict(json.loads(json.dumps(dict(values), default=_plain)))


def differences(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    told: str = "{name} was {one}, is now {other}",
) -> list[str]:
    """What differs between the settings of two runs, value by value; inside mappings by
    `outer.inner`.

    Args:
        one: Settings.
        other: Settings.
        told: How a difference is put in words.
    """
    found = []
    for key in sorted({*one, *other}):
        pair = one.get(key), other.get(key)
        if isinstance(pair[0], dict) and isinstance(pair[1], dict):
            found += differences(
                {f"{key}.{k}": v for k, v in pair[0].items()},
                {f"{key}.{k}": v for k, v in pair[1].items()},
                told,
            )
        elif pair[0] != pair[1]:
            found.append(told.format(name=key, one=_shown(pair[0]), other=_shown(pair[1])))
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
