"""The catalogue of checks as text: the list, one check explained, and the pages of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks import Check, all_checks, find_check
from lightning_conformance.environments import ENVIRONMENTS, judging
from lightning_conformance.reporting.waiving import how_to_waive

BASE_IMPORTS = """\
import lightning.pytorch as pl
import torch
import torchmetrics
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
"""
BASE_MODULE = """\
class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""
BASE_BATCH = "x: float[B,8], y: int[B]<3"
_GENERATED = "<!-- Written by `python docs/generate.py` from docstrings: change them there. -->"
_INTRODUCTION = f"""\
{_GENERATED}
# The checks

A check passes, fails, does not apply, or is inconclusive, and then says why. Of its findings an *error* fails the
check, a *warning* fails it with `--lightning-strict` only, and *advice* never does.
`pytest --lightning-list-checks` prints this list, `pytest --lightning-explain=NAME` a check's page.
"""
_EXAMPLES = f"""
## The examples

The examples of the pages are run by `tests/test_check_pages.py`: the wrong one is caught, the right one is not accused.
Its methods take the place of those of this module, which gets batches of `{BASE_BATCH}` unless the
example begins by saying otherwise; a class of an example may be written in full, or derive from this one:

```python
{BASE_IMPORTS}

{BASE_MODULE}```
"""


def checks_text() -> str:
    """A line for each check: name, family, the highest level of its findings, where it judges, what must hold."""
    rows = [(c.name, c.family, c.severity, _places(c), c.summary) for c in all_checks()]
    head = ("name", "family", "level", "environments", "what must hold")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)][:-1]
    return "\n".join("  ".join((*map(str.ljust, row[:-1], widths), row[-1])) for row in (head, *rows))


def explanation(name: str) -> str:
    """What a check judges and how, why it matters, what to write instead, and how to waive it.

    Raises:
        UsageError: There is no such check.
    """
    check = find_check(name)
    head = f"{check.name} ({check.family}, {check.severity}, environments: {_places(check)}, since {check.since})"
    return f"{head}\n\n{_documentation(check)}"


def check_page(check: Check) -> str:
    """The same as a page in Markdown."""
    head = [check.severity, f"family: {check.family}", f"environments: {_places(check)}", f"since {check.since}"]
    return f"{_GENERATED}\n# {check.name}\n\n*{' · '.join(head)}*\n\n{_documentation(check)}\n"


def checks_markdown() -> str:
    """A table of the checks, with links to their pages."""
    return "\n".join(_index(all_checks()))


def _index(checks: list[Check]) -> Iterator[str]:
    yield _INTRODUCTION
    yield "| check | family | level | environments | what must hold |\n| --- | --- | --- | --- | --- |"
    for check in checks:
        cells = (f"[`{check.name}`](checks/{check.name}.md)", check.family, check.severity, _places(check))
        yield f"| {' | '.join((*cells, check.summary))} |"
    yield _EXAMPLES


def _documentation(check: Check) -> str:
    return f"{check.documentation.rstrip()}\n\n{how_to_waive(check)}"


def _places(check: Check) -> str:
    """The environments that judge it."""
    names = judging(check.family)
    return "all" if len(names) == len(ENVIRONMENTS) else ", ".join(names)
