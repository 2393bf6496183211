"""What loss functions are given: operands of one shape, scores of the right kind, terms with a graph."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call
from lightning_conformance.checks.verdict import Finding, Inconclusive
from lightning_conformance.checks.wording import number
from lightning_conformance.recording.events_operations import ScoresTaken, ShapesDiffered, TermWithoutGraph
from lightning_conformance.recording.model import Place, Recording

_LAYERS = {
    "softmax": {"Softmax", "softmax", "Softmax2d"},
    "log_softmax": {"LogSoftmax", "log_softmax"},
    "sigmoid": {"Sigmoid", "sigmoid"},
}
_NORMALISES = ("cross_entropy", "log_softmax", "logsumexp")
_NOT_LOGITS = {
    "binary_cross_entropy_with_logits": ("sigmoid", "softmax", "logsigmoid", "log_softmax"),
    "multilabel_soft_margin_loss": ("sigmoid", "softmax"),
}
_OF_LOGARITHMS = ("nll_loss", "kl_div", "ctc_loss")


def _require_steps(operations: Recording) -> None:
    if not operations.tape:
        raise Inconclusive("no training step was seen")


@check(family="loss", since="0.2.0", regimes=("train", "operations"))
def loss_shapes_match(train: Recording, operations: Recording) -> Iterator[Finding]:
    """Prediction and target of a loss have one shape.

    ## How it judges
    Looks at the operands of each loss function, and of differences, products and comparisons that a step computes:
    `(n, 1)` beside `(n,)` is broadcast to `(n, n)`, so that each prediction meets the target of every sample.

    ## Why it matters
    The loss has its minimum where every prediction is the mean of the targets. torch warns for `mse_loss` and a few
    others, and says nothing for `((prediction - target) ** 2).mean()`.

    ## Example
    ```python
    # batch: float[B,8], float[B]
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self(x), y)  # (B, 1) and (B,)
    ```

    ## Use instead
    ```python
    # batch: float[B,8], float[B]
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self(x).squeeze(-1), y)
    ```

    ## Legitimate exceptions
    Pairs that are meant (`a.unsqueeze(1) - b`, `a[:, None] - a`) are left alone. One target for several predictions
    is advice.
    """
    _require_steps(operations)
    seen: set[tuple[str, Place | None]] = set()
    for event in operations.all(ShapesDiffered):
        key = (event.operation, event.place)
        relevant = event.is_loss or event.in_loss or event.operation in ("eq", "ne")
        if relevant and key not in seen:
            seen.add(key)
            yield _broadcast(event)


def _broadcast(event: ShapesDiffered) -> Finding:
    message = f"`{event.operation}` was given {event.first} and {event.second}, broadcast to {event.result}."
    squeezed = "prediction.squeeze(-1), or target.unsqueeze(-1): the same shape for both"
    if event.result not in (event.first, event.second):
        cause = "Every prediction meets the target of every sample: the values do not mean what they should."
        level = "error" if event.is_loss or event.in_loss else "warning"
        return Finding(message, cause, squeezed, event.place, level)  # type: ignore[arg-type]
    if event.result == event.second:
        cause = "One prediction is compared with several targets; it can only learn their mean."
        return Finding(
            message, cause, "Give the last layer as many outputs as there are targets.", event.place, "warning"
        )
    cause = "One target stands for several predictions."
    return Finding(message, cause, "target.expand_as(prediction)  # if that is meant", event.place, "advice")


@check(family="loss", since="0.2.0", regimes=("train", "operations"))
def loss_takes_raw_scores(train: Recording, operations: Recording) -> Iterator[Finding]:
    """Each loss is given what it takes: raw scores, or probabilities, or their logarithms.

    ## How it judges
    Follows what `cross_entropy`, `binary_cross_entropy_with_logits`, `nll_loss`, `kl_div`, `ctc_loss` and
    `log_softmax` are given back to the operation that made it.

    ## Why it matters
    `cross_entropy` applies a softmax itself. With two of them the scores stay between 0 and 1, the loss never comes
    near zero, gradients are small, and training is slow or stuck; nothing says so. The negative log likelihood of
    raw scores has no lower bound at all.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x).softmax(dim=-1), y)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)
    ```

    ## Legitimate exceptions
    `log_softmax` before `cross_entropy` changes nothing but the time it takes: advice. Targets may be probabilities.
    """
    _require_steps(operations)
    seen: set[tuple[str, str, Place | None]] = set()
    for event in operations.all(ScoresTaken):
        key = (event.taker, event.given, event.place)
        if key not in seen:
            seen.add(key)
            yield from _scores(train, event)


def _scores(train: Recording, event: ScoresTaken) -> Iterator[Finding]:
    taker, given = event.taker, event.given
    place = _made_place(train, event)
    if event.dim is not None:
        yield Finding(
            f"`{taker}` takes the classes from dimension {event.dim[1]}, and the softmax was taken over dimension "
            f"{event.dim[0]}.",
            "The probabilities of all samples of the batch add up to one, and not those of the classes.",
            f"F.log_softmax(scores, dim={event.dim[1]})",
            place,
        )
    elif given == "one class":
        yield Finding(
            f"`{taker}` was given scores of a single class: the loss is always zero.",
            "A softmax over one value is 1, whatever the value.",
            "Two outputs, or F.binary_cross_entropy_with_logits(scores.squeeze(1), y.float()).",
            event.place,
        )
    elif taker in _OF_LOGARITHMS and given in ("softmax", "sigmoid", "raw"):
        what = "raw scores" if given == "raw" else f"the probabilities of a {given}"
        yield Finding(
            f"`{taker}` was given {what}.",
            f"`{taker}` takes logarithms of probabilities; of anything else its value means nothing.",
            "F.log_softmax(scores, dim=1)" + (", or F.cross_entropy(scores, y)" if taker == "nll_loss" else ""),
            place if given != "raw" else event.place,
        )
    elif taker in _NORMALISES and given in ("softmax", "sigmoid"):
        yield _twice(taker, given, place, "error" if given == "softmax" else "warning")
    elif taker == given:
        cause = "Of probabilities it gives values close to each other: the scores of the network are squeezed twice."
        yield Finding(f"`{taker}` was given the result of `{given}`.", cause, f"One {taker}.", event.place, "warning")
    elif given in _NOT_LOGITS.get(taker, ()):
        yield _twice(taker, given, place, "error")
    elif taker == "cross_entropy" and given == "log_softmax":
        yield Finding(
            "`cross_entropy` was given the result of `log_softmax`.",
            "It applies log_softmax itself; the second one changes nothing.",
            "F.nll_loss for log-probabilities, or cross_entropy for the raw scores.",
            place,
            "advice",
        )


def _twice(taker: str, given: str, place: Place | None, level: str) -> Finding:
    own = "a sigmoid" if taker.startswith(("binary", "multilabel")) else "a softmax"
    return Finding(
        f"`{taker}` was given the result of `{given}`.",
        f"It applies {own} itself: applied twice, the scores stay between 0 and 1 and the loss cannot become small.",
        f"{taker}(scores, ...)  # without the {given} before it",
        place,
        level,  # type: ignore[arg-type]
    )


def _made_place(train: Recording, event: ScoresTaken) -> Place | None:
    """Where the operation before the loss is written: called by name, or a layer made in a method of the class."""
    names = _LAYERS.get(event.given, set())
    runs = event.given_place
    if runs is None or any(name.lower() in runs.source.lower() for name in names):
        return runs or event.place
    constructed = find_call(train, ["__init__", *train.methods], names)
    return constructed or runs


@check(family="loss", severity="warning", since="0.2.0", regimes=("train", "operations"))
def every_part_of_the_loss_has_a_graph(train: Recording, operations: Recording) -> Iterator[Finding]:
    """Each term of the loss that is computed from parameters sends them a gradient.

    ## How it judges
    Looks at the terms that are added up to the loss: one that was computed from parameters that learn, and has lost
    its graph, is reported.

    ## Why it matters
    The term is part of the loss curve, and trains nothing.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        with torch.no_grad():
            penalty = self.net.weight.square().sum()
        return F.cross_entropy(self(x), y) + 0.01 * penalty
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        penalty = self.net.weight.square().sum()
        return F.cross_entropy(self(x), y) + 0.01 * penalty
    ```

    ## Legitimate exceptions
    A gradient that is stopped on purpose with `detach()` is advice. What becomes a Python number is not followed.
    """
    _require_steps(operations)
    seen: set[Place | None] = set()
    for event in operations.all(TermWithoutGraph):
        if event.place in seen:
            continue
        seen.add(event.place)
        off = event.how == "no_grad"
        yield Finding(
            f"a term of the loss, {number(event.value)} in {event.at.where}, has no graph ({event.how}).",
            "It is computed from parameters that learn, and they get no gradient from it.",
            "Compute it with the graph, or leave it out of the loss.",
            event.cut_place or event.place,
            "warning" if off else "advice",
        )
