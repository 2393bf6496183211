"""The catalogue of checks as text: the list, one check explained, and all of them as one page."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks import Check, all_checks, find_check

_INTRODUCTION = """\
# The checks

Written by `python docs/generate.py` from the docstrings in `src/lightning_conformance/checks`: change them there.
`pytest --lightning-explain=NAME` shows the same text in the terminal.

A check passes, fails, does not apply, or is inconclusive, and then says why. Of its findings an *error* fails
the check, a *warning* fails it with `--lightning-strict` only, and *advice* never does.
"""


def checks_text() -> str:
    """A line for each check: name, family, the highest level of its findings, what must hold."""
    checks = all_checks()
    width = max(len(check.name) for check in checks)
    family = max(len(check.family) for check in checks)
    return "\n".join(f"{c.name:<{width}}  {c.family:<{family}}  {c.severity:<7}  {c.summary}" for c in checks)


def explanation(name: str) -> str:
    """What a check does, why, and what to write instead.

    Raises:
        UsageError: There is no such check.
    """
    check = find_check(name)
    return f"{check.name} ({check.family}, {check.severity}, since {check.since})\n\n{check.documentation}"


def checks_markdown() -> str:
    """A page in Markdown: a table of the checks, and a section for each."""
    return "\n".join(_page(all_checks())) + "\n"


def _page(checks: list[Check]) -> Iterator[str]:
    yield _INTRODUCTION
    yield "| check | family | level | what must hold |\n| --- | --- | --- | --- |"
    for check in checks:
        yield f"| [`{check.name}`](#{check.name}) | {check.family} | {check.severity} | {check.summary} |"
    for check in checks:
        yield f"\n## {check.name}\n\n*{check.family}, {check.severity}, since {check.since}*\n"
        # A section of the docstring is a subsection of the page.
        yield check.documentation.replace("\n## ", "\n### ")
