"""What would not run, or not run well, on an accelerator: seen where devices are told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_conformance.checks.registry import check
from lightning_conformance.checks.verdict import Finding, Inconclusive, NotApplicable
from lightning_conformance.recording.events_devices import (
    DeviceMix,
    DeviceNamed,
    DevicesToldApart,
    HostTensorWanted,
    HostWaited,
)
from lightning_conformance.recording.model import Place, Recording

# What torch says where tensors are on two devices.
_REFUSED = re.compile(
    r"(?i)expected (?:all tensors|.* tensor).* (?:same|on) .*device|can't convert .* device type tensor to numpy"
    r"|indices should be either on|should be a 1D CPU int64 tensor"
)
# Lines that move, cast or combine what was made elsewhere: they take no `device=`.
_MAKERS = re.compile(
    r"torch\.(zeros|ones|empty|full|eye|arange|linspace|logspace|rand|randn|randint|randperm|tensor|as_tensor"
    r"|tril_indices|triu_indices|\w+_window)\("
)
# What it says where no accelerator is.
_NO_CUDA = re.compile(r"not compiled with CUDA|[Nn]o CUDA GPUs|NVIDIA driver|MPS .*not (?:built|available)")
_REAL, _VIRTUAL = ("cuda", "mps"), "virtual"
_MODULES = "nn.ModuleList([...]), nn.ModuleDict({...}), or an attribute of self"
_PARAMETERS = "nn.ParameterList([...]), nn.ParameterDict({...}), or an attribute of self"


@check(family="device", explains_crash=True, needs_steps=False)
def tensors_are_on_one_device(recording: Recording) -> Iterator[Finding]:
    """What is computed on the accelerator is computed from tensors on the accelerator.

    ## How it judges
    Where devices are told apart, looks for operations on tensors of both sides, as CUDA refuses them: a tensor made
    without `device=`, a tensor or a layer that is a plain attribute and was not moved, the result of `.cpu()` mixed
    back. And for operations that take only the CPU's tensors and got another: `.numpy()`, the lengths of packed
    sequences.

    ## Why it matters
    On the CPU nothing is wrong; on a GPU the run stops: "Expected all tensors to be on the same device".

    ## Example
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.class_weights = torch.tensor([1.0, 2.0, 4.0])

    def training_step(self, batch, batch_idx):
        x, y = batch
        noise = torch.randn(x.shape)
        return F.cross_entropy(self(x + noise), y, weight=self.class_weights)
    ```

    ## Use instead
    ```python
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.register_buffer("class_weights", torch.tensor([1.0, 2.0, 4.0]))

    def training_step(self, batch, batch_idx):
        x, y = batch
        noise = torch.randn_like(x)
        return F.cross_entropy(self(x + noise), y, weight=self.class_weights)
    ```

    ## Legitimate exceptions
    A tensor without dimensions may be mixed in, and an index may be on the CPU, as on CUDA. What torch's C++ code makes
    for its own use, what a device that is found out at run time decides, and a `torch.Generator` are not told apart.
    """
    _needs_devices(recording)
    failure = recording.failure
    if failure is not None and _REFUSED.search(failure.message):
        cause = "A tensor that was not moved, or made without device=, meets one on the accelerator."
        yield Finding(f"{failure.type}: {failure.message}", cause, "device=self.device", failure.place)
    layers = set()
    for mix in recording.all(DeviceMix):
        layer = (mix.name.rpartition(".")[0], mix.place) if mix.kind == "layer" else None
        if mix.kind != "batch" and (layer is None or layer not in layers):
            yield _mixed(mix)
        layers.add(layer)
    for wanted in recording.all(HostTensorWanted):
        yield _wanted(wanted)


@check(family="device", explains_crash=True, needs_steps=False)
def batch_is_moved_to_device(recording: Recording) -> Iterator[Finding]:
    """What the batch holds is on the accelerator when it is used.

    ## How it judges
    Where devices are told apart, looks at the batch after Lightning, or the module's `transfer_batch_to_device`, has
    moved it, and reports tensors that were left on the CPU and are then used together with others on the accelerator.

    ## Why it matters
    Lightning moves tensors in tuples, lists, dicts and dataclasses, and objects that have a method `to`. It hands
    another object on as it is: on a GPU the first layer stops with "Expected all tensors to be on the same device".

    ## Example
    ```python
    class Batch:
        def __init__(self, x, y):
            self.x, self.y = x, y

    class Classifier(Model):
        def train_dataloader(self):
            batches = [Batch(torch.rand(4, 8), torch.arange(4) % 3) for _ in range(8)]
            return DataLoader(batches, batch_size=None)

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch.x), batch.y)
    ```

    ## Use instead
    ```python
    class Batch:
        def __init__(self, x, y):
            self.x, self.y = x, y

        def to(self, device, **kwargs):  # or, in the module, transfer_batch_to_device
            return Batch(self.x.to(device, **kwargs), self.y.to(device, **kwargs))

    class Classifier(Model):
        def train_dataloader(self):
            batches = [Batch(torch.rand(4, 8), torch.arange(4) % 3) for _ in range(8)]
            return DataLoader(batches, batch_size=None)

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch.x), batch.y)
    ```

    ## Legitimate exceptions
    What is meant to stay on the CPU (lengths, texts, file names) may: only what then meets a tensor on the accelerator
    is reported.
    """
    _needs_devices(recording)
    for mix in recording.all(DeviceMix):
        if mix.kind != "batch":
            continue
        if "transfer_batch_to_device" in recording.methods:
            cause = "The module's own transfer_batch_to_device leaves it where it is."
            fix = "return super().transfer_batch_to_device(batch, device, dataloader_idx)"
        else:
            cause = "Lightning moves what is in tuples, lists, dicts and dataclasses, and objects that have `to`."
            fix = (
                "def to(self, device, **kwargs): ...  # in the batch's class, or transfer_batch_to_device in the module"
            )
        place = recording.method_place("transfer_batch_to_device") or mix.place
        message = f"`{mix.name}` is still on the CPU after the batch was moved, and `{mix.operation}` refuses it"
        yield Finding(f"{message} beside a tensor on the accelerator{_at(mix)}.", cause, fix, place)


@check(family="device", needs_steps=False)
def device_is_not_hard_coded(recording: Recording) -> Iterator[Finding]:
    """No accelerator is named in the code.

    ## How it judges
    Where devices are told apart, reports lines that call `.cuda()` or name `"cuda"` or `"cuda:0"` without asking
    before, in the same function, where a tensor is or what there is.

    ## Why it matters
    The module runs on no other machine: not on the CPU, not on Apple's GPU, and with several GPUs every process
    puts its tensors on the first.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        weight = torch.tensor([1.0, 2.0, 4.0]).cuda()
        return F.cross_entropy(self(x), y, weight=weight)
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        weight = torch.tensor([1.0, 2.0, 4.0], device=self.device)
        return F.cross_entropy(self(x), y, weight=weight)
    ```

    ## Legitimate exceptions
    A function that asks before (`torch.cuda.is_available()`, `x.is_cuda`) is left alone, and only lines that ran are
    seen.
    """
    failure = recording.failure
    if recording.environment == _VIRTUAL and failure and failure.place and _NO_CUDA.search(failure.message):
        yield _named(failure.place.source.strip(), failure.place)
        return
    _needs_devices(recording)
    for named in recording.all(DeviceNamed):
        yield _named(named.text, named.place)


@check(family="device", severity="advice")
def few_host_synchronisations(recording: Recording) -> Iterator[Finding]:
    """Training steps seldom wait for the accelerator.

    ## How it judges
    Where devices are told apart, counts for each line of the training steps how often it needs a value on the CPU:
    `.item()`, `bool(tensor)`, `.cpu()`, `.tolist()`, a boolean mask as index.

    ## Why it matters
    An accelerator works ahead of Python. Each of these lines waits until it has done all that it was asked for.

    ## Example
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss.item(), on_step=False, on_epoch=True)
        return loss
    ```

    ## Use instead
    ```python
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
    ```

    ## Legitimate exceptions
    Where the code depends on the value there is no way around it, and a line that does not run in every step is left
    alone.
    """
    _needs_devices(recording)
    for waited in recording.all(HostWaited):
        if waited.times >= waited.steps:
            often = waited.times / waited.steps
            yield Finding(
                f"`{waited.operation}` waits for the accelerator {often:.3g} "
                f"{'time' if often == 1 else 'times'} a training step.",
                "The value is needed on the CPU, so Python waits until all that was asked for before is computed.",
                "Keep the tensor: self.log takes it as it is; or do it every so many steps.",
                waited.place,
                "advice",
            )


def _needs_devices(recording: Recording) -> None:
    if recording.environment in _REAL or any(recording.all(DevicesToldApart)):
        return
    if recording.environment != _VIRTUAL:
        raise NotApplicable(f"the environment {recording.environment} does not tell devices apart")
    raise Inconclusive("the run did not begin (see training_completes)")


def _named(text: str, place: Place | None) -> Finding:
    return Finding(
        f"an accelerator is asked for by name: `{text}`.",
        "Lightning decides where the module runs: on the CPU, or on another GPU than the first, this line fails.",
        "x.to(self.device), or device=x.device",
        place,
    )


def _mixed(mix: DeviceMix) -> Finding:
    cause, fix = _why(mix)
    place = mix.made if mix.made is not None and mix.kind == "made" else mix.place or mix.made
    what = f"`{mix.name}`" if mix.name else "one"
    shapes = f"shape {list(mix.device_tensor)}) and {what} on the CPU (shape {list(mix.host_tensor)})"
    where = _at(mix) if mix.place and place and (place.file, place.line) != (mix.place.file, mix.place.line) else ""
    return Finding(f"`{mix.operation}` gets a tensor on the accelerator ({shapes}{where}.", cause, fix, place)


def _at(mix: DeviceMix) -> str:
    return f", on line {mix.place.line}" if mix.place is not None else ""


def _why(mix: DeviceMix) -> tuple[str, str]:
    attribute = mix.name.removeprefix("self.")
    if mix.kind == "layer":
        if mix.name.endswith("]"):
            return f"`{mix.name}` is a parameter that is not registered: Lightning does not move it.", _PARAMETERS
        return f"`{mix.name}` belongs to a module that is not registered: Lightning does not move it.", _MODULES
    if mix.kind == "attribute":
        if "[" in attribute or "." in attribute:
            fix = f'self.register_buffer("{re.split("[.[]", attribute)[-1].strip("]") or "name"}", ...)'
            fix = "self.register_buffer(name, tensor)  # for each of them" if "[" in attribute else fix
        else:
            fix = f'self.register_buffer("{attribute}", ...)'
        return f"`{mix.name}` is a plain attribute: Lightning moves parameters and buffers.", fix
    if mix.kind == "global":
        return f"`{mix.name}` is made outside of the class and stays on the CPU.", f"{mix.name}.to(self.device)"
    if mix.kind == "made" and mix.made is not None:
        line = mix.made.source
        if re.search(r"""\.cpu\(\)|["']cpu["']""", line):
            return "It is moved to the CPU, and not back.", "Leave it where it is, or use .to(self.device)."
        if maker := _MAKERS.search(line):
            name = maker[1]
            return f"`torch.{name}` makes it on the CPU.", f"torch.{name}(..., device=self.device)"
        return "It is made on the CPU.", "device=self.device, or .to(self.device), or .type_as(x)"
    return "One of them was not moved to the accelerator.", "device=self.device, or .to(self.device)"


def _wanted(wanted: HostTensorWanted) -> Finding:
    if wanted.operation == "numpy":
        return Finding(
            "`numpy` gets a tensor on the accelerator.",
            "NumPy reads the CPU's memory only.",
            "x.detach().cpu().numpy()",
            wanted.place,
        )
    return Finding(
        f"`{wanted.operation}` gets `{wanted.argument}` on the accelerator.",
        f"It takes `{wanted.argument}` from the CPU only; Lightning has moved it along with the batch.",
        f"{wanted.argument}.cpu()",
        wanted.place,
    )
