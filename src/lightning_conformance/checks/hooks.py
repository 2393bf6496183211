"""Hooks: what Lightning calls, under which name, with which arguments."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

from lightning_conformance.checks.hooks_table import REMOVED, REMOVED_OF_TRAINER, WORDS
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import method_tree
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count, listed
from lightning_conformance.recording.events_hooks import (
    HooksKnown,
    MethodSeen,
    Parameter,
    StrangerSeen,
    TrainerNameMissing,
)
from lightning_conformance.recording.model import Recording

# What a name that resembles a hook begins or ends with.
_BEGINS = ("on_", "configure_")
_ENDS = ("_step", "_epoch_end", "_epoch_start", "_dataloader", "_step_end", "_batch_end", "_batch_start")
_ENDS_ALIKE = ("_steps", "_dataloaders", "_loader", "_epoch_finish", "_epoch_begin", "_batch_begin", "_batch_finish")
_NEAR = 0.82
_PUT_TOGETHER = re.compile(r"""getattr\(\s*self\s*,\s*f?["']([^"']*(?:\{|%s)[^"']*)["']""")
_POSITIONAL = ("positional_only", "positional_or_keyword")
# Called with keywords: the names matter.
_BY_NAME = {"setup": ("stage",), "teardown": ("stage",)}
_STEPS = ("training_step", "validation_step", "test_step", "predict_step")


def _hooks(recording: Recording) -> tuple[str, ...]:
    known = next(recording.all(HooksKnown), None)
    if known is None:
        raise Inconclusive("the run ended before the module's methods were looked at (see training_completes)")
    return known.names


@check(family="hooks", since="0.2.0", needs_steps=False)
def every_hook_is_known(recording: Recording) -> Iterator[Finding]:
    """Every method that looks like a hook is one that Lightning calls.

    ## How it judges
    Compares the methods of your class with the hooks of the installed Lightning: names that were removed, names that
    only callbacks have, and names that are spelt almost like a hook. A method that your own code names elsewhere, or
    that a base class of another library has, is taken for a helper.

    ## Why it matters
    Lightning does not say that it never calls a method. What stands in it does not happen.

    ## Example
    ```python
    def on_fit_start(self):
        self.seen = 0

    def on_training_epoch_end(self):
        self.seen += 1
    ```

    ## Use instead
    ```python
    def on_fit_start(self):
        self.seen = 0

    def on_train_epoch_end(self):
        self.seen += 1
    ```

    ## Legitimate exceptions
    A module for Lightning 1 and 2 that defines both the old hook and the new one is reported as advice. A method that
    only other files call is reported where its name resembles a hook; name it otherwise, or waive the check.
    """
    known = _hooks(recording)
    defined = {method.name for method in recording.all(MethodSeen)}
    for method in recording.all(MethodSeen):
        if method.base is not None or method.mentioned or method.name in known:
            continue
        if _says_nothing(recording, method.name) or _may_be_put_together(recording, method.name):
            continue
        if method.name in REMOVED:
            yield _removed(method, defined)
        elif method.of_callback:
            yield Finding(
                f"`{method.name}` is never called: Lightning calls it on callbacks alone.",
                "LightningModule has no such hook.",
                "Move it to a Callback, and return that from configure_callbacks.",
                method.place,
            )
        elif near := _nearest(method.name, known):
            sure = method.name.startswith("on_") or method.name in ("train_step", "val_step", "valid_step", "eval_step")
            yield Finding(
                f"`{method.name}` is never called. Did you mean `{near}`?",
                "Lightning has no such hook, and your code does not name it either.",
                f"def {near}(self, ...):",
                method.place,
                "error" if sure else "warning",
            )


def _removed(method: MethodSeen, defined: set[str]) -> Finding:
    release, instead = REMOVED[method.name]
    both = instead.partition("(")[0] in defined
    return Finding(
        f"`{method.name}` is never called: it was removed in Lightning {release}.",
        "It is kept for old releases, beside the hook that took its place."
        if both
        else "Lightning ignores a method of that name without a word.",
        "" if both else f"def {instead}" if instead.endswith(":") else instead,
        method.place,
        "advice" if both else "error",
    )


