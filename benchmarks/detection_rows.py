"""What the tools made of the modules of the suites, as rows, rates and Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.suites import Fault, Outcome

OTHERS = "not in the catalogue"
SEVERITIES = {
    "SW": "trains or measures something else",
    "CE": "raises at once",
    "CL": "raises late, or elsewhere",
    "ST": "style, speed, missing information",
    "": OTHERS,
}
GOOD = ("caught", "raised", "quiet")


@dataclass(frozen=True)
class Row:
    """What became of one module.

    Args:
        group: The name of its file.
        faults: The names of its faults in the catalogue; empty for a legitimate module, and for other faults.
        family: Of its first fault.
        severity: Of its first fault.
        outcomes: By the name of the tool.
    """

    group: str
    name: str
    is_faulty: bool
    outcomes: dict[str, Outcome]
    faults: tuple[str, ...] = ()
    family: str = OTHERS
    severity: str = ""

    @property
    def case(self) -> str:
        return f"{self.group}/{self.name}"

    def __str__(self) -> str:
        said = ", ".join(f"{tool} {outcome.kind}" for tool, outcome in self.outcomes.items())
        return "\n".join([f"{self.case}: {said}", *(f"    {tool} {reason}" for tool, reason in self.reasons())])

    def is_right(self, tool: str) -> bool:
        """Whether a tool made of it what it is."""
        return self.outcomes[tool].kind in GOOD

    def is_warned(self, tool: str) -> bool:
        """Whether a tool, which can do no more, rightly warns of it."""
        return self.is_faulty and self.outcomes[tool].kind == "warned"

    def reasons(self) -> Iterator[tuple[str, str]]:
        """The tools that did not do as they should, and why, where they say so."""
        for tool, outcome in self.outcomes.items():
            if outcome.reason and not self.is_right(tool):
                yield tool, f"{outcome.kind}: {outcome.reason}"


def markdown(rows: Sequence[Row], catalogue: dict[str, Fault]) -> Iterator[str]:
    """All tables, and what was missed."""
    faulty = [row for row in rows if row.is_faulty]
    legitimate = [row for row in rows if not row.is_faulty]
    if faulty:
        families = [*dict.fromkeys(fault.family for fault in catalogue.values()), OTHERS]
        yield from _table("family", faulty, {family: family for family in families}, lambda row: row.family)
        yield ""
        yield from _table("severity", faulty, SEVERITIES, lambda row: row.severity)
        yield ""
        yield from _coverage(faulty, catalogue)
    if legitimate:
        yield from ["", *_false_alarms(legitimate)]
    yield from _reasons(rows)
    if faulty:
        yield from ["", "Nothing in a module tells these from what is right; a check may give advice at most:", ""]
        yield from _head("fault", "reason")
        yield from (_cells(fault.name, fault.undecided) for fault in catalogue.values() if fault.undecided)


def _table(title: str, rows: Sequence[Row], labels: dict[str, str], key: Callable[[Row], str]) -> Iterator[str]:
    tools = list(rows[0].outcomes)
    yield from _head(title, "modules", *tools)
    for value, label in labels.items():
        own = [row for row in rows if key(row) == value]
        if own:
            yield _line(label, own, tools)
    yield _line("all", rows, tools)


def _line(label: str, rows: Sequence[Row], tools: Iterable[str]) -> str:
    return _cells(label, len(rows), *(_cell([row.outcomes[tool].kind for row in rows]) for tool in tools))


def _cell(kinds: Sequence[str]) -> str:
    """``17 (89%), 1 misplaced``: what is right, and what else but silence became of them."""
    counts = Counter(kinds)
    right = sum(counts.pop(kind, 0) for kind in GOOD)
    tried = len(kinds) - counts["not run"]
    rest = [f"{count} {kind}" for kind, count in counts.items() if kind != "missed" and count]
    return ", ".join([f"{right} ({percent(right, tried)})", *rest])


def percent(part: int, whole: int) -> str:
    """A share, rounded so that 100% means all."""
    return "-" if not whole else f"{int(100 * part / whole)}%"


def _coverage(rows: Sequence[Row], catalogue: dict[str, Fault]) -> Iterator[str]:
    """Of the catalogue's faults: which have a module, and of which every module is caught."""
    shown = {name: [row for row in rows if name in row.faults] for name in catalogue}
    decided = {name: of for name, of in shown.items() if of}
    silent = [name for name in decided if catalogue[name].severity == "SW"]
    open_ones = sum(fault.open for fault in catalogue.values())
    undecided = sum(bool(fault.undecided) for fault in catalogue.values())
    elsewhere = sum(bool(fault.issue) and not shown[name] for name, fault in catalogue.items())
    yield (
        f"Of the {len(catalogue)} faults of the catalogue, {len(decided)} were tried here. {open_ones} have no module "
        f"yet, {undecided} cannot be decided by a run, {elsewhere} are about devices, precision or several processes."
    )
    tools = list(rows[0].outcomes)
    yield from ["", *_head("faults of which every module is caught", "faults", *tools)]
    for label, names in {"all": list(decided), SEVERITIES["SW"]: silent}.items():
        right = [sum(all(row.is_right(tool) for row in shown[name]) for name in names) for tool in tools]
        yield _cells(label, len(names), *(f"{count} ({percent(count, len(names))})" for count in right))
    for tool in tools:
        kinds = Counter(row.outcomes[tool].kind for row in rows)
        if right_ones := kinds["caught"] + kinds["misplaced"]:
            share = percent(kinds["caught"], right_ones)
            yield from ["", f"Of the {right_ones} right findings of {tool}, {share} point to the right line."]


def _false_alarms(rows: Sequence[Row]) -> Iterator[str]:
    tools = list(rows[0].outcomes)
    yield from _head("legitimate modules", "modules", *tools)
    for label, kind in {"accused": "accused", "only warned of": "warned"}.items():
        yield _cells(label, len(rows), *(sum(row.outcomes[tool].kind == kind for row in rows) for tool in tools))


def _reasons(rows: Iterable[Row]) -> Iterator[str]:
    # That Lightning warns of a fault is in the tables; what it says is not what was missed.
    lines = [(row, tool, reason) for row in rows for tool, reason in row.reasons() if not row.is_warned(tool)]
    if lines:
        yield from ["", *_head("module", "fault", "tool", "outcome")]
    for row, tool, reason in lines:
        fault = ", ".join(row.faults) or ("" if row.is_faulty else "none: legitimate")
        yield _cells(f"`{row.case}`", fault, tool, _cut(reason))


def _head(*titles: str) -> Iterator[str]:
    yield _cells(*titles)
    yield "| --- " * len(titles) + "|"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cut(text: str, width: int = 240) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= width else f"{text[: width - 3]}..."


def row_of(case: Any, outcomes: dict[str, Outcome], catalogue: dict[str, Fault]) -> Row:
    """The row of a module."""
    faults = tuple(case.faults) if case.is_faulty else ()
    first = catalogue.get(faults[0]) if faults else None
    about = (first.family, first.severity) if first else (OTHERS, "")
    return Row(case.group, case.name, case.is_faulty, outcomes, faults, *about)
