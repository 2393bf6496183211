"""Validation, test and prediction: what they change, in which mode they run, whether they run at all."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.verdict import Finding, NotApplicable, Severity
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_evaluation import EntryTried, FunctionalInTraining, ValidationWatched
from lightning_conformance.recording.model import LogCall, MetricReceived, Place, Recording, WarningSeen

_HOOKS = (
    "validation_step",
    "on_validation_start",
    "on_validation_epoch_start",
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_validation_epoch_end",
    "on_validation_model_eval",
)
_DROPOUT = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")


def _validations(recording: Recording) -> list[ValidationWatched]:
    found = list(recording.all(ValidationWatched))
    if not found:
        raise NotApplicable("nothing was validated while training")
    return found


def _place(recording: Recording, names: tuple[str, ...]) -> Place | None:
    """The first of the user's methods among the names."""
    return next((place for name in names if (place := recording.method_place(name))), None)


@check(family="evaluation", since="0.2.0")
def validation_is_read_only(recording: Recording) -> Iterator[Finding]:
    """Validation changes no weight and no running statistics.

    ## How it judges
    Compares every parameter and buffer before and after each validation of the run, the sanity check included.

    ## Why it matters
    The model that goes on training is no longer the one that training left, and how much it differs depends on how
    often it is validated. Lightning switches gradients off meanwhile, not changes in place.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))

    def validation_step(self, batch, batch_idx):
        self.train()
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 3))

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Legitimate exceptions
    Weights that are swapped in for validation and swapped out again (averaged ones) have not changed. Buffers that
    count or collect during validation are advice.
    """
    found = _validations(recording)
    parameters = tuple(dict.fromkeys(name for each in found for name in each.parameters))
    statistics = tuple(dict.fromkeys(name for each in found for name in each.statistics))
    others = tuple(dict.fromkeys(n for each in found for n in each.buffers if n not in each.statistics))
    if parameters:
        yield Finding(
            f"{listed(parameters)} changed during validation.",
            "Something that runs in validation writes to parameters in place: that needs no gradient.",
            "p.clone()  # change a copy, or put the old values back in on_validation_end",
            _writing_place(recording, parameters) or _place(recording, _HOOKS),
        )
    if statistics:
        layers = tuple(dict.fromkeys(name.rpartition(".")[0] for name in statistics))
        yield Finding(
            f"the running statistics of {listed(layers)} changed during validation.",
            "The layer is in training mode there: it is fitted to validation data.",
            "self.eval()  # Lightning does it before validation: do not call .train() there",
            _train_call(recording) or _place(recording, _HOOKS),
        )
    if others:
        yield Finding(
            f"the buffer{'s' * (len(others) > 1)} {listed(others)} changed during validation.",
            "Validation in between changes what training goes on with, and what a checkpoint holds.",
            "",
            _writing_place(recording, others) or _place(recording, _HOOKS),
            "advice",
        )


def _train_call(recording: Recording) -> Place | None:
    return find_call(recording, _HOOKS, {"train"})


def _writing_place(recording: Recording, names: tuple[str, ...]) -> Place | None:
    """A call that writes in place, in what validation runs."""
    return find_call(
        recording,
        (*_HOOKS, "forward"),
        {"mul_", "add_", "sub_", "div_", "copy_", "fill_", "zero_", "lerp_", "normal_", "clamp_", "uniform_", "step"},
    )


@check(family="evaluation", since="0.2.0", caused_by=("validation_is_read_only",))
def evaluation_runs_in_evaluation_mode(recording: Recording) -> Iterator[Finding]:
    """Dropout and BatchNorm are in evaluation mode while the module is validated.

    ## How it judges
    Looks in which mode layers run during validation, and whether functions such as `F.dropout` are called as in
    training.

    ## Why it matters
    The validation loss is that of a noisier model: early stopping and checkpoints choose by chance.

    ## Example
    ```python
    def forward(self, x):
        return self.net(F.dropout(x, 0.5))

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Use instead
    ```python
    def forward(self, x):
        return self.net(F.dropout(x, 0.5, training=self.training))

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Legitimate exceptions
    Where only dropout layers are in training mode, and the module itself is not, Monte Carlo dropout is assumed:
    advice. A model that gives its loss in training mode only, as detection models do, is reported as a warning.
    """
    found = _validations(recording)
    for event in {event.name: event for event in recording.all(FunctionalInTraining)}.values():
        yield Finding(
            f"`{event.name}` was called as in training while validating.",
            "The function does not know the module's mode: unlike a layer it must be told.",
            f"F.{event.name}(..., training=self.training)",
            event.place or recording.method_place("forward"),
        )
    layers = {name: kind for each in found for name, kind in each.training_layers.items()}
    if layers:
        yield _layers_in_training(recording, layers, any(each.root_training for each in found))


def _layers_in_training(recording: Recording, layers: dict[str, str], root: bool) -> Finding:
    told = listed(name or "self" for name in layers)
    override = recording.method_place("on_validation_model_eval")
    monte_carlo = not root and all(kind in _DROPOUT for kind in layers.values()) and override is None
    severity: Severity = "advice" if monte_carlo else "error" if root else "warning"
    if override is not None:
        cause = "The overridden on_validation_model_eval does not switch the module to evaluation mode."
        fix = "self.eval()  # or leave the hook to Lightning"
    else:
        cause = "Something in validation calls .train(), or Lightning's switch to evaluation mode is undone."
        fix = "Leave the modes to Lightning: it calls self.eval() before validation, and restores them after it."
    if monte_carlo:
        cause, fix = "Dropout is kept on for Monte Carlo estimates, or was forgotten.", ""
    return Finding(
        f"{told} ran in training mode during validation.",
        cause,
        fix,
        override or _train_call(recording) or _place(recording, _HOOKS),
        severity,
    )