def _nearest(name: str, known: tuple[str, ...]) -> str:
    if not (name.startswith(_BEGINS) or name.endswith((*_ENDS, *_ENDS_ALIKE))):
        return ""
    hooks = [hook for hook in known if hook.startswith(_BEGINS) or hook.endswith(_ENDS)]
    said = _in_lightnings_words(name)
    same = [hook for hook in hooks if _in_lightnings_words(hook) == said]
    if same:
        return same[0]
    if name.endswith(("_dataloader", "_step", *_ENDS_ALIKE)):
        return ""
    return next(iter(difflib.get_close_matches(name, hooks, n=1, cutoff=_NEAR)), "")


def _in_lightnings_words(name: str) -> list[str]:
    return [WORDS.get(word, word) for word in name.split("_")]


def _may_be_put_together(recording: Recording, name: str) -> bool:
    """Whether a method of the module asks for others by a name that it puts together, and may come to this one."""
    for method in recording.methods.values():
        for parts in _PUT_TOGETHER.findall(method.text):
            pattern = ".*".join(re.escape(part) for part in re.split(r"\{[^}]*\}|%s", parts))
            if re.fullmatch(pattern, name):
                return True
    return False


def _says_nothing(recording: Recording, name: str) -> bool:
    """Whether the method has no code: it is there for its name."""
    source = recording.methods.get(name)
    tree = method_tree(source) if source else None
    return tree is not None and all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in tree.body
    )


@check(family="hooks", since="0.2.0", needs_steps=False, explains_crash=True)
def hook_signatures_fit(recording: Recording) -> Iterator[Finding]:
    """Every hook takes what Lightning gives it.

    ## How it judges
    Compares the parameters of each overridden hook with those of the installed Lightning, also of hooks that the run
    did not reach.

    ## Why it matters
    The hook raises when it is first called: at the end of the first epoch, at the first checkpoint, in the test after
    days of training.

    ## Example
    ```python
    def on_fit_start(self):
        self.losses = []

    def validation_step(self, batch, batch_idx):
        self.losses.append(F.cross_entropy(self(batch[0]), batch[1]))

    def on_validation_epoch_end(self, outputs):
        self.log("val_loss", torch.stack(outputs).mean())
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
    A hook that takes `*args` fits, and so do parameters beyond Lightning's that have a default. The steps themselves
    are judged by running them.
    """
    known = set(_hooks(recording))
    judged = [m for m in recording.all(MethodSeen) if m.base is not None and m.name in known and _is_hook(m.name)]
    if not judged:
        raise NotApplicable("the module overrides no hook")
    for method in judged:
        if method.parameters is None or method.base is None:
            continue
        wrong, warns = _misfit(method.name, method.parameters, method.base)
        if wrong:
            names = ", ".join(["self", *(_written(p) for p in method.base)])
            yield Finding(
                f"`{method.name}` {wrong}.",
                "Its parameters are not those that Lightning calls it with.",
                f"def {method.name}({names}):",
                method.place,
                "warning" if warns else "error",
            )


def _is_hook(name: str) -> bool:
    own = ("setup", "teardown", "backward", "transfer_batch_to_device", "prepare_data", "lr_scheduler_step")
    return name.startswith(("on_", "optimizer_", "configure_")) or name.endswith("_dataloader") or name in own


def _misfit(name: str, own: tuple[Parameter, ...], base: tuple[Parameter, ...]) -> tuple[str, bool]:
    """What does not fit, and whether it only matters in some settings."""
    if any(p.kind == "var_positional" for p in own):
        return "", False
    places = [p for p in own if p.kind in _POSITIONAL]
    given = [p for p in base if p.kind in _POSITIONAL]
    surely = sum(p.required for p in given)
    needed = [p for p in places if p.required]
    takes_any_name = any(p.kind == "var_keyword" for p in own)
    if len(needed) > len(given) or any(p.kind == "keyword_only" and p.required for p in own):
        names = listed(p.name for p in needed[len(given) :] or own)
        return f"requires {names}, which Lightning does not give", False
    if len(places) < surely and not (takes_any_name and name in _BY_NAME):
        return f"takes {count(len(places), 'argument')}, and is given {surely}", False
    for word in _BY_NAME.get(name, ()):
        if not takes_any_name and word not in {p.name for p in own}:
            return f"has no parameter `{word}`, which Lightning gives by name", False
    if len(needed) > surely and needed[-1].name == "dataloader_idx":
        return "requires `dataloader_idx`, which Lightning gives only where there are several dataloaders", True
    return "", False


def _written(parameter: Parameter) -> str:
    star = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
    default = "" if parameter.required or star else "=0" if parameter.name == "dataloader_idx" else "=None"
    return f"{star}{parameter.name}{default}"


