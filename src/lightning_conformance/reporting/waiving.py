"""How a check is waived: for one module and with a reason, or altogether."""

from __future__ import annotations

from lightning_conformance.checks import Check
from lightning_conformance.environments import judging

# What must be known first, by the highest level of a check's findings.
_LEVELS = {
    "error": "",
    "warning": "Its findings are warnings, and fail with `--lightning-strict` only.\n",
    "advice": "Its findings are advice, and fail nothing; `--lightning-severity=warning` hides all advice.\n",
}
_EXPECTED = """\
For one module, with a reason, in `pyproject.toml`:
```toml
[[tool.lightning-conformance.modules]]
target = "src/model.py:Model"
expected-failures = {{ {name} = "why, and until when" }}
```
or beside the class:
```python
from lightning_conformance import conformance

@conformance(expected_failures={{"{name}": "why, and until when"}})
class Model(pl.LightningModule): ...
```
It is then reported as `xfail`, and fails once the check passes. The key `"{environment}::{name}"` means one
environment only. `--lightning-baseline=FILE` does the same for all of today's failures.

"""
_IGNORED = """\
`--lightning-ignore={name}`, or `ignore = ["{name}"]` in `pyproject.toml` under
`[tool.lightning-conformance]` or in a module's own table, leaves it out."""


def how_to_waive(check: Check) -> str:
    """The section of its page, with its names filled in."""
    expected = "" if check.severity == "advice" else _EXPECTED
    words = f"## How to waive it\n{_LEVELS[check.severity]}{expected}{_IGNORED}"
    return words.format(name=check.name, environment=judging(check.family)[0])
