"""The virtual accelerator alone, and as an environment of a run."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from lightning_conformance import check_module
from lightning_conformance.environments import ENVIRONMENTS, select
from lightning_conformance.environments.virtual_device import SENTINEL, Side, VirtualDevice
from lightning_conformance.errors import UsageError
from lightning_conformance.recording.events_devices import DevicesToldApart, HostWaited


class Heard:
    """A witness that keeps what it hears."""

    def __init__(self):
        self.mixes, self.wanted, self.named, self.waits = [], [], [], []

    def origin(self):
        return "here"

    def means_host(self):
        return True

    def makes_tensor(self):
        return False

    def is_user(self, file):
        return file == __file__

    def mixed(self, operation, on_device, on_host, origin, root):
        self.mixes.append(operation)

    def wanted_host(self, operation, what):
        self.wanted.append((operation, what))

    def named_device(self, text):
        self.named.append(text)

    def waited(self, operation):
        self.waits.append(operation)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def device(heard):
    virtual = VirtualDevice(heard)
    with virtual.watching():
        yield virtual


def there(*shape):
    return torch.ones(*shape).to(SENTINEL)


def test_a_device_is_not_the_cpu(device):
    x, h = there(2, 3), torch.ones(3)
    assert x.device == SENTINEL != torch.device("cpu")
    assert h.device == torch.device("cpu") != SENTINEL
    assert (x.is_cuda, x.is_cpu, x.get_device(), x.type()) == (True, False, 0, "torch.cuda.FloatTensor")
    assert (h.is_cuda, h.is_cpu, h.get_device(), h.type()) == (False, True, -1, "torch.FloatTensor")


MADE_THERE = {
    "device": lambda x: torch.zeros(3, device=x.device),
    "device by its name": lambda x: torch.zeros(3, device=str(x.device)),
    "device by its number": lambda x: torch.zeros(3, device=x.get_device()),
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "tensor of a tensor": lambda x: torch.tensor(x),
    "as_tensor of a tensor": lambda x: torch.as_tensor(x),
    "as_tensor": lambda x: torch.as_tensor(np.ones(3), device=x.device),
    "like": lambda x: torch.randn_like(x),
    "new": lambda x: x.new_zeros(4),
    "new_tensor": lambda x: x.new_tensor([1, 2]),
    "to a tensor": lambda x: torch.ones(3).to(x),
    "to a device and dtype": lambda x: torch.ones(3).to(x.device, torch.float64),
    "type_as": lambda x: torch.ones(3).type_as(x),
    "type": lambda x: torch.ones(3).type(x.type()),
    "default device": lambda x: _under(x.device, lambda: torch.ones(3)),
    "view": lambda x: x.view(-1)[1:].reshape(1, -1),
    "copy": lambda x: copy.deepcopy(x),
    "in place": lambda x: x.add_(1).mul_(2),
    "one of several": lambda x: x.topk(1)[1],
    "out": lambda x: torch.add(x, x, out=torch.empty_like(x)),
    "module": lambda x: nn.Linear(3, 3).to(x.device).weight,
    "lazy module": lambda x: _run(nn.LazyLinear(2).to(x.device), x).weight,
    "gradient": lambda x: _gradient(x),
    "sparse": lambda x: torch.eye(3).to(x).to_sparse().coalesce().values(),
    "result with a number": lambda x: x * torch.tensor(2.0),
}


def _under(device, make):
    with device:
        return make()


def _run(module, x):
    module(x)
    return module


def _gradient(x):
    weight = nn.Parameter(torch.ones(3, 1).to(x.device))
    (x @ weight).sum().backward()
    return weight.grad


@pytest.mark.parametrize("make", MADE_THERE.values(), ids=MADE_THERE)
def test_what_is_on_the_device(device, heard, make):
    made = make(there(2, 3))
    assert device.side(made) is Side.DEVICE
    assert made.device == SENTINEL
    assert heard.mixes == heard.named == []


MADE_HERE = {
    "zeros": lambda x: torch.zeros(3),
    "arange up to a tensor": lambda x: torch.arange(x.sum()),
    "full with a tensor": lambda x: torch.full((2,), x.sum().item()),
    "tensor of scalars": lambda x: torch.tensor([x.sum(), x.mean()]),
    "from_numpy": lambda x: torch.from_numpy(np.ones(3)),
    "legacy constructor": lambda x: torch.FloatTensor([1.0]),
    "randperm": lambda x: torch.randperm(4),
    "cpu": lambda x: x.cpu(),
    "to cpu": lambda x: x.to("cpu"),
    "to a tensor": lambda x: x.to(torch.ones(1)),
    "like": lambda x: torch.zeros_like(x, device="cpu"),
    "module": lambda x: nn.Linear(3, 3).weight,
    "computed": lambda x: torch.ones(3).cumsum(0)[1:] * 2,
}


@pytest.mark.parametrize("make", MADE_HERE.values(), ids=MADE_HERE)
def test_what_is_on_the_host(device, make):
    x = there(2, 3)
    made = make(x)
    assert device.side(made) is Side.HOST
    assert device.side(x) is Side.DEVICE


REFUSED = {
    "add": lambda x, h: x + h,
    "mm": lambda x, h: x @ h,
    "linear": lambda x, h: F.linear(x, h),
    "host with a scalar of the device": lambda x, h: h * x.sum(),
    "in place": lambda x, h: h.add_(x),
    "scalar in place": lambda x, h: torch.tensor(0.0).add_(x.sum()),
    "cat": lambda x, h: torch.cat([x, h]),
    "stack": lambda x, h: torch.stack([x, h]),
    "stack of scalars": lambda x, h: torch.stack([x.sum(), torch.tensor(1.0)]),
    "where": lambda x, h: torch.where(x > 0, x, h),
    "masked_fill": lambda x, h: x.masked_fill(h > 0, 0.0),
    "gather": lambda x, h: x.gather(0, h.long()),
    "index_select": lambda x, h: x.index_select(0, torch.arange(2)),
    "host indexed by the device": lambda x, h: h[x.long()[0]],
    "embedding": lambda x, h: F.embedding(x.long(), h),
    "cross_entropy": lambda x, h: F.cross_entropy(x, torch.zeros(3).long()),
    "weights": lambda x, h: F.cross_entropy(x, there(3).long() * 0, weight=torch.ones(3)),
    "layer_norm": lambda x, h: F.layer_norm(x, (3,), weight=torch.ones(3)),
    "conv": lambda x, h: F.conv1d(x[None], torch.ones(2, 3, 1)),
    "lstm": lambda x, h: nn.LSTM(3, 2)(x),
    "state": lambda x, h: nn.GRU(3, 2).to(x.device)(x, torch.zeros(1, 2)),
    "foreach": lambda x, h: torch._foreach_add([x], [h]),
    "gradient": lambda x, h: setattr(nn.Parameter(x), "grad", h),
}


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_what_cuda_refuses(device, heard, use):
    use(there(3, 3), torch.ones(3, 3))
    assert heard.mixes


TAKEN = {
    "scalar": lambda x, h: x + torch.tensor(1.0),
    "scalar of two": lambda x, h: torch.where(x > 0, torch.tensor(1.0), x),
    "indices": lambda x, h: x[torch.tensor([0, 1]), torch.tensor([1, 2])],
    "mask": lambda x, h: x[torch.tensor([True, False, True])],
    "write by indices": lambda x, h: x.__setitem__(torch.tensor([0]), 1.0),
    "copy": lambda x, h: x.copy_(h),
    "write a row": lambda x, h: x.__setitem__(0, h[0]),
    "copy to the host": lambda x, h: h.copy_(x),
    "lists of two devices": lambda x, h: torch._foreach_add([x, h], [x, h]),
    "moved": lambda x, h: x + h.to(x.device),
    "all on the host": lambda x, h: h @ h + torch.ones(3),
    "gradient of a moved leaf": lambda x, h: _moved_leaf(x, h),
    "unpickled": lambda x, h: x + pickle.loads(pickle.dumps(x)),
    "loaded": lambda x, h: x + _loaded(x),
    "optimizer": lambda x, h: _optimized(x),
    "ctc": lambda x, h: F.ctc_loss(
        x[:, None].log_softmax(-1), there(1, 1).long(), torch.tensor([3]), torch.tensor([1])
    ),
    "vmap": lambda x, h: torch.vmap(lambda row: row * torch.zeros(3, device=row.device) + row.sum())(x),
    "functional gradient": lambda x, h: torch.func.grad(lambda v: (v * v.new_ones(3)).sum())(x),
    "scripted": lambda x, h: _scripted(x),
    "attention": lambda x, h: nn.MultiheadAttention(3, 1).to(x.device)(x, x, x),
    "flattened parameters": lambda x, h: nn.utils.parameters_to_vector(nn.Linear(3, 3).to(x.device).parameters()) + 1,
}


def _moved_leaf(x, h):
    leaf = nn.Parameter(h.clone())
    optimizer = torch.optim.Adam([leaf])
    (x * leaf.to(x.device)).sum().backward()
    optimizer.step()
    return leaf.grad + h


def _loaded(x):
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    return torch.load(file, map_location=x.device)


def _optimized(x):
    layer = nn.Linear(3, 3).to(x.device)
    for kind in (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad):
        optimizer = kind(layer.parameters(), lr=0.1)
        layer(x).sum().backward()
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()


@torch.jit.script
def _scripted(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(3, device=x.device) + x


@pytest.mark.parametrize("use", TAKEN.values(), ids=TAKEN)
def test_what_cuda_takes(device, heard, use):
    use(there(3, 3), torch.ones(3, 3))
    assert heard.mixes == heard.wanted == []


WAITS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool((x > 0).all()),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "tensor[...]": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_host_waits(device, heard, name):
    WAITS[name](there(2, 3))
    assert heard.waits == [name]
    WAITS[name](torch.ones(2, 3))
    assert heard.waits == [name]


@pytest.mark.parametrize(
    ("use", "operation"),
    [
        (lambda x: x.numpy(), "numpy"),
        (lambda x: np.asarray(x), "numpy"),
        (lambda x: nn.utils.rnn.pack_padded_sequence(x, x.sum(-1).long(), True), "pack_padded_sequence"),
    ],
)
def test_what_only_the_host_has(device, heard, use, operation):
    use(there(1, 3))
    assert [name for name, _ in heard.wanted] == [operation]


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda: torch.ones(3).cuda(), ".cuda()"),
        (lambda: torch.ones(3, device="cuda"), "cuda"),
        (lambda: torch.ones(3).to("cuda:1"), "cuda:1"),
        (lambda: torch.ones(3).to(device=torch.device("mps")), "mps"),
        (lambda: nn.Linear(3, 3).to("cuda:0").weight, "cuda:0"),
        (lambda: nn.Linear(3, 3).cuda().weight, ".cuda()"),
    ],
)
def test_a_device_by_name_is_told_and_had(device, heard, use, text):
    assert device.side(use()) is Side.DEVICE
    assert set(heard.named) == {text}


def test_moving_is_a_copy_and_only_where_something_is_to_be_moved(device):
    h = torch.ones(3)
    x = h.to(SENTINEL)
    x.zero_()
    assert h.sum() == 3
    assert x.to(SENTINEL) is x
    assert h.cpu() is h
    assert x.cpu() is not x
    assert nn.Parameter(torch.ones(2)).to(SENTINEL).is_leaf is False


def test_gradients_go_back_over_a_move_twice(device):
    h = torch.tensor([2.0, 3.0], requires_grad=True)
    (first,) = torch.autograd.grad((h.to(SENTINEL) ** 3).sum(), h, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), h)
    assert first.tolist() == [12.0, 27.0]
    assert second.tolist() == [12.0, 18.0]
    assert {device.side(tensor) for tensor in (first, second)} == {Side.HOST}


def test_code_in_a_backward_pass_is_watched(device, heard):
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            assert gradient.device == SENTINEL
            return gradient * torch.ones(3)

    x = nn.Parameter(there(3))
    Own.apply(x).sum().backward()
    assert heard.mixes == ["mul"]


def test_nothing_is_left_when_it_is_over(heard):
    engine = torch.autograd._engine_run_backward
    first, second = VirtualDevice(heard), VirtualDevice(heard)
    with first.watching():
        x = there(3)
    assert torch.autograd._engine_run_backward is engine
    assert x.device == torch.device("cpu")
    assert (x + torch.ones(3)).sum() == 6
    with second.watching():
        assert second.side(x) is Side.HOST
    assert heard.mixes == []


def test_beside_the_cpu_it_judges_what_only_it_can_show():
    assert ENVIRONMENTS["virtual"].unavailable() is None
    for words in (["auto"], ["cpu,virtual"]):
        chosen = {environment.name: environment for environment in select(words)}
        assert [chosen["cpu"].judges(family) for family in ("completion", "loss", "device")] == [True, True, False]
        assert [chosen["virtual"].judges(family) for family in ("completion", "loss", "device")] == [True, False, True]
    (alone,) = select(["virtual"])
    assert all(map(alone.judges, ("completion", "loss", "device")))


def test_losses_are_those_of_the_cpu():
    report = check_module(
        "tests/legitimate/devices.py:Normalised",
        batch="float[5,3,8,8], int[5]<3",
        environment=["cpu", "virtual"],
        select=["training_completes"],
    )
    cpu, virtual = ([step.loss.value for step in recording.steps] for recording in report.recordings)
    assert cpu == virtual
    assert [any(recording.all(DevicesToldApart)) for recording in report.recordings] == [False, True]


def test_waits_are_counted_for_each_line_of_the_steps():
    report = check_module(
        "tests/faults/device_moves.py:WaitsInEveryStep",
        batch="x: float[5,5], y: int[5]<2",
        environment="virtual",
        select=["few_host_synchronisations"],
    )
    (waited,) = report.recordings[0].all(HostWaited)
    assert (waited.operation, waited.times, waited.steps) == ("item", 8, 8)


def test_where_training_fails_on_the_cpu_it_is_not_tried():
    report = check_module(
        "tests/faults/crashes.py:AccumulatesLossOnSelf",
        batch="x: float[5,8], y: int[5]<3",
        environment=["cpu", "virtual"],
        select=["training_completes", "tensors_are_on_one_device"],
        raise_on_failure=False,
    )
    assert report.verdict("training_completes").failed
    verdicts = [verdict for verdict in report.verdicts if verdict.environment == "virtual"]
    assert {verdict.outcome for verdict in verdicts} == {"inconclusive"}
    assert "see training_completes there" in verdicts[0].reason


def test_checks_of_devices_are_not_judged_on_the_cpu():
    with pytest.raises(UsageError, match="not judged in the environment cpu"):
        check_module(
            "tests/faults/device_moves.py:WaitsInEveryStep", environment="cpu", select=["batch_is_moved_to_device"]
        )
