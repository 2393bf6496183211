"""The parts of ``docs/detection.md`` that the benchmarks write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "detection.md"


def write(part: str, lines: Iterable[str], page: Path = PAGE) -> None:
    """Put the lines between the two marks of a part; the rest of the page stays as it is."""
    page.write_text(written(page.read_text(encoding="utf-8"), part, lines), encoding="utf-8")


def written(text: str, part: str, lines: Iterable[str]) -> str:
    """The text with other lines between ``<!-- part: begin -->`` and ``<!-- part: end -->``.

    Raises:
        ValueError: It has no such part.
    """
    marks = re.compile(rf"(?<=<!-- {part}: begin -->\n).*(?=<!-- {part}: end -->)", re.DOTALL)
    if not marks.search(text):
        raise ValueError(f"the page has no part {part!r}")
    return marks.sub(lambda _: "\n".join(["", *lines, "", ""]), text)
