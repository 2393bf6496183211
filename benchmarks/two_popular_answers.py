"""What Lightning really does with the modules of ``examples/two_popular_answers``.

Run it in the folder of the project, under any Lightning that is to be asked::

    python -m benchmarks.two_popular_answers             # facts, measured with a plain Trainer
    python -m benchmarks.two_popular_answers --verdicts  # what this kit says of each module, as Markdown

The facts come from a plain Trainer, two epochs of four seeded batches (8, 8, 8 and 4 samples), and a
callback, a logger and counters around the calls. Nothing of the kit takes part in them.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import logging
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import DataLoader, TensorDataset

FOLDER = Path("examples/two_popular_answers")
EPOCHS = 2
CLASSES = {
    "loss_not_returned": ("Claimed", "Right"),
    "optimizer_by_hand": ("Claimed", "Right", "RightByHand"),
    "validation_epoch_end": ("Claimed", "Right"),
    "last_step_as_mean": ("Claimed", "Right"),
    "callback_of_last_steps": ("Claimed", "Right"),
    "running_mean_in_step": ("Claimed", "Right"),
}


@dataclass
class Seen:
    """What one run showed."""

    module: Any
    trainer: Any = None
    counts: Counter[str] = field(default_factory=Counter)
    batch_losses: list[list[float]] = field(default_factory=list)
    logged: list[tuple[int, float]] = field(default_factory=list)
    keys_in_step: list[list[str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: BaseException | None = None
    start: torch.Tensor | None = None
    end: torch.Tensor | None = None

    @property
    def epoch_means(self) -> list[float]:
        """The batch-size weighted mean of the losses, per epoch."""
        sizes = (8, 8, 8, 4)
        return [
            sum(n * loss for n, loss in zip(sizes, losses, strict=False)) / sum(sizes) for losses in self.batch_losses
        ]


class Probe(pl.Callback):
    """Counts backward passes, and works out each batch's loss for itself just before the step."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.seen.batch_losses.append([])

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        with torch.no_grad():
            self.seen.batch_losses[-1].append(float(F.cross_entropy(pl_module(batch[0]), batch[1])))

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        self.seen.counts["backward"] += 1

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        keys = sorted(key for key in trainer.logged_metrics if key.startswith("train_loss"))
        if keys not in self.seen.keys_in_step:
            self.seen.keys_in_step.append(keys)


class Rows(Logger):
    """A logger that keeps each value of ``train_loss`` or its two suffixed names, with the epoch."""

    name = "rows"
    version = 0

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            if name.startswith("train_loss"):
                self.seen.logged.append((int(metrics["epoch"]), float(value)))


