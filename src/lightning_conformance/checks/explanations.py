"""What known error messages mean, and what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lightning_conformance.recording.model import Failure


@dataclass(frozen=True)
class Explanation:
    r"""What a known error message means.

    Args:
        pattern: Found in ``Type: message``.
        cause: What the author did.
        fix: What to write instead; ``\\1`` stands for the pattern's first group.
        method: The method that the finding points to, where no line of the user's raised it.
        near: A method that is missing; the finding points to the one that is spelt most like it.
        stage: The only stage of a failure that it fits; empty for any.
        line: What the line that failed must mention; empty for anything.
        instead: Whether the method goes before the line that failed.
        during: The only stages of the run that it fits; empty for any.
        elsewhere: An environment that it does not fit.
    """

    pattern: str
    cause: str
    fix: str
    method: str = ""
    near: str = ""
    stage: str = ""
    line: str = ""
    instead: bool = False
    during: tuple[str, ...] = ()
    elsewhere: str = ""


EXPLANATIONS = (
    Explanation(
        r"Default process group has not been initialized|call init_process_group",
        "torch.distributed is used although there is one process: its group exists only where several train together.",
        "if torch.distributed.is_initialized(): ...  # or self.global_rank, self.all_gather(x), which need no group",
    ),
    Explanation(
        r"^RanksWait",
        "Some ranks begin an operation in which all ranks take part, and the others do something else.",
        "Call it on every rank, in the same order; keep `if rank == 0` for what needs no other rank.",
    ),
    Explanation(
        r"^ProcessDied",
        "A process ended without an exception: killed for its memory, or by an error outside of Python.",
        "Run it alone (--lightning-environment=cpu) to see whether it dies there, too.",
    ),
    Explanation(
        r"Skipping the `training_step` by returning None in distributed training",
        "Where several processes train, each backward pass waits for all: a rank that skips one is not supported.",
        "return loss * 0.0  # for a batch that shall not count, or leave it out of the dataset",
    ),
    Explanation(
        r"some elements of the input tensor and the written-to tensor refer to a single memory location",
        "A tensor whose elements share memory, as expand() makes it, is written to: DDP does so with every buffer.",
        'self.register_buffer("name", tensor.expand(...).clone())',
    ),
    Explanation(
        r"Tried to step \d+ times",
        "The scheduler was told a total number of steps (total_steps, or epochs and steps_per_epoch) that is smaller "
        "than the run.",
        "OneCycleLR(optimizer, max_lr, total_steps=self.trainer.estimated_stepping_batches)",
        "configure_optimizers",
    ),
    Explanation(
        r"Support for `(\w+_epoch_end)` has been removed",
        r"`\1` was removed in Lightning 2.0; Lightning 1.x calls it with the list of what the steps returned.",
        r"Keep what the steps return on self, and use on_\1(self), which takes no argument; clear it there.",
        r"\1",
    ),
    Explanation(
        r"Remove the `optimizer_idx` argument|training_step\(\) missing 1 required .*'optimizer_idx'",
        "training_step takes optimizer_idx: since Lightning 2.0 it is called once a batch, whatever the optimizers.",
        "def training_step(self, batch, batch_idx): ...  # with several optimizers: manual optimization",
        "training_step",
    ),
    Explanation(
        r"Training with multiple optimizers is only supported with manual optimization",
        "Since Lightning 2.0, automatic optimization knows one optimizer; optimizer_idx is gone.",
        "Set self.automatic_optimization = False in __init__, and call zero_grad, manual_backward and step on "
        "each of self.optimizers() in training_step.",
        "configure_optimizers",
    ),
    Explanation(
        r"No `training_step\(\)` method defined",
        "The class defines no training_step; a misspelt one is not called.",
        "def training_step(self, batch, batch_idx): ...",
        near="training_step",
    ),
    Explanation(
        r"No `configure_optimizers\(\)` method defined",
        "The class defines no configure_optimizers; a misspelt one is not called.",
        "def configure_optimizers(self): return torch.optim.Adam(self.parameters(), lr=1e-3)",
        near="configure_optimizers",
    ),
    Explanation(
        r"closure hasn't been executed",
        "The overridden optimizer_step never runs the closure, and with it training_step and backward.",
        "optimizer.step(closure=optimizer_closure)",
        "optimizer_step",
    ),
    Explanation(
        r"backward through the graph a second time",
        "A graph is differentiated twice: backward in training_step although automatic optimization runs its own, "
        "or a tensor kept from an earlier batch (a hidden state, a running loss) that was not detached.",
        "Leave backward to Lightning; keep tensors across batches with .detach().",
    ),
    Explanation(
        r"modified by an inplace operation",
        "A tensor that backward still needs was changed: an optimizer step between the loss and its backward pass, "
        "or an in-place operation in the forward pass.",
        "Leave step to Lightning, or step only after manual_backward.",
    ),
    Explanation(
        r"to use manual_backward, please disable automatic optimization",
        "manual_backward is for manual optimization only.",
        "Set self.automatic_optimization = False in __init__, or return the loss.",
    ),
    Explanation(
        r"does not require grad and does not have a grad_fn",
        "Lightning validates without gradients, and in inference mode outside of fit.",
        "with torch.inference_mode(False), torch.enable_grad(): ...  # on a clone of the batch",
        during=("sanity", "validate"),
    ),
    Explanation(
        r"does not require grad and does not have a grad_fn",
        "The loss was cut from the graph (detach, item, no_grad), or every parameter is frozen.",
        "Return the tensor that the loss function gave, as it is.",
    ),
    Explanation(
        r"Error while merging hparams: the keys \[(.*?)\]",
        r"Module and DataModule both keep \1 with save_hyperparameters, and the values differ.",
        r"self.save_hyperparameters(ignore=[\1])  # in one of them",
        "__init__",
    ),
    Explanation(
        r"optimizer got an empty parameter list",
        "No parameter is registered: the layers are kept in a plain list or dict, or the generator of "
        "self.parameters() was used up before.",
        "Keep layers in nn.ModuleList or nn.ModuleDict; call self.parameters() where the optimizer is made.",
        "configure_optimizers",
    ),
    Explanation(
        r"ReduceLROnPlateau conditioned on metric (\S+) which is not available",
        r"The scheduler monitors `\1`, which was not logged when the epoch ended.",
        r"Log it: self.log('\1', value, on_epoch=True), or correct the monitor in configure_optimizers.",
        "configure_optimizers",
    ),
    Explanation(
        r"(?:conditioned on metric|could not find the monitored key|monitor=)\W*'?`?(\w+)?",
        "A callback monitors a metric that was not logged when it looked.",
        "Log the metric with on_epoch=True under the monitored name.",
        "configure_callbacks",
    ),
    Explanation(
        r"Unknown configuration for model optimizers",
        "configure_optimizers returned something that is no optimizer, list, dict or ([optimizers], [schedulers]).",
        "return {'optimizer': optimizer, 'lr_scheduler': scheduler}",
        "configure_optimizers",
    ),
    Explanation(
        r"must include a monitor when a `ReduceLROnPlateau`",
        "ReduceLROnPlateau needs to know which metric to watch.",
        "return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler, 'monitor': 'val_loss'}}",
        "configure_optimizers",
    ),
    Explanation(
        r"KeyError: '(\w+)'",
        r"The key '\1' is not there. With on_step=True and on_epoch=True Lightning logs the names `\1_step` "
        r"and `\1_epoch`; trainer.logged_metrics knows nothing under the plain name while training_step runs.",
        "Use the value at hand, or self.trainer.callback_metrics at the end of the epoch.",
        line=r"(?:logged|callback)_metrics",
    ),
    Explanation(
        # The second wording is that of Lightning before 2.1.
        r"'AttributeDict' object has no attribute '(\w+)'|Missing attribute \"(\w+)\"",
        r"self.hparams has no `\1\2`: __init__ does not save its arguments, or has none of that name.",
        "self.save_hyperparameters()  # in __init__, after super().__init__()",
        line="hparams",
    ),
    Explanation(
        r"property '(\w+)' of '\w+' object has no setter|can't set attribute '(\w+)'",
        r"`\1\2` is a read-only property, of LightningModule or of a class of yours: it cannot be assigned.",
        r"Give the attribute another name (self.hparams is filled by self.save_hyperparameters()).",
        stage="construct",
    ),
    Explanation(
        r"cannot assign (?:module|parameter)s? before Module\.__init__\(\) call",
        "__init__ assigns a layer before it calls super().__init__(), or does not call it.",
        "super().__init__()  # first line of __init__",
    ),
    Explanation(
        r"is not attached to a `Trainer`",
        "There is no trainer yet: self.trainer is set when fit begins.",
        "Use self.trainer in setup, configure_optimizers or a later hook.",
        stage="construct",
    ),
    Explanation(
        r"object of type 'NoneType' has no len\(\)",
        "The trainer loads its dataloaders after configure_optimizers: trainer.train_dataloader is still None.",
        "self.trainer.estimated_stepping_batches  # the number of optimizer steps of the whole run",
        line=r"train_dataloader",
    ),
    Explanation(
        r"'_Batches' object has no attribute '(\w+)'",
        r"`\1` belongs to your own dataset; this run was fed with batches that the kit made.",
        "Give your own data: --lightning-batch path/to/file.py:YourDataModule",
    ),
    Explanation(
        r"`self\.log\((\S+), [\s\S]*was called, but (?:the tensor must have a single element|`?\w+`? (?:values|dict))",
        r"self.log takes one number, as a Python number, a tensor of one element or a torchmetrics metric.",
        r'self.log("\1", value.mean()), or self.log_dict({name: value, ...}) for several numbers',
    ),
    Explanation(
        r"Boolean value of Tensor with more than one value is ambiguous",
        "A tensor stands where one truth value is wanted: a comparison of tensors in `if`, or a criterion's class "
        "that is called with tensors in place of an instance.",
        "nn.CrossEntropyLoss()(logits, y), F.cross_entropy(logits, y); (a == b).all()",
    ),
    Explanation(
        r"Expected more than 1 value per channel when training",
        "BatchNorm cannot be trained on a batch of one sample.",
        "Use drop_last=True in the training loader, or a batch of two samples at least.",
    ),
    Explanation(
        r"You can't `self\.log\(\)` inside `(\w+)`",
        r"self.log is not allowed in `\1`.",
        "Log in a step or an epoch hook, or use self.logger.log_metrics.",
    ),
    Explanation(
        r"You called `self\.log\((\S+),.*twice in",
        r"`\1` is logged twice in one hook, with different arguments.",
        "Log it once.",
    ),
    Explanation(
        r"missing \d+ required positional argument|takes \d+ positional arguments? but|unexpected keyword argument",
        "The signature does not fit what the caller gives; hooks have lost arguments since Lightning 1.x "
        "(optimizer_idx, outputs, unused, ...).",
        "Take the hook's current signature from the documentation of your Lightning version.",
        stage="fit",
    ),
    Explanation(
        r"got Double and (?:Float|BFloat16)|Input type \(double\) and|type Float but found Double|double != float",
        "A float64 tensor meets float32 weights: float64 is what NumPy, and so torch.from_numpy, makes.",
        "x.float(), or array.astype(np.float32) where the data is made",
        elsewhere="64-true",
    ),
    Explanation(
        r"Can't call numpy\(\) on Tensor that requires grad",
        "NumPy knows no graph: the tensor has to be taken out of it.",
        "x.detach().cpu().numpy()",
    ),
    Explanation(
        r"NotImplementedError: Module \[\w+\] is missing the required \"forward\" function",
        "self(...) is called, and the class defines no forward.",
        "def forward(self, x): ...",
    ),
)


def explain(failure: Failure, environment: str = "") -> Explanation | None:
    """What a failure's message means in an environment, with the pattern's groups filled in."""
    for known in EXPLANATIONS:
        match = re.search(known.pattern, f"{failure.type}: {failure.message}")
        if known.elsewhere and known.elsewhere == environment:
            continue
        if known.stage not in ("", failure.stage) or not re.search(known.line, _line(failure)):
            continue
        if known.during and (failure.at is None or failure.at.stage not in known.during):
            continue
        if match:
            return replace(
                known,
                cause=match.expand(known.cause),
                fix=match.expand(known.fix),
                method=match.expand(known.method),
            )
    return None


def _line(failure: Failure) -> str:
    return failure.place.source if failure.place else ""
