"""Arguments that nobody gave: guessed, labelled, and never held against the module."""

from __future__ import annotations

import functools
import shlex
import time

import guessing_modules
import pytest
import pytorch_lightning as pl
import torch
from guessing_modules import STYLES, Plain
from torch import nn
from torch.nn import functional as F

from lightning_conformance import ConformanceError, check_module
from lightning_conformance.checks import CHECKS
from lightning_conformance.subjects.guessing import Guess, NotGuessed
from lightning_conformance.subjects.guessing.configs import guessed_config
from lightning_conformance.subjects.guessing.networks import KINDS, means_network, network, role_of
from lightning_conformance.subjects.guessing.slots import SIZES, WrongGuess
from lightning_conformance.subjects.parameters import parameters


def checked(cls, **options):
    return check_module(cls, environment="cpu", raise_on_failure=False, **options)


@functools.cache
def checked_style(name):
    """The report on a style, made once."""
    started = time.monotonic()
    return checked(STYLES[name]), time.monotonic() - started


def outcome_of(report):
    """Verdicts that neither passed nor do not apply, with what they say."""
    return [
        (v.check, v.outcome, v.reason, [f.message for f in v.findings])
        for v in report.verdicts
        if v.outcome not in ("passed", "not applicable")
    ]


@pytest.mark.parametrize("name", STYLES)
def test_a_module_with_required_arguments_trains_without_a_word(name):
    report, seconds = checked_style(name)
    (recording,) = report.recordings
    assert outcome_of(report) == []
    assert len(recording.steps) == 8
    assert recording.guessed
    assert seconds < 30


@pytest.mark.parametrize("name", STYLES)
def test_what_is_plain_can_be_pasted_back(name):
    (recording,) = checked_style(name)[0].recordings
    words = shlex.split(" ".join(recording.guessed))
    if any(word.partition("=")[2].startswith("<") for word in words):
        assert any("<" in text and not text.startswith("--") for text in recording.guessed)
        return
    report = checked(STYLES[name], init=[word for word in words if word != "--lightning-init"], guess=False)
    assert outcome_of(report) == []
    assert not report.recordings[0].guessed


def test_most_styles_are_plain():
    plain = [name for name in STYLES if not any("<" in text for text in checked_style(name)[0].recordings[0].guessed)]
    assert len(plain) >= 20


class Silent(pl.LightningModule):
    def __init__(self, in_features: int, encoder: nn.Module):
        super().__init__()
        self.encoder, self.layer = encoder, nn.Linear(in_features, 12)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.encoder(self.layer(x)), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def test_a_fault_that_no_guess_explains_still_fails():
    report = checked(Silent)
    assert [v.check for v in report.failed] == ["loss_returned"]
    # What nothing trains does not change: that is said, and not held against a guessed module.
    verdict = report.verdict("weights_update")
    assert verdict.outcome == "inconclusive"
    assert verdict.reason.startswith("constructor arguments were guessed: --lightning-init in_features=12 encoder=<")


class Unlogged(Silent):
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.encoder(self.layer(x)), y)


def test_a_loss_that_is_not_logged_fails_under_a_guess():
    assert [v.check for v in checked(Unlogged).failed] == ["train_loss_logged"]


class Diverging(Plain):
    def __init__(self, scale: float):
        super().__init__()
        self.net, self.scale = nn.Linear(4, 3), scale

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss / (self.scale - 1.0)


def test_what_may_be_the_guesss_fault_is_inconclusive():
    report = checked(Diverging)
    verdict = report.verdict("loss_is_finite")
    assert verdict.outcome == "inconclusive"
    assert "--lightning-init scale=1.0" in verdict.reason
    told = checked(Diverging, init={"scale": 1.0})
    assert told.verdict("loss_is_finite").failed


class Broken(Plain):
    def __init__(self, num_classes: int):
        super().__init__()
        self.net = nn.Linear(4, num_classes)

    def training_step(self, batch, batch_idx):
        return self.nett(batch)


def test_an_error_of_the_modules_own_is_shown_and_soon():
    started = time.monotonic()
    verdict = checked(Broken).verdict("training_completes")
    assert verdict.outcome == "inconclusive"
    assert "--lightning-init num_classes=4" in verdict.reason
    assert "has no attribute 'nett'" in verdict.reason
    assert time.monotonic() - started < 10


def test_the_checks_say_themselves_whether_they_depend_on_a_guess():
    assert {check.name for check in CHECKS.values() if check.depends_on_guess} >= {
        "training_completes",
        "loss_is_finite",
        "weights_update",
        "parameters_are_registered",
        "parameters_are_in_an_optimizer",
        "every_parameter_gets_a_gradient",
    }


# Nothing known: the error that lists.


class Environment:
    """What reinforcement learning would hand over."""


class NeedsEnvironment(Plain):
    def __init__(self, env: Environment, lr: float):
        super().__init__()


