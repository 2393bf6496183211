"""Lightning reads everything that configure_optimizers returns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import line_of, method_tree
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.model import Place, Recording, WarningSeen

_OPTIMIZER = re.compile(r"unsupported keys in the optimizer configuration: \{(.*)\}")
_SCHEDULER = re.compile(r"unsupported keys in the lr scheduler dict: \{(.*)\}")
_OF_SCHEDULER = ("interval", "frequency", "reduce_on_plateau", "strict", "name")


@check(family="optimization", severity="error", since="0.2.0", needs_steps=False)
def optimizer_configuration_is_read(recording: Recording) -> Iterator[Finding]:
    """Lightning knows each key of what configure_optimizers returns.

    ## How it judges
    Reads Lightning's warning about keys that it ignores.

    ## Why it matters
    A scheduler under another key than `lr_scheduler` is dropped; an `interval` beside the optimizer is not heeded.

    ## Example
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
        return {"optimizer": optimizer, "scheduler": scheduler}
    ```

    ## Use instead
    ```python
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
    ```

    ## Legitimate exceptions
    A key of one's own beside the optimizer changes nothing: it is a warning, as is any that is unknown in the
    scheduler's dict.
    """
    if "configure_optimizers" not in recording.methods:
        raise NotApplicable("the module's own classes configure no optimizer")
    for warning in recording.all(WarningSeen):
        for pattern in (_OPTIMIZER, _SCHEDULER):
            match = pattern.search(warning.message)
            keys = re.findall(r"['\"]([^'\"]+)['\"]", match[1]) if match else []
            if keys:
                yield _ignored(recording, keys, pattern is _SCHEDULER)


def _ignored(recording: Recording, keys: list[str], of_scheduler: bool) -> Finding:
    dropped = [key for key in keys if "sched" in key.lower()]
    misplaced = [key for key in keys if key in _OF_SCHEDULER]
    what = "scheduler's dict" if of_scheduler else "dict"
    cause, fix = "Lightning does not know them.", "Remove them."
    if dropped and not of_scheduler:
        cause = "A scheduler is handed over as `lr_scheduler`; under another key it is dropped, and never stepped."
        fix = '{"optimizer": optimizer, "lr_scheduler": scheduler}'
    elif misplaced and not of_scheduler:
        cause = "They belong into the dict of the scheduler; beside the optimizer they change nothing."
        fix = f'"lr_scheduler": {{"scheduler": scheduler, "{misplaced[0]}": ...}}'
    matters = (dropped or misplaced) and not of_scheduler
    return Finding(
        f"Lightning ignores {listed(sorted(keys))} in the {what} that configure_optimizers returns.",
        cause,
        fix,
        _key_place(recording, (dropped or misplaced or keys)[0]),
        "error" if matters else "warning",
    )


def _key_place(recording: Recording, key: str) -> Place | None:
    for method in recording.methods.values():
        tree = method_tree(method)
        for node in ast.walk(tree) if tree and "optimizer" in method.text else ():
            keys = node.keys if isinstance(node, ast.Dict) else [getattr(node, "slice", None)]
            for each in keys:
                if isinstance(each, ast.Constant) and each.value == key:
                    return line_of(method, each)
    return recording.method_place("configure_optimizers")