def module_class(file: str, name: str) -> type:
    """The class ``name`` of ``examples/two_popular_answers/<file>.py``."""
    spec = importlib.util.spec_from_file_location(f"two_popular_answers_{file}", FOLDER / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def batches() -> DataLoader[Any]:
    """28 seeded samples ``(x, y)``, in batches of 8, 8, 8 and 4."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(28, 8, generator=generator)
    return DataLoader(TensorDataset(x, x[:, :3].argmax(dim=1)), batch_size=8)


def fit(file: str, name: str, **trainer_options: Any) -> Seen:
    """Train one module with a plain Trainer and write down what it did; an exception is kept, not raised."""
    torch.manual_seed(0)
    cls = module_class(file, name)
    seen = Seen(cls())
    seen.start = seen.module.layer.weight.detach().clone()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with counted_calls(cls, seen.counts):
                seen.trainer = _trainer(seen, folder, **trainer_options)
                seen.trainer.fit(seen.module, batches(), batches())
        except Exception as error:
            seen.error = error
    seen.warnings = [str(warning.message) for warning in caught]
    seen.end = seen.module.layer.weight.detach().clone()
    return seen


@contextmanager
def counted_calls(cls: type, counter: Counter[str]) -> Iterator[None]:
    """Count, by name, the calls of ``training_step``, ``Optimizer.zero_grad`` and ``Optimizer.step``."""
    hook = register_optimizer_step_pre_hook(lambda *_: counter.update(["optimizer step"]))
    with counted(cls, "training_step", counter), counted(torch.optim.Optimizer, "zero_grad", counter):
        try:
            yield
        finally:
            hook.remove()


@contextmanager
def counted(cls: type, name: str, counter: Counter[str]) -> Iterator[None]:
    """Count the calls of the method ``name`` of ``cls``."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def counting(*args: Any, **kwargs: Any) -> Any:
        counter[name] += 1
        return method(*args, **kwargs)

    with mock.patch.object(cls, name, counting):
        yield


def _trainer(seen: Seen, folder: str, **options: Any) -> Any:
    defaults = {"max_epochs": EPOCHS, "log_every_n_steps": 1, "accelerator": "cpu", "devices": 1}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    plumbing = {"logger": Rows(seen), "callbacks": [Probe(seen)], "default_root_dir": folder}
    return pl.Trainer(**{**defaults, **quiet, **plumbing, **options})


def counts(seen: Seen) -> str:
    """The counted calls of a run in one line."""
    names = ("training_step", "zero_grad", "backward", "optimizer step")
    moved = "changed" if not torch.equal(seen.start, seen.end) else "unchanged"
    numbers = " · ".join(f"{name} {seen.counts[name]}" for name in names)
    return f"{numbers} · global_step {seen.trainer.global_step} · weights {moved}"


def numbers(values: Iterable[float]) -> str:
    """Values with four decimals, in brackets."""
    return "[" + ", ".join(f"{value:.4f}" for value in values) + "]"


def error_line(error: BaseException | None) -> str:
    """How a run ended: ``ran`` or the exception with the first sentence of its message."""
    if error is None:
        return "ran to its end"
    files = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    place = [f" (line {line} of {file.name})" for file, line in files if file.parent.name == FOLDER.name]
    sentence = str(error).partition(". ")[0]
    return f"{type(error).__name__}: {sentence}" + (place[-1] if place else "")


def per_epoch(seen: Seen) -> str:
    """How many ``train_loss`` values reached the logger, epoch by epoch."""
    rows = Counter(epoch for epoch, _ in seen.logged)
    return ", ".join(f"{rows[epoch]} in epoch {epoch}" for epoch in range(EPOCHS))


def loss_not_returned() -> Iterable[str]:
    for name in CLASSES["loss_not_returned"]:
        seen = fit("loss_not_returned", name)
        yield f"{name:8} {counts(seen)}"
        told = [text for text in seen.warnings if "training_step" in text and "None" in text]
        yield f"{'':8} warnings about it: {len(told)}" + (f', "{told[0].partition(". ")[0]}"' if told else "")


def optimizer_by_hand() -> Iterable[str]:
    for name in CLASSES["optimizer_by_hand"]:
        yield f"{name:11} {counts(fit('optimizer_by_hand', name))}"
    for accumulated in (1, 2):
        options = {"accumulate_grad_batches": accumulated}
        claimed = fit("optimizer_by_hand", "Claimed", **options)
        right = fit("optimizer_by_hand", "Right", **options)
        same = torch.equal(claimed.end, right.end) and claimed.batch_losses == right.batch_losses
        compared = "bit-identical" if same else "different"
        yield f"accumulate_grad_batches={accumulated}: Claimed and Right are {compared}"
        yield f"  epoch means: Claimed {numbers(claimed.epoch_means)}, Right {numbers(right.epoch_means)}"


def validation_epoch_end() -> Iterable[str]:
    for name in CLASSES["validation_epoch_end"]:
        seen = fit("validation_epoch_end", name)
        value = float(seen.trainer.callback_metrics.get("val_loss", float("nan")))
        yield f"{name:8} {error_line(seen.error)}"
        yield f"{'':8} training_step {seen.counts['training_step']} · val_loss {value:.4f}"
        yield f"{'':8} means of the epochs, training: {numbers(seen.epoch_means)}"


def last_step_as_mean() -> Iterable[str]:
    for name in CLASSES["last_step_as_mean"]:
        seen = fit("last_step_as_mean", name)
        last, mean = seen.batch_losses[-1][-1], seen.epoch_means[-1]
        yield f"{name:8} read {seen.module.final_epoch_loss:.4f} · values in the logger: {per_epoch(seen)}"
        yield f"{'':8} last batch {last:.4f} · mean of the epoch {mean:.4f}"
    default = fit("last_step_as_mean", "Claimed", log_every_n_steps=50)
    yield "Claimed with log_every_n_steps=50, the Trainer's default:"
    yield f"{'':8} read {default.module.final_epoch_loss:.4f} · values in the logger: {per_epoch(default)}"


def callback_of_last_steps() -> Iterable[str]:
    for name in CLASSES["callback_of_last_steps"]:
        seen = fit("callback_of_last_steps", name)
        yield f"{name:8} collected {numbers(seen.module.history.losses)}"
        last = numbers(losses[-1] for losses in seen.batch_losses)
        yield f"{'':8} last batches {last} · means of the epochs {numbers(seen.epoch_means)}"


def running_mean_in_step() -> Iterable[str]:
    for name in CLASSES["running_mean_in_step"]:
        seen = fit("running_mean_in_step", name)
        yield f"{name:8} {error_line(seen.error)}"
        if seen.error is None:
            read, mean = seen.module.mean_so_far, seen.epoch_means[-1]
            yield f"{'':8} running mean {read:.4f} · mean of the epoch {mean:.4f}"
            yield f"{'':8} names in logged_metrics: {' then '.join(map(', '.join, seen.keys_in_step))}"


MEASURED: tuple[Callable[[], Iterable[str]], ...] = (
    loss_not_returned,
    optimizer_by_hand,
    validation_epoch_end,
    last_step_as_mean,
    callback_of_last_steps,
    running_mean_in_step,
)


def print_facts() -> None:
    """Print what a plain Trainer did with each module."""
    print(f"Lightning {pl.__version__}")
    for measure in MEASURED:
        print(f"\n{FOLDER / measure.__name__}.py")
        for line in measure():
            print(f"  {line}")


def verdict_of(target: str) -> str:
    """What the kit says of one module, in one cell of a Markdown table."""
    from lightning_conformance import check_module

    verdicts = list(check_module(target, raise_on_failure=False).verdicts)
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    census = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    notes = [note for verdict in verdicts for note in notes_of(verdict)]
    unseen = Counter(verdict.reason for verdict in verdicts if verdict.outcome == "inconclusive")
    notes += [f"inconclusive, {number}: {reason}" for reason, number in unseen.items()]
    return "<br>".join([census, *notes]).replace("|", "\\|")


def notes_of(verdict: Any) -> Iterable[str]:
    """A line for each finding of a verdict: what was seen, and the cause."""
    for finding in verdict.findings:
        word = "failed" if finding.severity == "error" else finding.severity
        seen = " ".join(finding.message.partition(" You can use")[0].split())
        yield f"{word} `{verdict.check}`: {seen}" + (f" *{finding.cause}*" if finding.cause else "")


def print_verdicts() -> None:
    """Print the kit's verdict of each module as a Markdown table."""
    print(f"### Lightning {pl.__version__}\n\n| module | verdict |\n| --- | --- |")
    for file, names in CLASSES.items():
        for name in names:
            print(f"| `{file}.py:{name}` | {verdict_of(f'{(FOLDER / file).as_posix()}.py:{name}')} |")


def main() -> None:
    """Print the facts, or the verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--verdicts", action="store_true", help="print what the kit says instead, as Markdown")
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    print_verdicts() if parser.parse_args().verdicts else print_facts()


if __name__ == "__main__":
    main()