class NeedsTokenizer(Plain):
    def __init__(self, tokenizer, num_classes: int):
        super().__init__()


class NeedsPath(Plain):
    def __init__(self, checkpoint_path: str):
        super().__init__()


class NeedsSomething(Plain):
    def __init__(self, thing):
        super().__init__()


class NeedsDataModule(Plain):
    def __init__(self, dm: pl.LightningDataModule):
        super().__init__()


class NeedsTensor(Plain):
    def __init__(self, adjacency: torch.Tensor):
        super().__init__()


@pytest.mark.parametrize(
    ("cls", "unknown"),
    [
        (NeedsEnvironment, "env"),
        (NeedsTokenizer, "tokenizer"),
        (NeedsPath, "checkpoint_path"),
        (NeedsSomething, "thing"),
        (NeedsDataModule, "dm"),
        (NeedsTensor, "adjacency"),
    ],
)
def test_what_nothing_is_known_of_is_asked_for(cls, unknown):
    report = checked(cls)
    (finding,) = report.verdict("training_completes").findings
    assert "has required arguments without a value:" in finding.message
    assert f"Nothing is known of {unknown} by which a value could be guessed." in finding.message
    for parameter in parameters(cls):
        assert f"{parameter.name}  " in finding.message
        assert f"--lightning-init {parameter.name}=<" in finding.fix
    assert f"return {cls.__name__}({unknown}=..." in finding.fix
    assert "@conformance(init=lambda: dict(" in finding.fix
    assert report.recordings[0].guessed == ()


class Refusing(Plain):
    def __init__(self, num_classes: int, secret: int):
        super().__init__()
        if secret != 271828:
            raise RuntimeError(f"secret is wrong: {secret}")


def test_a_constructor_that_refuses_every_guess_says_what_was_tried():
    (finding,) = checked(Refusing).verdict("training_completes").findings
    assert "secret       int" in finding.message
    assert "Tried last: --lightning-init num_classes=" in finding.message
    assert "which raised RuntimeError: secret is wrong: " in finding.message
    assert "test_guessing.py:" in finding.message
    assert "--lightning-init num_classes=<int> --lightning-init secret=<int>" in finding.fix


class Unfeedable(Plain):
    def __init__(self, num_classes: int):
        super().__init__()
        self.net = nn.Linear(4, num_classes)

    def training_step(self, batch, batch_idx):
        if batch["magic"].sum() != 271828 or batch["magic"].shape != (3, 1, 4):
            raise ValueError("no magic")


def test_where_no_batch_is_found_the_guess_is_told():
    report = checked(Unfeedable)
    text = str(report)
    assert "--lightning-init num_classes=4" in text
    (recording,) = report.recordings
    if recording.failure.stage == "batch":
        assert "Constructor arguments were guessed: --lightning-init num_classes=" in recording.failure.advice
        assert "--lightning-init num_classes=<int>" in recording.failure.advice


def test_guessing_can_be_turned_off():
    for options in ({"guess": False}, {"strict": True}):
        with pytest.raises(ConformanceError, match="required arguments without a value"):
            check_module(STYLES["Scalars"], environment="cpu", **options)
    assert checked(STYLES["Scalars"], strict=True, guess=True).passed


def test_what_is_given_is_not_guessed():
    (recording,) = checked(STYLES["Scalars"], init={"hidden_dim": 7, "num_classes": 2}).recordings
    assert "hidden_dim" not in " ".join(recording.guessed)
    assert recording.init_text == "--lightning-init hidden_dim=7 --lightning-init num_classes=2"
    assert recording.batch_text.endswith("y: int[B]<2")


def test_defaults_are_kept():
    class Defaults(Plain):
        def __init__(self, in_features: int, num_classes: int = 3, encoder: nn.Module = None, cfg=None):
            super().__init__()
            assert (num_classes, encoder, cfg) == (3, None, None)
            self.net = nn.Linear(in_features, num_classes)

    assert checked(Defaults).recordings[0].guessed == ("--lightning-init in_features=12",)


# The command line.


GUESSED = """
class Sized(Model):
    def __init__(self, features: int, encoder: nn.Module, lr: float):
        super().__init__(features, lr)
        self.encoder = encoder
        self.net = nn.Sequential(nn.Linear(features, 12), encoder, nn.Linear(8, 1))


class Lost(Model):
    def __init__(self, features: int, env):
        super().__init__(features)
"""


def test_the_summary_prints_the_guess_in_pasteable_form(either_kit, items, said):
    either_kit.module(GUESSED)
    result = either_kit.run("--lightning-module=model.py:Sized", batch="")
    text = said(result)
    assert set(items(result).values()) <= {"passed", "skipped"}
    assert "  guessed     --lightning-init features=12 --lightning-init lr=0.001\n" in text
    assert "  guessed     encoder=<a small network: linear layers, 8 values out>; a function that returns" in text
    assert "  inferred    --lightning-batch 'x: float[B,12]" in text


