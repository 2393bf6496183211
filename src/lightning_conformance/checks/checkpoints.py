"""Checkpoints: what they keep, whether they load, whether training goes on from them."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_assignment, find_call
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable, Severity
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.events_checkpoints import CheckpointSaved, LoadTried, StartedAgain
from lightning_conformance.recording.model import Failure, Place, Recording

_CONFIGURES = ("setup", "configure_model", "configure_sharded_model", "on_fit_start")


STATE_HOOKS = ("on_load_checkpoint", "state_dict", "on_save_checkpoint", "load_state_dict")


def saved_checkpoint(round_trip: Recording) -> CheckpointSaved:
    """The checkpoint that was written.

    Raises:
        Inconclusive: None was.
    """
    saved = next(round_trip.all(CheckpointSaved))
    if saved.failure is not None:
        raise Inconclusive("no checkpoint could be written (see checkpoint_is_written)")
    return saved


def tried(round_trip: Recording, how: str) -> LoadTried | None:
    """What one way of loading gave; None where it was not tried."""
    return next((each for each in round_trip.all(LoadTried) if each.how == how), None)


def saves_hyperparameters(train: Recording) -> Place | None:
    """Where the constructor calls ``save_hyperparameters``, if it does."""
    return find_call(train, ["__init__"], {"save_hyperparameters"})


@check(family="checkpoints", since="0.2.0", regimes=("train", "round_trip"))
def checkpoint_is_written(train: Recording, round_trip: Recording) -> Iterator[Finding]:
    """A checkpoint of the module can be written.

    ## How it judges
    Calls `trainer.save_checkpoint` after an epoch.

    ## Why it matters
    Training ends at the first checkpoint. `fast_dev_run` writes none, and does not tell.

    ## Example
    ```python
    def on_save_checkpoint(self, checkpoint):
        checkpoint["activation"] = lambda x: x
    ```

    ## Use instead
    ```python
    def on_save_checkpoint(self, checkpoint):
        checkpoint["activation"] = "identity"
    ```

    ## Legitimate exceptions
    None is known: what cannot be saved cannot be resumed either.
    """
    failure = next(round_trip.all(CheckpointSaved)).failure
    if failure is not None:
        yield Finding(
            f"no checkpoint can be written: {failure.type}: {first_line(failure)}",
            "What on_save_checkpoint or state_dict puts into it cannot be pickled, or the hook fails.",
            "Keep tensors, numbers, texts, lists and dicts in it.",
            failure.place or first_place(train, ("on_save_checkpoint", "state_dict")),
            detail=failure.traceback,
        )


def _state_does_not_fit(train: Recording, failure: Failure) -> Finding:
    override = first_place(train, STATE_HOOKS)
    if override is None and failure.place is None:
        return Finding(
            f"its state cannot be loaded into a new instance: {failure.type}: {first_line(failure)}",
            "Layers or buffers are made, or change their shape, after the constructor.",
            "Make them in __init__, or in configure_model; load with trainer.fit(ckpt_path=...).",
            first_place(train, ("setup", "configure_model")),
            "advice",
        )
    return Finding(
        f"its state cannot be loaded into the same module: {failure.type}: {first_line(failure)}",
        "on_load_checkpoint expects what was not saved, or state_dict does not give what load_state_dict takes.",
        'checkpoint.get("queue")  # or save it in on_save_checkpoint; keep all keys of super().state_dict()',
        failure.place or override,
        detail=failure.traceback,
    )


def first_line(failure: Failure) -> str:
    """The first line of its message."""
    return next(iter(failure.message.splitlines()), "")


def first_place(recording: Recording, names: tuple[str, ...]) -> Place | None:
    """Where the first of these methods stands that the user defines."""
    return next((place for name in names if (place := recording.method_place(name))), None)


@check(
    family="checkpoints",
    since="0.2.0",
    regimes=("train", "round_trip"),
    caused_by=("checkpoint_is_written", "hyperparameters_are_plain"),
)
def checkpoint_loads(train: Recording, round_trip: Recording) -> Iterator[Finding]:
    """A checkpoint of the module can be loaded.

    ## How it judges
    Calls `load_from_checkpoint(path)`, and loads the state into an instance that was built as before.

    ## Why it matters
    What was trained cannot be used, or only by who knows all arguments of the constructor.

    ## Example
    ```python
    def on_save_checkpoint(self, checkpoint):
        checkpoint["best_accuracy"] = 0.5

    def on_load_checkpoint(self, checkpoint):
        self.best = checkpoint["best"]
    ```

    ## Use instead
    ```python
    def on_save_checkpoint(self, checkpoint):
        checkpoint["best"] = 0.5

    def on_load_checkpoint(self, checkpoint):
        self.best = checkpoint["best"]
    ```

    ## Legitimate exceptions
    A module with required arguments that saves no hyperparameters may be meant to be loaded with arguments, and layers
    that are made while training, with `trainer.fit(ckpt_path=...)`: advice. An argument that `save_hyperparameters`
    leaves out is a warning.
    """
    saved_checkpoint(round_trip)
    built = tried(round_trip, "built as before")
    if built is not None and built.failure is not None:
        yield _state_does_not_fit(train, built.failure)
        return
    alone = tried(round_trip, "any pickle") or tried(round_trip, "without arguments")
    if alone is None or alone.failure is None or train.is_guessed:
        return
    place = saves_hyperparameters(train)
    severity: Severity = "warning" if place else "advice"
    yield Finding(
        f"load_from_checkpoint(path) raises {alone.failure.type}: {first_line(alone.failure)}",
        "save_hyperparameters leaves out a required argument: it cannot be pickled, or is ignored."
        if place
        else "The constructor requires arguments, and the checkpoint does not hold them.",
        "Give what was left out: Class.load_from_checkpoint(path, net=...)"
        if place
        else "self.save_hyperparameters()  # in __init__; or Class.load_from_checkpoint(path, ...)",
        place or train.method_place("__init__"),
        severity,
    )


@check(family="checkpoints", severity="warning", since="0.2.0", regimes=("train", "round_trip"))
def hyperparameters_are_plain(train: Recording, round_trip: Recording) -> Iterator[Finding]:
    """Saved hyperparameters can be read without executing a pickle.

    ## How it judges
    Looks at the types of what `save_hyperparameters` kept, and whether the checkpoint loads as it does by default.

    ## Why it matters
    Since torch 2.6 and Lightning 2.6 a checkpoint with a path, an enum, a NumPy number, a dataclass or a module among
    its hyperparameters is refused: by `load_from_checkpoint`, by `fit(ckpt_path=...)`, by `test(ckpt_path="best")`.

    ## Example
    ```python
    from pathlib import Path

    class Classifier(Model):
        def __init__(self, root=Path("data")):
            super().__init__()
            self.save_hyperparameters()
    ```

    ## Use instead
    ```python
    from pathlib import Path

    class Classifier(Model):
        def __init__(self, root="data"):
            super().__init__()
            self.save_hyperparameters()
            self.root = Path(root)
    ```

    ## Legitimate exceptions
    Who loads with `weights_only=False` everywhere does not meet it. What `save_hyperparameters(ignore=[...])` leaves
    out is not looked at, nor are arguments that the kit made up.
    """
    saved = saved_checkpoint(round_trip)
    if not saved.hyperparameters:
        raise NotApplicable("the module saves no hyperparameters")
    if saved.plain and not train.is_guessed:
        told = listed(f"{name}: {kind}" for name, kind in saved.plain.items())
        loads = tried(round_trip, "without arguments")
        refused = loads is not None and loads.failure is not None
        yield Finding(
            f"among the saved hyperparameters {told} can only be read by executing a pickle"
            + ("; load_from_checkpoint(path) refuses the checkpoint." if refused else "."),
            "Checkpoints are read with weights_only=True, which takes numbers, texts, lists, dicts and tensors.",
            'self.save_hyperparameters(ignore=["net"])  # and plain values for the others: str(path), float(x)',
            saves_hyperparameters(train),
            "warning",
        )


@check(family="checkpoints", since="0.2.0", regimes=("train", "round_trip"))
def setup_keeps_trained_layers(train: Recording, round_trip: Recording) -> Iterator[Finding]:
    """`setup` and `configure_model` leave layers alone that are there already.

    ## How it judges
    Gives a trained instance to a Trainer again, as `trainer.test(model)` after `fit` does, and compares its weights.

    ## Why it matters
    Lightning calls `setup` for every entry point: the test runs on random weights, and nothing says so.

    ## Example
    ```python
    def __init__(self):
        super().__init__()

    def setup(self, stage):
        self.net = nn.Linear(8, 3)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = None

    def setup(self, stage):
        if self.net is None:
            self.net = nn.Linear(8, 3)
    ```

    ## Legitimate exceptions
    Weights that are meant to begin anew with each fit are reported, too: waive the check.
    """
    again = next(round_trip.all(StartedAgain), None)
    if again is None:
        raise Inconclusive("the trained instance could not be started again")
    if again.changed:
        yield Finding(
            f"{listed(again.changed)} changed when the trained instance was given to another Trainer.",
            "A hook that runs at the start of every entry point makes its layers anew.",
            'if not hasattr(self, "head"): ...  # make layers once',
            first_place(train, _CONFIGURES),
        )


@check(family="checkpoints", severity="advice", since="0.2.0", regimes=("train", "round_trip"))
def checkpoint_is_no_larger_than_needed(train: Recording, round_trip: Recording) -> Iterator[Finding]:
    """What never trains does not fill the checkpoint.

    ## How it judges
    Compares the size of frozen parameters in the checkpoint with that of all.

    ## Why it matters
    A frozen teacher or backbone is written anew with every checkpoint.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.teacher = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 3)).requires_grad_(False)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y) + F.mse_loss(self(x), self.teacher(x))
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.teacher = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 3)).requires_grad_(False)
        self.strict_loading = False

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y) + F.mse_loss(self(x), self.teacher(x))

    def on_save_checkpoint(self, checkpoint):
        for name in self.teacher.state_dict(prefix="teacher."):
            del checkpoint["state_dict"][name]
    ```

    ## Legitimate exceptions
    What cannot be had again from elsewhere belongs into the checkpoint.
    """
    saved = saved_checkpoint(round_trip)
    if not saved.frozen:
        raise NotApplicable("the checkpoint holds no frozen parameters")
    share = saved.frozen / max(1, saved.bytes)
    if share > 0.5:
        yield Finding(
            f"{share:.0%} of a checkpoint is frozen: {listed(f'self.{name}' for name in saved.frozen_names)}.",
            "Frozen parameters are saved with every checkpoint.",
            "Leave them out in on_save_checkpoint, and load with strict=False, if they can be had from elsewhere.",
            next((p for name in saved.frozen_names if (p := find_assignment(train, name))), None),
            "advice",
        )
