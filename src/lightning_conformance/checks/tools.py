"""What is used around a Trainer works with the module: copies, serving, exports, a command line, a tuner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import shorten

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_attribute_assignment
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import number
from lightning_conformance.recording.events_tools import LearningRateTried, ToolTried
from lightning_conformance.recording.model import Recording

_NO_TRAINER = r"not attached to a `?Trainer|'NoneType' object has no attribute|result collection is not registered"


def _tried(recording: Recording, tool: str, otherwise: str) -> ToolTried:
    for event in recording.all(ToolTried):
        if event.tool == tool:
            return event
    raise NotApplicable(otherwise)


@check(family="tools", severity="warning", since="0.2.0", regimes=("train", "tools"))
def module_can_be_copied(train: Recording, tools: Recording) -> Iterator[Finding]:
    """A module that has been trained can be copied and pickled.

    ## How it judges
    Calls `copy.deepcopy` and `pickle` on a module after two steps, and looks for the attribute that stands in the way.

    ## Why it matters
    Stochastic weight averaging, an averaged copy of the weights and the tuner copy the module; starting processes
    pickles it.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.last_loss = loss
        return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.last_loss = loss.detach()
        return loss
    ```

    ## Legitimate exceptions
    That a module cannot be pickled is advice: it matters where processes are spawned.
    """
    copied = _tried(tools, "deepcopy", "no copy was tried")
    if copied.error:
        yield _not_copied(train, copied)
        return
    pickled = _tried(tools, "pickle", "pickling was not tried")
    if pickled.error and pickled.attribute:
        yield Finding(
            f"the module cannot be pickled: {_short(pickled.error)}",
            f"`{pickled.attribute}` holds a {pickled.kind}, which cannot.",
            "Make it of a function or class that has a name in its file, not of a lambda or a local one.",
            pickled.place,
            "advice",
        )


def _not_copied(train: Recording, copied: ToolTried) -> Finding:
    name = copied.attribute.rpartition(".")[2]
    later = find_attribute_assignment(train, [m for m in train.methods if m != "__init__"], {name}) if name else None
    graph = copied.kind == "non-leaf tensor"
    where = copied.attribute or "an attribute"
    cause = f"`{where}` holds a tensor with its graph." if graph else f"`{where}` holds a {copied.kind or 'thing'}."
    fix = f"{where} = value.detach()" if graph else f"Make {where} where it is needed, or leave it out of the module."
    return Finding(
        f"copy.deepcopy of the trained module fails: {_short(copied.error)}",
        cause,
        fix,
        later if graph and later else copied.place,
        "warning",
    )


def _short(text: str) -> str:
    return shorten(text, 200, placeholder="...")


@check(family="tools", severity="warning", since="0.2.0", regimes=("train", "tools"))
def forward_works_alone(train: Recording, tools: Recording) -> Iterator[Finding]:
    """`forward` works without a Trainer.

    ## How it judges
    Calls the trained module in evaluation mode, detached from its Trainer, with what `training_step` gave it.

    ## Why it matters
    Serving, exporting and testing a model call it where there is no Trainer.

    ## Example
    ```python
    def forward(self, x):
        scores = self.net(x)
        return scores if self.trainer.training else scores.softmax(dim=-1)
    ```

    ## Use instead
    ```python
    def forward(self, x):
        scores = self.net(x)
        return scores if self.training else scores.softmax(dim=-1)
    ```

    ## Legitimate exceptions
    Other errors than those of a missing Trainer are advice: the call may not be the one that is meant.
    """
    alone = _tried(tools, "forward", "training_step does not call the module's own forward")
    if not alone.error:
        return
    missing = re.search(_NO_TRAINER, alone.error) is not None
    yield Finding(
        f"forward fails where no Trainer is attached: {_short(alone.error)}",
        "forward uses self.trainer, or what hangs on it." if missing else "",
        "Use self.training and values of the module's own; read self.trainer in hooks." if missing else "",
        alone.place,
        "warning" if missing else "advice",
    )


@check(family="tools", severity="error", since="0.2.0", regimes=("train", "tools"), depends_on_guess=True)
def example_input_array_fits(train: Recording, tools: Recording) -> Iterator[Finding]:
    """`example_input_array` can be given to `forward`, and the module exported with it.

    ## How it judges
    Makes Lightning's model summary, which runs the example through the module; then tries `torch.export`.

    ## Why it matters
    A Trainer makes the summary when fit starts, so that a wrong example stops the run.

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.example_input_array = torch.zeros(2, 5)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.example_input_array = torch.zeros(2, 8)
    ```

    ## Legitimate exceptions
    Not every module can be exported: that is advice, unless the file exports it.
    """
    example = _tried(tools, "example", "the module sets no example_input_array")
    if example.error:
        yield Finding(
            f"example_input_array does not fit forward: {_short(example.error)}",
            "Lightning runs it through the module when fit starts: a tuple gives several arguments, a dict keywords.",
            "self.example_input_array = torch.zeros(...)  # one batch as forward takes it",
            example.place,
        )
        return
    exported = next((e for e in tools.all(ToolTried) if e.tool == "export"), None)
    if exported is not None and exported.error:
        yield Finding(
            f"torch.export fails with example_input_array: {_short(exported.error)}",
            "forward decides by the values of tensors, logs, or uses what cannot be traced.",
            "Use torch.where or masks in place of `if` on tensors; log in the steps, not in forward.",
            exported.place or train.method_place("forward"),
            "warning" if exported.wanted else "advice",
        )


@check(family="tools", severity="warning", since="0.2.0", regimes=("train", "tools"))
def cli_can_build_it(train: Recording, tools: Recording) -> Iterator[Finding]:
    """LightningCLI can build the module from what can be written in a file.

    ## How it judges
    Makes jsonargparse's parser of the constructor, as LightningCLI does, and builds the module with it.

    ## Why it matters
    An argument without annotation is handed over as it was written: a dict in place of a namespace or a network.

    ## Example
    ```python
    from lightning.pytorch.cli import LightningCLI

    class Classifier(Model):
        def __init__(self, hparams):
            super().__init__()
            self.net = nn.Linear(8, hparams.classes)

    if __name__ == "__main__":
        LightningCLI(Classifier)
    ```

    ## Use instead
    ```python
    from lightning.pytorch.cli import LightningCLI

    class Classifier(Model):
        def __init__(self, classes: int = 3):
            super().__init__()
            self.net = nn.Linear(8, classes)

    if __name__ == "__main__":
        LightningCLI(Classifier)
    ```

    ## Legitimate exceptions
    Advice, unless the module's own file uses LightningCLI.
    """
    built = _tried(tools, "cli", "the target is no class, or its arguments were guessed")
    if not built.error:
        return
    loose = built.error == "no annotation"
    said = (
        f"the argument `{built.attribute}` has no annotation" if loose else f"building it fails: {_short(built.error)}"
    )
    yield Finding(
        f"LightningCLI cannot build the module: {said}.",
        "The parser learns from annotations and defaults what an argument may be.",
        f"def __init__(self, {built.attribute}: nn.Module)" if loose else "Annotate each argument, and name it.",
        built.place,
        "warning" if built.wanted else "advice",
    )


@check(family="tools", severity="warning", since="0.2.0", regimes=("train", "tools"))
def learning_rate_is_used(train: Recording, tools: Recording) -> Iterator[Finding]:
    """`configure_optimizers` uses the learning rate that the module has.

    ## How it judges
    Sets `self.lr` or `self.learning_rate` (or the hyperparameter) to another value, as the learning rate finder does,
    and compares the optimizers and schedulers that come of it.

    ## Why it matters
    The finder tries a hundred rates without effect, and a sweep over the hyperparameter shows noise.

    ## Example
    ```python
    def __init__(self, lr=0.01):
        super().__init__()
        self.lr = lr
        self.net = nn.Linear(8, 3)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
    ```

    ## Use instead
    ```python
    def __init__(self, lr=0.01):
        super().__init__()
        self.lr = lr
        self.net = nn.Linear(8, 3)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
    ```

    ## Legitimate exceptions
    Where another method reads the rate, or the constructor made the optimizer with it, it has an effect: advice.
    """
    tried = list(tools.all(LearningRateTried))
    if not tried:
        raise NotApplicable("the module has no learning rate under a name that a tuner knows (lr, learning_rate)")
    if any(not t.same for t in tried):
        return
    first = tried[0]
    if train.parameters and not first.rates:
        raise Inconclusive("configure_optimizers returned no optimizer to compare")
    elsewhere = [m.text for name, m in train.methods.items() if name != "__init__"]
    is_read = any(re.search(rf"\b{first.attribute}\b(?!\s*=)", text) for text in elsewhere)
    yield Finding(
        f"`{first.attribute}` is {number(first.first)}, and the optimizer has {', '.join(map(number, first.rates))}; "
        f"with {number(first.second)} in its place nothing changes.",
        "configure_optimizers does not use it.",
        f"lr=self.{first.attribute}  # in configure_optimizers (or self.hparams.{first.attribute})",
        train.method_place("configure_optimizers"),
        "advice" if is_read or first.first in first.rates else "warning",
    )