def test_the_guess_is_told_even_in_a_quiet_run(kit, said):
    kit.module(GUESSED)
    assert "  guessed     --lightning-init features=12" in said(
        kit.run("-q", "--lightning-module=model.py:Sized", batch="")
    )


@pytest.mark.parametrize("option", ["--lightning-no-guess", "--lightning-strict", "ini"])
def test_an_option_or_the_ini_file_turns_it_off(kit, said, option):
    kit.module(GUESSED)
    if option == "ini":
        kit.write("pytest.ini", "[pytest]\nlightning_guess = false\n")
    text = said(kit.run("--lightning-module=model.py:Sized", *([] if option == "ini" else [option])))
    assert "has required arguments without a value" in text
    assert "  guessed  " not in text


def test_the_listing_error_is_a_failure(kit, items, said):
    kit.module(GUESSED)
    result = kit.run("--lightning-module=model.py:Lost")
    assert items(result)["model.py:Lost::cpu::training_completes"] == "failed"
    assert "Nothing is known of env" in said(result)
    assert "--lightning-module=model.py:make_module" in said(result)


# The parts.


def test_sizes_are_all_different_from_each_other_and_from_the_batchs():
    assert len({SIZES[n] for n in SIZES if n != "image"} | {5}) == len(SIZES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["model", "encoder", "decoder", "critic", "head"])
def test_networks_train(kind, role):
    made = network(role, kind, SIZES, None)
    inputs = {
        "vector": torch.randn(5, 12),
        "image": torch.randn(5, 3, 8, 8),
        "map": torch.randn(5, 3, 8, 8),
        "tokens": torch.randint(32, (5, 6)),
        "wrapped": torch.randint(32, (5, 6)),
    }[kind]
    if role in ("decoder", "head"):
        inputs = torch.randn(5, 8)
    out = made(inputs)
    (out["logits"] if isinstance(out, dict) else out).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_roles_are_read_off_names():
    names = ["encoder", "text_encoder", "decoder", "netG", "discriminator", "model", "backbone", "classifier"]
    assert all(map(means_network, names))
    assert [role_of(n) for n in names] == [
        "encoder", "encoder", "decoder", "decoder", "critic", "model", "encoder", "head",
    ]  # fmt: skip
    assert not any(map(means_network, ["lr", "num_classes", "n_critic", "model_name", "env", "tokenizer", "dataset"]))


def test_a_configuration_answers_what_is_read_and_leaves_defaults_in_force():
    read = []

    def answer(path):
        read.append(".".join(path))
        return guessed_config(answer, path, {}) if path[-1] == "model" else 3

    cfg = guessed_config(answer, ("cfg",), {"known": 1})
    assert cfg.known == cfg["known"] == 1
    assert cfg.a == cfg["b"] == cfg.model.c == cfg.model["d"] == cfg.pop("e") == 3
    assert cfg.get("f") is None
    assert cfg.get("f", 2) == cfg.pop("f", 2) == getattr(cfg, "f", 2) == 2
    assert not hasattr(cfg, "f")
    assert "f" not in cfg
    assert read == ["cfg.a", "cfg.b", "cfg.model", "cfg.model.c", "cfg.model.d", "cfg.e"]
    assert vars(cfg)["a"] == {**cfg}["a"] == 3


@pytest.mark.parametrize(
    "use", [lambda c: 2 * c, lambda c: c < 1, lambda c: range(c), lambda c: float(c), lambda c: c(), lambda c: c[0]]
)
def test_a_configuration_that_is_used_as_something_else_says_where(use):
    with pytest.raises(WrongGuess) as caught:
        use(guessed_config(lambda path: 1, ("cfg", "x"), {}))
    assert caught.value.path == ("cfg", "x")


def test_a_search_is_bounded():
    def stubborn(cfg):
        raise ValueError(f"no {cfg.a} {cfg.b} {cfg.c} {cfg.d}")

    guess = Guess(stubborn, parameters(stubborn), seconds=2)
    started = time.monotonic()
    with pytest.raises(NotGuessed):
        guess.construct(lambda values: stubborn(**values))
    assert time.monotonic() - started < 4
    assert guess.attempts <= 81


def test_failed_tries_do_not_change_what_the_seed_gives():
    class Picky(nn.Module):
        def __init__(self, mode: str):
            super().__init__()
            self.layer = nn.Linear(2, 2)
            if mode not in ("first", "second"):
                raise ValueError("mode must be 'second'")

    guess = Guess(Picky, parameters(Picky))
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        weights.append(guess.construct(lambda values: Picky(**values)).layer.weight)
    assert torch.equal(*weights)


def test_the_modules_of_this_file_are_many():
    assert len(guessing_modules.STYLES) >= 25
