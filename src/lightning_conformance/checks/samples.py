"""The samples of a batch are independent of each other."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_attribute_assignment, find_call
from lightning_conformance.checks.verdict import Finding, NotApplicable
from lightning_conformance.checks.wording import count
from lightning_conformance.recording.events_batches import SampleReplaced
from lightning_conformance.recording.model import Place, Recording

_RECURRENT = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
# How the nodes of a graph see each other; whether a batch is one, an inferred batch does not tell.
_OF_GRAPHS = ("matmul", "mm", "bmm", "einsum", "spmm", "index_add", "scatter_add", "index_select")
_ATTENTION = ("multi_head_attention_forward", "scaled_dot_product_attention", "transformer_encoder_layer_fwd")


@check(family="data", severity="warning", since="0.2.0", regimes=("train", "ladder"))
def samples_are_independent(train: Recording, ladder: Recording) -> Iterator[Finding]:
    """In evaluation mode the output for a sample does not depend on the other samples of the batch.

    ## How it judges
    Runs `forward` (or the networks that the training step calls without it) twice in evaluation mode, on what the
    training step gives it: the second time one sample of the batch is another one. The outputs for the other samples
    must be the same.

    ## Why it matters
    A prediction then depends on what it is batched with; a recurrent layer without `batch_first=True` reads across
    the samples of the batch as if they were time.

    ## Example
    ```python
    # batch: float[B,6,8], int[B]<3
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(8, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        outputs, _ = self.rnn(x)
        return self.head(outputs[:, -1])
    ```

    ## Use instead
    ```python
    # batch: float[B,6,8], int[B]<3
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(8, 16, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        outputs, _ = self.rnn(x)
        return self.head(outputs[:, -1])
    ```

    ## Legitimate exceptions
    A batch that is one set or one graph is a sample of its own; `forward` may compare samples on purpose (contrastive
    losses). Leave the check out there: `--lightning-ignore=samples_are_independent`.
    """
    compared = next(ladder.all(SampleReplaced), None)
    if compared is None:
        raise NotApplicable("no batch of another size could be made, or it fails (see any_batch_size_works)")
    if compared.why_not:
        raise NotApplicable(compared.why_not)
    if compared.changed:
        cause, fix, place = _leak(train, compared)
        yield Finding(
            f"another first sample changed the outputs of {compared.changed} of the {count(compared.others, 'other')} "
            f"of the batch, by up to {compared.difference:.2g} of their size.",
            cause,
            fix,
            place,
            "advice" if train.batch_source == "inferred" and set(compared.line) & set(_OF_GRAPHS) else "warning",
        )


def _leak(train: Recording, seen: SampleReplaced) -> tuple[str, str, Place | None]:
    layer = _RECURRENT.get(seen.operation)
    attends = seen.operation in _ATTENTION
    if layer or attends:
        names = {layer} if layer else {"MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer"}
        place = find_call(train, ["__init__", *train.methods], {name for name in names if name}) or seen.place
        what, source = f"nn.{layer}" if layer else "Attention", place.source if place else ""
        if "batch_first" not in source:
            cause = f"{what} takes the time dimension first, unless it is made with batch_first=True."
            return cause, "batch_first=True", place
    operation = f" (`{seen.operation}`)" if seen.operation else ""
    made = find_attribute_assignment(train, ["__init__", *train.methods], {seen.network}) if seen.network else None
    return (
        f"An operation{operation} works over the batch dimension: a softmax, mean, norm or reshape over dimension 0.",
        "Work over the dimension of the features (dim=-1), sample by sample.",
        seen.place or made or train.method_place("forward"),
    )
