"""What callbacks and schedulers monitor is logged."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from lightning_conformance.checks.logged import by_epoch, require_finished_epoch
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.events_logging import Monitored
from lightning_conformance.recording.model import LogCall, Place, Recording

_MISSING = (
    r"(?P<stop>Early stopping) conditioned on metric `(?P<a>[^`]+)` which is not available",
    r"`?(?P<owner>\w+)\(monitor='(?P<b>[^']+)'\)` could not find the monitored key",
    r"(?P<plateau>ReduceLROnPlateau) conditioned on metric (?P<c>\S+) which is not available",
)


@check(family="logging", severity="error", since="0.2.0", explains_crash=True)
def monitored_keys_are_logged(recording: Recording) -> Iterator[Finding]:
    """What early stopping, checkpoints and schedulers of the module monitor is a metric of an epoch.

    ## How it judges
    Looks at the monitors of the callbacks from `configure_callbacks` and of the schedulers, and at validation metrics
    that nothing could monitor.

    ## Why it matters
    The run stops at the end of its first epoch, which may be hours away; `fast_dev_run` leaves these callbacks out.

    ## Example
    ```python
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_callbacks(self):
        return [pl.callbacks.EarlyStopping(monitor="valid_loss")]
    ```

    ## Use instead
    ```python
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))

    def configure_callbacks(self):
        return [pl.callbacks.EarlyStopping(monitor="val_loss")]
    ```

    ## Legitimate exceptions
    Callbacks that are handed to the Trainer are not seen.
    """
    if crash := _crash(recording):
        yield crash
        return
    require_finished_epoch(recording)
    monitors = list(recording.all(Monitored))
    for each in monitors:
        if each.key not in each.known:
            yield _not_logged(recording, each.owner, each.key, each.known, None)
        else:
            yield from _lost_with_loaders(recording, each)
    steps_only = [c for c in recording.all(LogCall) if c.at.stage == "validate" and not by_epoch(c)]
    if steps_only and not any(c.at.stage == "validate" and by_epoch(c) for c in recording.all(LogCall)):
        yield _by_step_only(steps_only)
    elif not monitors:
        raise NotApplicable("the module brings no callback or scheduler that monitors a metric")


def _crash(recording: Recording) -> Finding | None:
    failure = recording.failure
    for pattern in _MISSING if failure is not None and failure.stage == "fit" else ():
        match = re.search(pattern, failure.message) if failure else None
        if match:
            groups = match.groupdict()
            key = groups.get("a") or groups.get("b") or groups.get("c") or ""
            owner = groups.get("owner") or groups.get("plateau") or "EarlyStopping"
            # The fork of a key keeps its plain name here.
            known = [c.name for c in recording.all(LogCall) if by_epoch(c)]
            said = (
                re.search(r"(?:any of the following|returned metrics|Available metrics are): (.*)", failure.message)
                if failure
                else None
            )
            known += re.findall(r"[\w./-]+/dataloader_idx_\d", said[1]) if said else []
            return _not_logged(recording, owner, key, known, failure.place if failure else None)
    return None


def _not_logged(recording: Recording, owner: str, key: str, known: Sequence[str], place: Place | None) -> Finding:
    names = [name for name in dict.fromkeys(known) if name not in ("epoch", "step")]
    by_step = [c for c in recording.all(LogCall) if c.name == key and not by_epoch(c)]
    loaders = [name for name in names if name.startswith(f"{key}/dataloader_idx_")]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    fix = f'self.log("{key}", value, on_epoch=True)'
    if loaders:
        cause = f"With several loaders Lightning logs {listed(loaders[:2])}; the plain key is not there."
        fix = f"monitor={loaders[0]!r}, or add_dataloader_idx=False with one key for each loader"
    elif by_step:
        cause = f"`{key}` is logged in `{by_step[0].at.hook}` by step only: there is no value of the epoch."
        place = by_step[0].place
    elif near:
        cause, fix = f"No hook logs `{key}`; `{near[0]}` is logged.", f'monitor="{near[0]}"'
    else:
        cause = f"No hook logs it as a value of the epoch; logged are {listed(names) if names else 'none'}."
    return Finding(
        f"{owner} monitors `{key}`, which is not there when an epoch ends.",
        cause,
        fix,
        place or _owner_place(recording, owner, key),
    )


def _owner_place(recording: Recording, owner: str, key: str) -> Place | None:
    methods = ("configure_callbacks", "configure_optimizers")
    holding = next((m for m in methods if m in recording.methods and key in recording.methods[m].text), "")
    found = find_call(recording, [*methods, "__init__"], {owner})
    return found or (recording.method_place(holding) if holding else None)


def _by_step_only(calls: Sequence[LogCall]) -> Finding:
    return Finding(
        f"validation logs {listed(dict.fromkeys(c.name for c in calls))} by step only.",
        "on_epoch=False leaves no value of the epoch: early stopping, checkpoints and schedulers cannot monitor it.",
        f'self.log("{calls[0].name}", value, on_step=False, on_epoch=True)',
        calls[0].place,
        "warning",
    )


def _lost_with_loaders(recording: Recording, monitored: Monitored) -> Iterator[Finding]:
    """A key that gets a suffix as soon as there are several loaders, which the step is written for."""
    step = recording.methods.get("validation_step")
    call = next((c for c in recording.all(LogCall) if c.name == monitored.key and c.at.hook == "validation_step"), None)
    if step is None or call is None or recording.settled.loaders > 1:
        return
    if (
        re.search(r"dataloader_idx\b[^)]*=\s*0", step.text.partition(":\n")[0])
        and "add_dataloader_idx" not in step.text
    ):
        yield Finding(
            f"{monitored.owner} monitors `{monitored.key}`: `{monitored.key}/dataloader_idx_0` with two loaders.",
            "validation_step takes a dataloader_idx; with several loaders Lightning adds the index to each key.",
            f'self.log(f"{monitored.key}_{{dataloader_idx}}", value, add_dataloader_idx=False)',
            call.place,
            "advice",
        )
