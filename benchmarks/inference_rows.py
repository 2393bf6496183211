"""What became of each case of the benchmark of inference, and the rates of all of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What became of one case."""

    source: str
    group: str
    name: str
    missing: str = ""  # what kept the case from being tried
    found: bool = False
    verified: bool = False
    agrees: bool = False
    doubts: tuple[str, ...] = ()
    attempts: int = 0
    seconds: float = 0.0
    spec: str = ""
    expected: str = ""
    differences: tuple[str, ...] = ()
    error: str = ""

    @property
    def case(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def is_wrong(self) -> bool:
        """Whether it runs with a batch that is not the right one."""
        return self.verified and not self.agrees

    def __str__(self) -> str:
        if self.missing:
            return f"--  {self.case}  {self.missing}"
        head = f"{_marks(self)}  {self.case}  {self.attempts} attempts  {self.seconds:.2f} s"
        return "\n".join([head, *(f"      {line}" for line in self.details())])

    def details(self) -> Iterator[str]:
        if self.found:
            yield f"found     {_shortened(self.spec)}"
        if self.expected:
            yield f"expected  {_shortened(self.expected)}"
        yield from (f"differs   {_shortened(line)}" for line in self.differences)
        yield from (f"doubt     {_shortened(line)}" for line in self.doubts)
        yield from (f"error     {_shortened(line)}" for line in self.error.splitlines())


def rates(rows: Iterable[Row]) -> Iterator[str]:
    """The rates of each source, and of all together."""
    tried = [row for row in rows if not row.missing]
    sources = dict.fromkeys(row.source for row in tried)
    for source in sources:
        yield from _rates_of(source, [row for row in tried if row.source == source])
    if len(sources) > 1:
        yield from _rates_of("all", tried)


def _rates_of(name: str, rows: list[Row]) -> Iterator[str]:
    def share(count: int) -> str:
        return f"{count} ({100 * count / len(rows):.0f}%)"

    found = [row.seconds for row in rows if row.found]
    failed = [row.seconds for row in rows if not row.found]
    yield (
        f"{name}: {len(rows)} cases, found {share(len(found))}, verified {share(sum(r.verified for r in rows))}, "
        f"agrees {share(sum(r.agrees for r in rows))}, wrong but running {share(sum(r.is_wrong for r in rows))}, "
        f"with doubts {share(sum(bool(r.doubts) for r in rows))}"
    )
    if found:
        yield (
            f"    found in {statistics.median(found):.2f} s (median), {percentile(found, 90):.2f} s (90th percentile), "
            f"{max(found):.2f} s (longest)"
        )
        attempts = [row.attempts for row in rows if row.found]
        yield f"    attempts: {statistics.median(attempts):g} (median), {percentile(attempts, 90):g} (90th percentile)"
    if failed:
        yield f"    longest failure {max(failed):.2f} s"


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest of the values that is not below ``percent`` of them."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def table(rows: Iterable[Row]) -> Iterator[str]:
    """One Markdown line a case."""
    yield "| case | found | verified | agrees | doubts | attempts | seconds | batch, or the error |"
    yield "| --- " * 8 + "|"
    for row in rows:
        if not row.missing:
            yes = [("no", "yes")[flag] for flag in (row.found, row.verified, row.agrees)]
            last = f"`{_shortened(row.spec, 120)}`" if row.found else _shortened(row.error.partition("\n")[0], 120)
            last = last.replace("|", "\\|")
            cells = [row.case, *yes, len(row.doubts), row.attempts, f"{row.seconds:.2f}", last]
            yield f"| {' | '.join(map(str, cells))} |"


def _shortened(text: str, width: int = 300) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _marks(row: Row) -> str:
    if not row.found:
        return "NOT FOUND"
    if not row.verified:
        return "NOT VERIFIED"
    return "ok" if row.agrees else "WRONG"
