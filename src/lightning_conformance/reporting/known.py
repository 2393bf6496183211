"""Known failures: a file that lists them, one a line, and tells them from new ones."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning_conformance.errors import UsageError

_VERSION = 1


@dataclass(frozen=True, order=True)
class Known:
    """One failure, in words that an unrelated edit does not change: no line number, no counts.

    Args:
        code: The user's line, without its indentation.
        message: What was seen, with ``#`` in place of each number.
    """

    subject: str
    environment: str
    check: str
    function: str
    code: str
    message: str

    def __str__(self) -> str:
        where = f" at `{self.code}`" if self.code else ""
        return f"{self.subject} :: {self.environment} :: {self.check}: {self.message}{where}"


def known(verdict: Mapping[str, Any], finding: Mapping[str, Any]) -> Known:
    """A finding of a verdict, both in plain data."""
    place = finding["place"] or {}
    return Known(
        verdict["subject"],
        verdict["environment"],
        verdict["check"],
        place.get("function", "").rpartition("<locals>.")[2],
        place.get("source", "").strip(),
        re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", finding["message"].splitlines()[0]),
    )


class Baseline:
    """The known failures of a file; each stands for as many findings as it is listed."""

    def __init__(self, entries: Iterable[Known]) -> None:
        self.entries = Counter(entries)

    @classmethod
    def read(cls, file: Path) -> Baseline:
        """The file's entries.

        Raises:
            UsageError: It cannot be read, or is no such file.
        """
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["version"] != _VERSION:
                raise ValueError(f"version {data['version']}, not {_VERSION}")
            return cls(Known(**entry) for entry in data["failures"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"the baseline {file} cannot be read: {error}") from None

    def write(self, file: Path) -> None:
        """Write the entries, sorted, one a line; all or nothing.

        Raises:
            OSError: It cannot be written.
        """
        lines = [json.dumps(asdict(entry), ensure_ascii=False) for entry in sorted(self.entries.elements())]
        body = ",\n".join(f"    {line}" for line in lines)
        write_whole(file, f'{{\n  "version": {_VERSION},\n  "failures": [\n{body}\n  ]\n}}\n')

    def covers(self, found: Iterable[Known]) -> bool:
        """Whether every one of the findings is known."""
        return not self.new(found)

    def new(self, found: Iterable[Known]) -> list[Known]:
        """The findings that are not known."""
        return list((Counter(found) - self.entries).elements())

    def gone(self, seen: Iterable[Known], judged: Iterable[tuple[str, str, str]]) -> list[Known]:
        """The entries that were not seen any more.

        Args:
            judged: Subject, environment and check of what was judged; of the others nothing is known.
        """
        where = set(judged)
        left = self.entries - Counter(seen)
        return sorted(e for e in left.elements() if (e.subject, e.environment, e.check) in where)


def write_whole(file: Path, text: str) -> None:
    """Write a file so that none is ever half written.

    Raises:
        OSError: It cannot be written.
    """
    real = Path(os.path.realpath(file))
    real.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(name, real.stat().st_mode & 0o777 if real.exists() else 0o644)
        os.replace(name, real)
    except BaseException:
        os.unlink(name)
        raise
