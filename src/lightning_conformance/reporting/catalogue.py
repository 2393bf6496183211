"""The catalogue of checks as text: the list, and one check explained."""

from __future__ import annotations

from lightning_conformance.checks import all_checks, find_check


def checks_text() -> str:
    """A line for each check: name, family, what must hold."""
    checks = all_checks()
    width = max(len(check.name) for check in checks)
    family = max(len(check.family) for check in checks)
    return "\n".join(f"{c.name:<{width}}  {c.family:<{family}}  {c.summary}" for c in checks)


def explanation(name: str) -> str:
    """What a check does, why, and what to write instead.

    Raises:
        UsageError: There is no such check.
    """
    check = find_check(name)
    return f"{check.name} ({check.family}, since {check.since})\n\n{check.documentation}"
