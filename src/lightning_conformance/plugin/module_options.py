"""The options about one module, as the command line and a line of the ini file have them."""

from __future__ import annotations

import argparse
from typing import Any

Word = tuple[str, Any]


class InOrder(argparse.Action):
    """Keep the options about modules in the order in which they were typed: each belongs to the module before it."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Append ``(word, value)``."""
        words = list(getattr(namespace, self.dest, None) or [])
        words.append(((option_string or self.option_strings[0]).removeprefix("--lightning-"), values))
        setattr(namespace, self.dest, words)


def add_module_options(add: Any) -> None:
    """Add them to a parser or a group, by its function that adds an option."""

    def about_a_module(name: str, metavar: str, text: str) -> None:
        add(name, action=InOrder, dest="lightning_words", metavar=metavar, default=None, help=text)

    about_a_module(
        "--lightning-module",
        "PATH:CLASS",
        "LightningModule to check: a file or dotted module, and a class, factory function or instance in it. "
        "May be repeated; the seven options below belong to the module before them, or to all if they stand first.",
    )
    about_a_module(
        "--lightning-init",
        "KEY=VALUE",
        "Constructor argument as key=value, or all of them as one JSON object. May be repeated.",
    )
    about_a_module(
        "--lightning-config",
        "FILE",
        "YAML file in LightningCLI's form (class_path and init_args, or a whole config with a model section).",
    )
    about_a_module(
        "--lightning-batch",
        "SPEC",
        "What a batch is: a spec such as 'x: float[8,10], y: int[8]<2', or PATH:NAME of a function that returns "
        "a batch or of a LightningDataModule. Default: the module's own dataloaders, or inference.",
    )
    about_a_module(
        "--lightning-val-batch",
        "SPEC",
        "What a validation batch is, where validation_step takes another than training_step: a spec, or PATH:NAME of a "
        "function that returns a batch. Default: the same, or another that is inferred where it must be.",
    )
    about_a_module(
        "--lightning-train-loss",
        "NAME",
        "Name under which the training loss is logged (ini: lightning_train_loss; default: train_loss).",
    )
    about_a_module(
        "--lightning-select",
        "CHECKS",
        "Judge with these checks only: names, families or patterns, separated by commas.",
    )
    about_a_module("--lightning-ignore", "CHECKS", "Judge without these checks: names, families or patterns.")
