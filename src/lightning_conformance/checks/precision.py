"""What would not run, or not compute the same, in another precision than float32: seen where that is used."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.precision_causes import at_line, cause_of
from lightning_conformance.checks.registry import check
from lightning_conformance.checks.source import find_call, optimizer_place, step_methods
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.checks.wording import number
from lightning_conformance.environments import ENVIRONMENTS, Precision
from lightning_conformance.recording.events_precision import (
    DtypesMet,
    NumberRounded,
    Overflowed,
    RefusedUnderAutocast,
)
from lightning_conformance.recording.model import BackwardRan, Failure, OptimizerStepped, Recording, StepRan

# What torch says where floating tensors of two dtypes meet.
_REFUSED = re.compile(
    r"(?i)same (?:scalar |d)type|dtypes? match|equal to src\.dtype|mixed dtype|scalar type \w+ but found"
    r"|expected dtype \S+ for|type \(.*\) and (?:bias|weight) type|scalar type \w+ but got scalar type"
    r"|Found dtype \w+ but expected|does not match weight dtype|tensors but got \w+ and \w+"
    r"|Recomputed values [\s\S]*?'dtype': (\S+),[\s\S]*?recomputed metadata: [\s\S]*?'dtype': (?!\1)"
)
# What it says where an operation has no such dtype, here or on a GPU.
_UNKNOWN = re.compile(
    r"Low precision dtypes not supported|Unsupported dtype|unsupported ScalarType|input tensor must be either float or"
    r"|unsafe to autocast|only supported for half, float and double|not implemented for '(?:BFloat16|Half)'"
)
_PROBABILITIES = (
    "A probability of low precision is 0 or 1 too soon, so its logarithm is infinite.",
    "F.binary_cross_entropy_with_logits(logits, target)  # without the sigmoid before",
)
_LARGEST = {"float16": "65504", "bfloat16": "3.4e38"}
_OVERFLOW = re.compile(r"cannot be converted to type .* without overflow")


@check(family="precision", explains_crash=True, needs_steps=False)
def dtypes_fit_together(recording: Recording) -> Iterator[Finding]:
    """What is computed together has one dtype, whatever the precision.

    ## How it judges
    In an environment of another precision, explains why an operation refused two floating dtypes: which tensor is
    odd, and the line that makes or casts it (`.float()`, `dtype=torch.float32`), the plain attribute that Lightning
    does not convert, or the result of autocast that is used where autocast is off. And, as a warning, which constant of
    float64 makes float64 of all that is computed from there on.

    ## Why it matters
    The module stops as soon as somebody trains it with `precision="bf16-mixed"` or `"bf16-true"`: "expected m1 and m2
    to have the same dtype". With a float64 constant it runs, on a GPU many times slower, and not at all on Apple's.

    ## Example
    ```python
    def forward(self, x):
        h = self.net(x)
        out = torch.zeros(len(x), 3)
        return out.index_add_(0, torch.arange(len(x)), h)
    ```

    ## Use instead
    ```python
    def forward(self, x):
        h = self.net(x)
        out = torch.zeros_like(h)
        return out.index_add_(0, torch.arange(len(x)), h)
    ```

    ## Legitimate exceptions
    A cast to float32 around a softmax, a norm or a loss is right, and passes as long as what meets it is cast, too.
    Numbers of Python and tensors without dimensions leave the dtype as it is.
    """
    _needs_precision(recording)
    yield from _refused(recording)
    for met in recording.all(DtypesMet):
        if not met.error:
            cause, fix, place = cause_of(met)
            message = f"`{met.operation}` gets {met.other} and a constant of float64{at_line(met, place)}"
            yield Finding(f"{message}, and all is float64 from there on.", cause, fix, place, "warning")


@check(family="precision", explains_crash=True, needs_steps=False)
def operations_know_the_dtype(recording: Recording) -> Iterator[Finding]:
    """Operations that need float32 are given float32, whatever the precision.

    ## How it judges
    In an environment of low precision, explains why an operation refused bfloat16 or float16: NumPy has no bfloat16;
    inverses, decompositions, Fourier transforms and quantiles are there for float32 and float64 only. And warns of what
    the CPU's autocast takes and that of CUDA refuses: `binary_cross_entropy`.

    ## Why it matters
    The module stops as soon as somebody trains it with `precision="bf16-mixed"` or on a GPU: "Got unsupported
    ScalarType BFloat16".

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.scores = logits.detach().cpu().numpy()
        return F.cross_entropy(logits, y)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        logits = self(x)
        self.scores = logits.detach().float().cpu().numpy()
        return F.cross_entropy(logits, y)
    ```

    ## Legitimate exceptions
    Where only the CPU has no kernel for the dtype, nothing is said: a GPU may have one.
    """
    _needs_precision(recording)
    for failure in _failures(recording):
        if _UNKNOWN.search(failure.message) and not failure.environment:
            yield _unknown(failure)
    for refused in recording.all(RefusedUnderAutocast):
        message = f"`{refused.operation}` runs under autocast, and on a GPU autocast refuses it."
        yield Finding(message, *_PROBABILITIES, refused.place, "warning")


@check(family="precision", explains_crash=True, needs_steps=False)
def values_fit_the_precision(recording: Recording) -> Iterator[Finding]:
    """No value is too large, or too near to 0 or 1, for a low precision.

    ## How it judges
    In an environment of low precision, explains why a number could not be converted, and why the loss is not finite:
    which operation overflows that does not in float32, or which number of the code is rounded to 0 or 1.

    ## Why it matters
    float16 ends at 65504 and at 6e-8, and bfloat16 has no number between 0.996 and 1: a mask of -1e9 stops the run, an
    epsilon of 1e-8 does nothing, and one nan makes every weight nan.

    ## Example
    ```python
    # batch: x: float[16,8], y: int[16]<3
    def training_step(self, batch, batch_idx):
        x, y = batch
        p = torch.softmax(40 * self(x), dim=1).bfloat16().clamp(1e-6, 1 - 1e-6)
        target = F.one_hot(y, 3)
        return -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    ```

    ## Use instead
    ```python
    # batch: x: float[16,8], y: int[16]<3
    def training_step(self, batch, batch_idx):
        x, y = batch
        target = F.one_hot(y, 3).float()
        return F.binary_cross_entropy_with_logits(40 * self(x), target)
    ```

    ## Legitimate exceptions
    Only values that occur in this short run are seen.
    """
    environment = _needs_precision(recording)
    if not environment.low:
        raise NotApplicable(f"in the environment {recording.environment} there is more room than in float32")
    for failure in _failures(recording):
        if _OVERFLOW.search(failure.message):
            largest = "torch.finfo(x.dtype).min"
            cause = f"{environment.low} has no such number: it ends at {_LARGEST[environment.low]}."
            yield Finding(f"{failure.type}: {failure.message}", cause, f"{largest}, or float('-inf')", failure.place)
    by_optimizer = [each for each in recording.all(NumberRounded) if each.by_optimizer]
    finite = _is_finite(recording)
    if by_optimizer and _was_well_at_first(recording) and (recording.failure or not finite):
        yield _of_optimizer(recording, by_optimizer[0])
    elif not finite:
        yield from _not_finite(recording)


def _needs_precision(recording: Recording) -> Precision:
    environment = ENVIRONMENTS.get(recording.environment)
    if not isinstance(environment, Precision):
        raise NotApplicable(f"the environment {recording.environment} computes in float32")
    return environment


def _failures(recording: Recording) -> list[Failure]:
    return [each for each in (recording.failure, recording.validation_failure) if each is not None]


def _refused(recording: Recording) -> Iterator[Finding]:
    for failure in _failures(recording):
        if not _REFUSED.search(failure.message):
            continue
        met = [each for each in recording.all(DtypesMet) if each.error == failure.message]
        said = f"{failure.type}: {failure.message}"
        if met:
            cause, fix, place = cause_of(met[-1])
            what = f"`{met[-1].operation}` gets {met[-1].odd} beside {met[-1].other}{at_line(met[-1], place)}."
            yield Finding(f"{what}\n{said}", cause, fix, place)
        else:
            cause = "A tensor of another dtype meets the layers or the loss; outside of a step torch makes float32."
            place = failure.place
            if "Recomputed" in said:
                cause = "In a backward pass torch makes float32 by default, and a checkpointed step is run again there."
                place = find_call(recording, step_methods(recording), {"checkpoint"}) or place
            yield Finding(said, cause, "dtype=self.dtype, or x.to(self.dtype)", place)


def _unknown(failure: Failure) -> Finding:
    said = f"{failure.type}: {failure.message}"
    if "unsafe to autocast" in said:
        return Finding(said, *_PROBABILITIES, failure.place)
    if "ScalarType" in failure.message:
        return Finding(said, "NumPy has no bfloat16.", "x.detach().float().cpu().numpy()", failure.place)
    return Finding(
        said,
        "The operation is there for float32 and float64 only.",
        "with torch.autocast(x.device.type, enabled=False): ...x.float()...  # and .to(x.dtype) after it",
        failure.place,
    )


def _is_finite(recording: Recording) -> bool:
    # What a loss scaler differentiates may be infinite: then it skips the step.
    kinds = StepRan if recording.environment == "16-mixed" else (StepRan, BackwardRan)
    return all(e.loss.finite for e in recording.tape if isinstance(e, kinds) and e.loss is not None)


def _was_well_at_first(recording: Recording) -> bool:
    """Whether an optimizer was stepped, and no loss before that was infinite."""
    for event in recording.tape:
        if isinstance(event, OptimizerStepped):
            return True
        if isinstance(event, (StepRan, BackwardRan)) and event.loss and not event.loss.finite:
            return False
    return False


def _of_optimizer(recording: Recording, rounded: NumberRounded) -> Finding:
    return Finding(
        f"{rounded.operation}'s eps of {rounded.number!r} is 0 in {rounded.dtype}, and the weights are not finite.",
        "Squares of small gradients are 0, too, and it divides by the root of them.",
        f'{rounded.operation}(..., eps=1e-4), or precision="16-mixed", where weights stay float32',
        optimizer_place(recording, {rounded.operation}),
    )


def _not_finite(recording: Recording) -> Iterator[Finding]:
    overflows = list(recording.all(Overflowed))
    rounded = [each for each in recording.all(NumberRounded) if not each.by_optimizer]
    for each in overflows[:1]:
        message = f"the loss is not finite: `{each.operation}` overflows in {each.dtype}"
        yield Finding(
            f"{message}, and is at most {number(each.largest)} in float32.",
            f"{each.dtype} ends at {_LARGEST[each.dtype]}.",
            "x.float()  # before this operation, without autocast",
            each.place,
        )
    for one in rounded[:1] if not overflows else ():
        message = f"the loss is not finite: {one.number!r} is {one.rounded:g} in {one.dtype}"
        yield Finding(
            f"{message}, where `{one.operation}` uses it.",
            f"{one.dtype} has no number so near to {one.rounded:g}.",
            "x.float()  # before this line; or a form that needs no such number, such as ..._with_logits",
            one.place,
        )
    if not overflows and not rounded:
        raise Inconclusive(
            "the loss is not finite, and no operation was seen that would give another result in float32"
        )
