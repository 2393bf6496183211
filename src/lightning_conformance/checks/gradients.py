"""Gradients: accumulated over batches, clipped, and left by one optimizer's turn to another."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import line_of, method_tree, return_place, step_methods
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_gradients import GradientsClipped, GradientsLeft, GradientsScaled
from lightning_conformance.recording.model import Place, Recording

_ALIGNED, _NEAR = 0.999, 0.02


@check(family="optimization", severity="error", since="0.2.0", regimes=("train", "accumulate"))
def accumulation_keeps_the_gradient(train: Recording, accumulate: Recording) -> Iterator[Finding]:
    """Accumulating over batches gives the gradient of one batch.

    ## How it judges
    Trains on one batch, on the same batch twice with `accumulate_grad_batches=2`, and on a batch of twice the size,
    and compares the gradients before the first optimizer step.

    ## Why it matters
    Lightning divides the loss by `accumulate_grad_batches`. Divided by hand as well, the gradient shrinks with it.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        return loss / self.trainer.accumulate_grad_batches
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        return loss  # Lightning divides it
    ```

    ## Legitimate exceptions
    A loss that is summed over the batch is told as advice: some models are meant to be trained with one.
    """
    seen = {event.how: event for event in accumulate.all(GradientsScaled)}
    twice, doubled = seen.get("accumulated"), seen.get("doubled")
    if twice is None:
        raise Inconclusive("no gradient was seen before an optimizer step")
    if _is(twice, 0.5) and abs(twice.losses - 0.5) < _NEAR:
        yield Finding(
            "with accumulate_grad_batches=2 the gradient is half of that of one batch.",
            "training_step divides its loss by the number of accumulated batches; Lightning does that as well.",
            "return loss  # Lightning divides it",
            _division(train),
        )
    elif not _is(twice, 1.0):
        raise NotApplicable("the gradient depends on more than the batch")
    elif doubled is not None and _is(doubled, 2.0):
        yield Finding(
            "the gradient of a batch of twice the size is twice as large: the loss is a sum over the samples.",
            "With accumulate_grad_batches, and with each other batch size, the step has another size.",
            "Divide the loss by the number of samples.",
            return_place(train, "training_step"),
            "advice",
        )


def _is(seen: GradientsScaled, ratio: float) -> bool:
    return seen.aligned > _ALIGNED and abs(seen.ratio / ratio - 1) < _NEAR


def _division(recording: Recording) -> Place | None:
    methods = [*step_methods(recording), *(name for name in recording.methods if name != "__init__")]
    for name in dict.fromkeys(methods):
        tree = method_tree(recording.methods[name])
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Attribute) and node.attr == "accumulate_grad_batches":
                return line_of(recording.methods[name], node)
    return return_place(recording, "training_step")


@check(family="optimization", severity="error", since="0.2.0", regimes=("train", "clip"))
def gradient_clipping_works(train: Recording, clip: Recording) -> Iterator[Finding]:
    """The module's own configure_gradient_clipping clips gradients when the Trainer is asked to.

    ## How it judges
    Trains with a small `gradient_clip_val`, and compares the norm of the gradients before and after the hook.

    ## Why it matters
    The hook takes the place of Lightning's clipping: `gradient_clip_val` has no effect, and nothing says so.

    ## Example
    ```python
    def configure_gradient_clipping(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
        self.log("weight_norm", self.net.weight.norm())
    ```

    ## Use instead
    ```python
    def configure_gradient_clipping(self, optimizer, gradient_clip_val, gradient_clip_algorithm):
        self.log("weight_norm", self.net.weight.norm())
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
    ```

    ## Legitimate exceptions
    A hook that speaks of clipping and did not clip in this run, because of a limit of its own, is believed.
    """
    calls = [event for event in clip.all(GradientsClipped) if event.before > 2 * event.limit]
    if not calls:
        raise NotApplicable("no gradient was large enough to be clipped")
    if any(event.after != event.before for event in calls):
        return
    if _clips(train):
        raise NotApplicable("the module clips by a limit of its own, which was not reached")
    yield Finding(
        f"gradient_clip_val={calls[0].limit:g} left {count(len(calls), 'gradient')} as they were, "
        f"of a norm of up to {max(e.after for e in calls):.3g}.",
        "configure_gradient_clipping takes the place of Lightning's clipping, and does not clip.",
        "self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)",
        train.method_place("configure_gradient_clipping"),
    )


def _clips(recording: Recording) -> bool:
    """Whether the hook calls something that clips or changes gradients."""
    method = recording.methods.get("configure_gradient_clipping")
    tree = method_tree(method) if method else None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call):
            words = ast.unparse(node.func).lower()
            if any(word in words for word in ("clip", "clamp", "super", "mul_", "div_", "copy_", "scale")):
                return True
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(".grad" in ast.unparse(target) for target in targets if target is not None):
            return True
    return False


@check(family="optimization", severity="warning", since="0.2.0", caused_by=("closure_executed",))
def turns_do_not_mix_gradients(recording: Recording) -> Iterator[Finding]:
    """In manual optimization, the turn of one optimizer leaves no gradients to the step of another.

    ## How it judges
    Follows which parameters each backward pass gives gradients to, and which optimizer applies them.

    ## Why it matters
    Without `detach()` the loss of a discriminator is differentiated into the generator too; where nothing clears that,
    the generator's step adds it to its own gradient, and learns to help the discriminator.

    ## Example
    ```python
    # batch: float[4,8]
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(8, 8), nn.Linear(8, 1)

    def training_step(self, real, batch_idx):
        opt_g, opt_c = self.optimizers()
        fake = self.generator(torch.randn_like(real))
        opt_g.zero_grad(), opt_c.zero_grad()
        self.manual_backward((self.critic(fake) - self.critic(real)).mean())
        opt_c.step()
        self.manual_backward(-self.critic(self.generator(torch.randn_like(real))).mean())
        opt_g.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(net.parameters(), lr=0.1) for net in (self.generator, self.critic)]
    ```

    ## Use instead
    ```python
    # batch: float[4,8]
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(8, 8), nn.Linear(8, 1)

    def training_step(self, real, batch_idx):
        opt_g, opt_c = self.optimizers()
        fake = self.generator(torch.randn_like(real)).detach()
        opt_g.zero_grad(), opt_c.zero_grad()
        self.manual_backward((self.critic(fake) - self.critic(real)).mean())
        opt_c.step()
        self.manual_backward(-self.critic(self.generator(torch.randn_like(real))).mean())
        opt_g.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(net.parameters(), lr=0.1) for net in (self.generator, self.critic)]
    ```

    ## Legitimate exceptions
    Two losses that are meant to train one part together, stepped one after the other, look the same.
    """
    if recording.automatic or sum(facts.configured for facts in recording.optimizers) < 2:
        raise NotApplicable("no turns: the module has not several optimizers that it steps itself")
    left = list(recording.all(GradientsLeft))
    for added in (True, False):
        of_kind = [event for event in left if event.added is added]
        if of_kind:
            yield _left(of_kind[0], len(of_kind))
            return


def _left(event: GradientsLeft, times: int) -> Finding:
    what = f"the backward pass for the step of optimizer {event.stepped} also gave gradients to "
    what += f"{count(event.parameters, 'parameter')} of optimizer {event.other}"
    if not event.added:
        return Finding(
            f"{what}, which were thrown away.",
            "What the other part made is not detached: its graph is differentiated for nothing.",
            "detach() what the other part made, or compute it under torch.no_grad()",
            event.place,
            "advice",
        )
    return Finding(
        f"{what}, whose step added them to its own ({count(times, 'time')}).",
        "What the other part made is not detached, and zero_grad does not stand between the two: "
        "one part is trained by the loss of the other.",
        "detach() what the other part made; zero_grad() right before each backward pass",
        event.place,
        "warning",
    )