@check(family="hooks", severity="warning", since="0.2.0", caused_by=("training_completes",))
def batches_are_not_skipped(recording: Recording) -> Iterator[Finding]:
    """`training_step` sees every batch of an epoch.

    ## How it judges
    Counts the training steps of each epoch, where `on_train_batch_start` is overridden.

    ## Why it matters
    A hook that returns -1 ends the epoch: the batches that are left are not trained on, and validation is skipped.

    ## Example
    ```python
    def on_train_batch_start(self, batch, batch_idx):
        if batch_idx % 2:  # skip every other batch
            return -1
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        if batch_idx % 2:
            return None  # skips this batch alone
        x, y = batch
        return F.cross_entropy(self(x), y)
    ```

    ## Legitimate exceptions
    Ending an epoch early is documented, and may be meant: the finding is a warning.
    """
    place = recording.method_place("on_train_batch_start")
    if place is None:
        raise NotApplicable("on_train_batch_start is not overridden")
    seen: dict[int, set[int]] = {}
    for step in recording.steps:
        seen.setdefault(step.at.epoch, set()).add(step.at.batch)
    short = {epoch: len(batches) for epoch, batches in seen.items() if len(batches) < recording.batches}
    missing = recording.epochs - len(seen)
    if recording.completed and (short or missing) and recording.batch_source != "its own train_dataloader":
        least = 0 if missing else min(short.values())
        yield Finding(
            f"{least} of {count(recording.batches, 'batch', 'batches')} of an epoch reached training_step.",
            "on_train_batch_start returned -1, which ends the epoch, and skips validation with it.",
            "return None  # or limit_train_batches, if fewer batches are wanted",
            place,
            "warning",
        )


@check(family="hooks", severity="warning", since="0.2.0", needs_steps=False, explains_crash=True)
def trainer_api_is_current(recording: Recording) -> Iterator[Finding]:
    """What is read from `self.trainer` is there.

    ## How it judges
    Looks up every name that a method of yours reads from `self.trainer` in the installed Lightning, also in methods
    that the run did not reach.

    ## Why it matters
    The line raises AttributeError when it is first reached.

    ## Example
    ```python
    def on_test_end(self):
        print(self.trainer.progress_bar_dict)
    ```

    ## Use instead
    ```python
    def on_test_end(self):
        print(self.trainer.progress_bar_metrics)
    ```

    ## Legitimate exceptions
    A method that asks first (`hasattr`, `try`) is left alone. Attributes that your own code sets on the Trainer later
    are not known to the check.
    """
    _hooks(recording)
    for event in recording.all(TrainerNameMissing):
        instead = REMOVED_OF_TRAINER.get(event.name, event.near)
        yield Finding(
            f"`{event.method}` reads `self.trainer.{event.name}`, and the Trainer has no such attribute.",
            "It was removed, or is misspelt." + (f" `{instead}` is there." if instead else ""),
            f"self.trainer.{instead}" if instead else "",
            event.place,
            "warning",
        )


@check(family="hooks", severity="warning", since="0.2.0", needs_steps=False)
def one_lightning(recording: Recording) -> Iterator[Finding]:
    """Module and callbacks belong to one Lightning package.

    ## How it judges
    Looks at the classes of the callbacks that take part in the run.

    ## Why it matters
    `lightning` and `pytorch_lightning` are separate code: to a Trainer of one, a checkpoint or early stopping callback
    of the other is none. Its state is not saved, and what is asked of such callbacks is not found.

    ## Example
    ```python
    from pytorch_lightning.callbacks import EarlyStopping

    class Classifier(Model):
        def configure_callbacks(self):
            return [EarlyStopping("train_loss")]
    ```

    ## Use instead
    ```python
    from lightning.pytorch.callbacks import EarlyStopping

    class Classifier(Model):
        def configure_callbacks(self):
            return [EarlyStopping("train_loss")]
    ```

    ## Legitimate exceptions
    Both packages may be installed, and imported, as long as one of them makes the module, its callbacks and the
    Trainer. Only callbacks that the module brings are seen.
    """
    _hooks(recording)
    strangers = sorted({event.name for event in recording.all(StrangerSeen)})
    if strangers:
        package = recording.lightning.partition(" ")[0]
        yield Finding(
            f"{listed(strangers)} took part in the run of a module of {package}.",
            "Two Lightning packages are imported side by side.",
            f"from {package}.callbacks import ...",
            recording.method_place("configure_callbacks"),
            "warning",
        )
