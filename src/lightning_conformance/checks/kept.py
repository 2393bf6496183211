"""What steps collect for the end of an epoch is cleared there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.logged import require_finished_epoch
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import divided, find_call, mentions, reads_whole
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import number
from lightning_conformance.recording.events_logging import KeptAmount, KeptSize
from lightning_conformance.recording.model import Recording

_LOOPS = {
    "train": ("training", ("on_train_epoch_end", "on_train_epoch_start")),
    "validate": ("validation", ("on_validation_epoch_end", "on_validation_epoch_start", "on_validation_end")),
}


@check(family="logging", severity="error", since="0.2.0")
def outputs_are_cleared(recording: Recording) -> Iterator[Finding]:
    """What steps collect for the end of an epoch is empty, or zero, when the next epoch begins.

    ## How it judges
    Compares the sizes of the module's lists and dicts as epochs begin and end, and reports those that only grow and
    that the hook at the end of the epoch reads as a whole; likewise numbers that steps add to and that the hook
    divides.

    ## Why it matters
    Each epoch's value holds all epochs before, and the sanity check; memory grows for as long as training lasts.

    ## Example
    ```python
    def on_fit_start(self):
        self.losses = []

    def validation_step(self, batch, batch_idx):
        self.losses.append(F.cross_entropy(self(batch[0]), batch[1]))

    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.losses).mean())
    ```

    ## Use instead
    ```python
    def on_fit_start(self):
        self.losses = []

    def validation_step(self, batch, batch_idx):
        self.losses.append(F.cross_entropy(self(batch[0]), batch[1]))

    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.losses).mean())
        self.losses.clear()
    ```

    ## Legitimate exceptions
    A history that no hook of the epoch's end reads, a slice of the newest entries, and a buffer that drops its oldest
    entries are left alone.
    """
    require_finished_epoch(recording)
    sizes = list(recording.all(KeptSize))
    counted = _counted(recording)
    if not any(s.size for s in sizes) and not counted:
        raise NotApplicable("no list or dict of the module is filled, and no number is added to")
    for name in dict.fromkeys(s.name for s in sizes):
        for stage in _LOOPS:
            own = [s for s in sizes if s.name == name and s.at.stage == stage]
            grows = _grows(own) and not mentions(recording, name, _DROPS)
            if grows and (finding := _read_whole(recording, name, stage, own)):
                yield finding
    for name, stage in counted:
        if finding := _never_zeroed(recording, name, stage):
            yield finding


def _never_zeroed(recording: Recording, name: str, stage: str) -> Finding | None:
    amounts = [a for a in recording.all(KeptAmount) if a.name == name and a.at.stage == stage]
    begins = {a.at.epoch: a.amount for a in amounts if a.edge == "begin"}
    ends = {a.at.epoch: a.amount for a in amounts if a.edge == "end"}
    later = [e for e in begins if e - 1 in ends and e in ends]
    if not later or not all(begins[e] == ends[e - 1] != ends[e] for e in later):
        return None
    place = divided(recording, _LOOPS[stage][1], name)
    if place is None:
        return None
    return Finding(
        f"`self.{name}` is added to in the steps and never set back: it is {number(ends[later[0] - 1])} at the end of "
        f"epoch {later[0] - 1}, and where epoch {later[0]} begins.",
        "What the steps count stays for the next epoch, so an epoch's value holds all epochs before.",
        f"self.{name} = 0  # at the end of {_LOOPS[stage][1][0]}",
        place,
    )


def _counted(recording: Recording) -> list[tuple[str, str]]:
    """Numbers that a method adds to, each with the loop whose steps make it grow."""
    found = dict.fromkeys(
        (a.name, a.at.stage) for a in recording.all(KeptAmount) if a.edge == "end" and a.at.stage in _LOOPS
    )
    return [(name, stage) for name, stage in found if mentions(recording, name, r"\s*\+=")]


# Ways to let go of the oldest entries.
_DROPS = r"\.(?:pop|popleft|popitem)\(|\s*=\s*self\.\w+\[|\[[^\]]*:[^\]]*\]\s*="


def _grows(states: list[KeptSize]) -> bool:
    begins = {s.at.epoch: s.size for s in states if s.edge == "begin"}
    ends = {s.at.epoch: s.size for s in states if s.edge == "end"}
    later = [e for e in begins if e - 1 in ends and e in ends]
    filled = all(begins[e] < ends[e] for e in ends if e in begins)
    return bool(later) and filled and all(begins[e] >= ends[e - 1] > 0 for e in later)


def _read_whole(recording: Recording, name: str, stage: str, states: list[KeptSize]) -> Finding | None:
    loop, hooks = _LOOPS[stage]
    place = reads_whole(recording, hooks, name)
    if place is None:
        return None
    ends = [f"{s.size} at the end of epoch {s.at.epoch}" for s in states if s.edge == "end"]
    step = [f"{loop}_step", *(m for m in recording.methods if re.search(r"step|forward", m))]
    filled = find_call(recording, step, {"append", "extend"}, receiver=name)
    at = f" (filled at line {filled.line})" if filled else ""
    return Finding(
        f"`self.{name}` is read in `{place.function.rpartition('.')[2]}` and never cleared: it holds {ends[0]}, "
        f"{ends[1] if len(ends) > 1 else 'and grows'}{at}.",
        "What the steps collect stays for the next epoch, so an epoch's value holds all epochs before.",
        f"self.{name}.clear()  # at the end of {hooks[0]}",
        place,
    )
