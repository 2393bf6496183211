"""The data that a module brings along: they are there for every entry point, and in every process."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_attribute_assignment, find_call, method_tree
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.checks.wording import listed
from lightning_conformance.recording.events_batches import LoaderTried, PreparedState
from lightning_conformance.recording.model import Failure, Recording

_HOOKS = ("setup", "prepare_data", "on_fit_start", "on_train_start", "on_train_epoch_start", "train_dataloader")


@check(family="data", since="0.2.0", regimes=("train", "own_data"), depends_on_guess=True)
def datasets_are_ready(train: Recording, own_data: Recording) -> Iterator[Finding]:
    """The module's own dataloaders give batches, whichever entry point asks first.

    ## How it judges
    Where the module has dataloaders of its own, asks a new instance for a batch as `fit`, `validate`, `test` and
    `predict` do. A loader that is None, a wrong signature, an attribute that `setup` assigns for another stage only,
    and a loader without a batch are reported.

    ## Why it matters
    `trainer.test(model)` in a process of its own is where it shows, after training. With a loader that gives no batch
    `fit` returns as if all were well.

    ## Example
    ```python
    def setup(self, stage):
        if stage == "fit":
            self.data = TensorDataset(torch.rand(16, 8), torch.arange(16) % 3)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=4)

    def test_dataloader(self):
        return DataLoader(self.data, batch_size=4)

    def test_step(self, batch, batch_idx):
        self.log("test_loss", F.cross_entropy(self(batch[0]), batch[1]))
    ```

    ## Use instead
    ```python
    def setup(self, stage):
        self.data = TensorDataset(torch.rand(16, 8), torch.arange(16) % 3)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=4)

    def test_dataloader(self):
        return DataLoader(self.data, batch_size=4)

    def test_step(self, batch, batch_idx):
        self.log("test_loss", F.cross_entropy(self(batch[0]), batch[1]))
    ```

    ## Legitimate exceptions
    Other errors (files that are not here, a download) prove nothing and are not reported. A loader that returns nothing
    on purpose, because loaders are given to `fit`, is left alone.
    """
    unclear: list[str] = []
    tried = list(own_data.all(LoaderTried))
    for one in tried:
        found = _failed(train, one, one.failure) if one.failure is not None else _empty(train, one)
        if found is not None:
            yield found
        elif one.failure is not None:
            unclear.append(f"{one.loader}: {one.failure.type}: {one.failure.message}")
        elif one.empty:
            unclear.append(f"{one.loader} gave no batch")
    if len(unclear) == len(tried):
        raise Inconclusive(f"its own data are not here: {unclear[0]}")


def _failed(train: Recording, one: LoaderTried, failure: Failure) -> Finding | None:
    said = f"`trainer.{one.entry}` on a new instance fails: {failure.type}: {failure.message}"
    place = train.method_place(one.loader)
    if re.search(r"[Ii]nvalid dataloader|Found None|must be implemented|not a valid dataloader", failure.message):
        if not _forgets_return(train, one.loader):
            return None
        return Finding(said, f"`{one.loader}` makes a loader and does not return it.", "return DataLoader(...)", place)
    if re.search(rf"{one.loader}\(\) (missing|takes)", failure.message):
        fix = f"def {one.loader}(self):"
        return Finding(said, f"Lightning calls `{one.loader}` without an argument.", fix, place)
    missing = re.search(r"has no attribute '(\w+)'", failure.message)
    written = failure.place.source if failure.place else ""
    if missing is None or f"self.{missing[1]}" not in written:
        return None
    at = find_attribute_assignment(train, [name for name in _HOOKS if name in train.methods], {missing[1]})
    if at is None:
        return None
    where = at.function.rpartition(".")[2]
    cause = f"`self.{missing[1]}` is assigned in `{where}`, and not in every stage: setup is called with {one.entry!r}."
    if where != "setup":
        cause = f"`self.{missing[1]}` is assigned in `{where}`, which `trainer.{one.entry}` does not call before."
    fix = f"Assign self.{missing[1]} in setup for every stage."
    return Finding(said, cause, fix, at if where == "setup" else failure.place, detail=failure.traceback)


def _empty(train: Recording, one: LoaderTried) -> Finding | None:
    why = {
        "drop_last": ("It has fewer samples than the batch size, and drop_last=True leaves none.", "drop_last=False"),
        "None": ("The collate function, or the data set, gives None for a batch.", "return batch  # in collate_fn"),
    }.get(one.empty)
    if why is None:
        return None
    end = "trains on nothing" if one.entry == "fit" else "looks at nothing"
    place = find_call(train, [one.loader], {"DataLoader"}) or train.method_place(one.loader)
    level = "error" if one.entry == "fit" else "warning"
    message = f"`{one.loader}` gives no batch: `trainer.{one.entry}` {end}, and ends without an error."
    return Finding(message, *why, place, level)  # type: ignore[arg-type]


def _forgets_return(train: Recording, loader: str) -> bool:
    method = train.methods.get(loader)
    tree = method_tree(method) if method else None
    if tree is None:
        return False
    returns = any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(tree))
    return not returns and any(isinstance(n, ast.Call) for n in ast.walk(tree))


@check(family="data", severity="warning", since="0.2.0", needs_steps=False)
def prepare_data_assigns_nothing(recording: Recording) -> Iterator[Finding]:
    """`prepare_data` leaves nothing on the module that other hooks need.

    ## How it judges
    Compares the attributes of the module, or of its DataModule, before and after `prepare_data`.

    ## Why it matters
    Lightning calls `prepare_data` in one process only. With several devices the attribute is missing in all the
    others.

    ## Example
    ```python
    def prepare_data(self):
        self.data = TensorDataset(torch.rand(16, 8), torch.arange(16) % 3)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=4)
    ```

    ## Use instead
    ```python
    def prepare_data(self):
        pass  # downloads into a folder, from which setup reads

    def setup(self, stage):
        self.data = TensorDataset(torch.rand(16, 8), torch.arange(16) % 3)

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=4)
    ```

    ## Legitimate exceptions
    What `setup` assigns again, and what no other method reads, is left alone.
    """
    for event in recording.all(PreparedState):
        yield Finding(
            f"`{event.owner}.prepare_data` assigned {listed(event.names)}, which {listed(event.readers)} "
            f"{'reads' if len(event.readers) == 1 else 'read'}.",
            "prepare_data runs in one process only, and once for all of them: in the others the attribute is missing.",
            f"def setup(self, stage): self.{event.names[0]} = ...  # prepare_data only downloads",
            find_attribute_assignment(recording, ["prepare_data"], set(event.names)) or event.place,
            "warning",
        )