@check(
    family="evaluation",
    severity="warning",
    since="0.2.0",
    regimes=("train", "evaluate"),
    depends_on_guess=True,
    caused_by=("evaluation_runs_in_evaluation_mode", "validation_is_read_only", "metrics_are_reset"),
)
def evaluation_is_repeatable(train: Recording, evaluate: Recording) -> Iterator[Finding]:
    """Evaluating the same batches twice gives the same values.

    ## How it judges
    Runs `Trainer.validate` and `Trainer.test` twice on one instance and the same batches, with other random numbers.

    ## Why it matters
    Two checkpoints differ by luck, and the better one is not the one that is kept.

    ## Example
    ```python
    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return x + 0.1 * torch.randn_like(x), y

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Use instead
    ```python
    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y = batch
        return (x + 0.1 * torch.randn_like(x) if self.trainer.training else x), y

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Legitimate exceptions
    Values that are random by design (a diffusion loss at random times, sampled negatives) are advice: seed them, where
    models are compared by them.
    """
    compared = [e for e in evaluate.all(EntryTried) if e.failure is None and e.first]
    if not compared:
        raise NotApplicable("validation and test log nothing to compare")
    for event in compared:
        differ = {k: (v, event.second[k]) for k, v in event.first.items() if _differ(v, event.second.get(k))}
        if not differ:
            continue
        name, (one, other) = next(iter(differ.items()))
        hook = _place(train, ("on_after_batch_transfer", "on_before_batch_transfer", "transfer_batch_to_device"))
        by_hook = event.changed_batches and hook is not None
        yield Finding(
            f"`{name}` was {one:.6g} and {other:.6g} when Trainer.{event.entry} evaluated the same batches twice.",
            "A batch hook changes the batches at random; it runs in every loop, not in training alone."
            if by_hook
            else "Random numbers are drawn while evaluating, or state of the first time is used in the second.",
            "if self.trainer.training: ...  # around the augmentation" if by_hook else "",
            hook if by_hook else train.method_place(event.step),
            "warning" if by_hook else "advice",
        )


def _differ(one: float, other: float | None) -> bool:
    if other is None or one != one or other != other:
        return False
    return abs(one - other) > 1e-5 * max(1.0, abs(one), abs(other))


@check(family="evaluation", severity="warning", since="0.2.0")
def validation_is_logged(recording: Recording) -> Iterator[Finding]:
    """What validation finds out is logged.

    ## How it judges
    Sees whether anything was logged in the hooks of validation, or reached the logger from there.

    ## Why it matters
    A returned value goes nowhere: no curve, no early stopping, no best checkpoint.

    ## Example
    ```python
    def validation_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
    ```

    ## Use instead
    ```python
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Legitimate exceptions
    A step that returns nothing and logs nothing may draw pictures, or write files: advice.
    """
    found = [each for each in _validations(recording) if each.steps]
    if not found:
        raise NotApplicable("no validation step returned")
    stages = {"sanity", "validate"}
    logged = any(e.at.stage in stages for e in (*recording.all(LogCall), *recording.all(MetricReceived)))
    if logged:
        return
    steps, returned = sum(each.steps for each in found), sum(each.returned for each in found)
    yield Finding(
        f"{count(steps, 'validation step')} ran, and nothing was logged"
        + ("; what they returned went nowhere." if returned else "."),
        "Lightning logs nothing by itself, and does not use what validation_step returns.",
        'self.log("val_loss", loss)',
        recording.method_place("validation_step"),
        "warning" if returned and not _uses_outputs(recording) else "advice",
    )


def _uses_outputs(recording: Recording) -> bool:
    """Whether a hook of the module gets what the steps returned."""
    return any(recording.method_place(name) for name in ("on_validation_batch_end", "validation_epoch_end"))


@check(family="evaluation", severity="advice", since="0.2.0")
def validation_has_step_and_data(recording: Recording) -> Iterator[Finding]:
    """Data for validation meets a `validation_step`.

    ## How it judges
    Sees whether Lightning skips validation, since a loader is there and no `validation_step`, or the loader is empty.

    ## Why it matters
    The data is prepared at each start, and nothing is ever validated with it.

    ## Example
    ```python
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(16, 8), torch.arange(16) % 3), batch_size=4)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(8, 8), torch.arange(8) % 3), batch_size=4)
    ```

    ## Use instead
    ```python
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(16, 8), torch.arange(16) % 3), batch_size=4)

    def val_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(8, 8), torch.arange(8) % 3), batch_size=4)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", F.cross_entropy(self(x), y))
    ```

    ## Legitimate exceptions
    A base class may leave `validation_step` to its subclasses. Loaders that others bring, other than a DataModule, are
    not looked at.
    """
    place = recording.method_place("val_dataloader")
    if place is None:
        raise NotApplicable("the module has no val_dataloader of its own")
    if recording.method_place("validation_step") is None:
        yield Finding(
            "the module has a val_dataloader and no validation_step: Lightning skips validation.",
            "validation_step is missing, or is spelt in another way.",
            "def validation_step(self, batch, batch_idx): ...",
            place,
            "advice",
        )
    elif any("Total length of" in w.message and "is zero" in w.message for w in recording.all(WarningSeen)):
        yield Finding(
            "the module's val_dataloader has no batch.",
            "Its data is empty, or drop_last drops the only batch.",
            "",
            place,
            "advice",
        )
