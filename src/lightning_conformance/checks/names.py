"""The names of LightningModule's methods and properties are left to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.recording.events_logging import NameShadowed
from lightning_conformance.recording.model import Failure, Recording

# What LightningModule computes, and nobody can assign.
_READ_ONLY = (
    *("device", "dtype", "logger", "loggers", "current_epoch", "global_step", "global_rank", "local_rank", "hparams"),
    *("hparams_initial", "on_gpu", "automatic_optimization", "trainer", "fabric", "device_mesh", "example_input_array"),
)
_ASSIGNED = r"property '(\w+)' of '\w+' object has no setter|can't set attribute '(\w+)'"


@check(family="logging", severity="error", since="0.2.0", needs_steps=False, explains_crash=True)
def reserved_names_are_free(recording: Recording) -> Iterator[Finding]:
    """No attribute takes the name of a method or property of LightningModule.

    ## How it judges
    Compares the names of the module's attributes with those of LightningModule: `log`, `device`, `hparams`,
    `optimizers`, `print`, `freeze`, ...

    ## Why it matters
    A property cannot be assigned; a method that is replaced by data fails where it is called next, in Lightning or in
    one's own code; a layer of a method's name cannot be reached.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.log = []
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.history = []
    ```

    ## Legitimate exceptions
    Functions in place of hooks and loaders in place of `val_dataloader` are customs that work.
    """
    failure = recording.failure
    match = re.search(_ASSIGNED, failure.message) if failure is not None else None
    name = (match[1] or match[2]) if match else ""
    if failure is not None and name in _READ_ONLY:
        fix = f"self.{name}_ = ...  # another name"
        if name == "hparams":
            fix = "self.save_hyperparameters(args)  # fills self.hparams"
        yield Finding(
            f"`self.{name}` is assigned, and is a property of LightningModule that cannot be.",
            f"LightningModule computes `{name}` itself.",
            fix,
            failure.place,
        )
        return
    if failure is not None and not recording.tape:
        raise Inconclusive("the run did not begin (see training_completes)")
    for shadowed in recording.all(NameShadowed):
        yield _shadowed(shadowed, failure)


def _shadowed(shadowed: NameShadowed, failure: Failure | None) -> Finding:
    name, crashed = shadowed.name, False
    if failure is not None and failure.stage == "fit":
        said = f"{failure.message} {failure.place.source if failure.place else ''}"
        crashed = f".{name}" in said or f"'{shadowed.kind}' object is not callable" in said
    if shadowed.layer:
        cause = f"LightningModule has a method `{name}`, and self.{name} is that method: the layer is out of reach."
    else:
        cause = f"LightningModule has `{name}` of its own, which Lightning and its callbacks may call."
    return Finding(
        f"`self.{name}` is a {shadowed.kind}, in the place of what LightningModule has under that name.",
        cause,
        f"self.{name}_ = ...  # another name",
        shadowed.place or (failure.place if failure and crashed else None),
        "error" if crashed or shadowed.layer else "warning",
    )
