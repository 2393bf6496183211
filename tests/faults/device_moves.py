"""Family 5: tensors that are moved where they must not be, or asked for where they are not."""

import lightning as L
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence


class Base(L.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class StatisticsMixedBack(Base):
    """What ``.cpu()`` returned is used on the device again."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)

    def loss(self, x):
        scale = x.std(dim=0).cpu()  # FAULT: StatisticsMixedBack
        return F.mse_loss(self.net(x / (scale + 1)), x)


class TargetsOnTheHost(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 3)

    def loss(self, batch):
        x, y = batch
        y = y.to("cpu")  # FAULT: TargetsOnTheHost
        return F.cross_entropy(self.net(x), y)


class HostByVariable(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 6)

    def loss(self, x):
        where = torch.device("cpu")
        smooth = torch.full((6,), 0.1, device=where)  # FAULT: HostByVariable
        return F.mse_loss(self.net(x) + smooth, x)


class LayerSentToTheHost(Base):
    """A layer is moved to the CPU to save memory."""

    def __init__(self):
        super().__init__()
        self.big, self.net = nn.Linear(6, 6), nn.Linear(6, 6)

    def on_train_start(self):
        self.big.to("cpu")  # FAULT: LayerSentToTheHost

    def loss(self, x):
        return F.mse_loss(self.net(self.big(x)), x)


class IndexesOnTheDevice(Base):
    """A table on the CPU is indexed from the device."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 4)
        self.table = torch.randn(10, 4)

    def loss(self, batch):
        x, ids = batch
        rows = self.table[ids]  # FAULT: IndexesOnTheDevice
        return F.mse_loss(self.net(x), rows.to(x))


class NumpyOfThePrediction(Base):
    def __init__(self):
        super().__init__()
        self.net, self.worst = nn.Linear(5, 1), 0.0

    def loss(self, batch):
        x, y = batch
        out = self.net(x)
        self.worst = max(self.worst, float(out.detach().numpy().max()))  # FAULT: NumpyOfThePrediction
        return F.l1_loss(out, y)


class NumpyAtEpochEnd(Base):
    def __init__(self):
        super().__init__()
        self.net, self.outputs = nn.Linear(5, 2), []

    def loss(self, batch):
        x, y = batch
        out = self.net(x)
        self.outputs.append(out.detach())
        return F.cross_entropy(out, y)

    def on_train_epoch_end(self):
        spread = np.std(np.asarray(torch.cat(self.outputs)))  # FAULT: NumpyAtEpochEnd
        self.log("spread", float(spread))
        self.outputs.clear()


class LengthsOnTheDevice(Base):
    """``pack_padded_sequence`` reads lengths from the CPU only; those of the batch were moved."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 4, batch_first=True)

    def loss(self, batch):
        x, lengths = batch["x"], batch["lengths"]
        packed = pack_padded_sequence(  # FAULT: LengthsOnTheDevice
            x, lengths.clamp(1, x.shape[1]), batch_first=True, enforce_sorted=False
        )
        return self.gru(packed)[1].square().mean()


class CudaCall(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 5)

    def loss(self, x):
        noise = torch.rand(x.shape).cuda()  # FAULT: CudaCall
        return F.mse_loss(self.net(x + noise), x)


class CudaByName(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 5)

    def loss(self, x):
        weights = torch.ones(5, device="cuda:0")  # FAULT: CudaByName
        return F.mse_loss(self.net(x) * weights, x)


class CudaInHook(Base):
    """The module is moved by hand when training begins."""

    def __init__(self):
        super().__init__()
        self.net, self.teacher = nn.Linear(5, 5), nn.Linear(5, 5)

    def on_fit_start(self):
        self.teacher.to(torch.device("cuda", 0))  # FAULT: CudaInHook

    def loss(self, x):
        return F.mse_loss(self.net(x), self.teacher(x).detach())


class CudaBatch(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 2)

    def loss(self, batch):
        x, y = (part.to("cuda", non_blocking=True) for part in batch)  # FAULT: CudaBatch
        return F.cross_entropy(self.net(x), y)


class WaitsInEveryStep(Base):
    def __init__(self):
        super().__init__()
        self.net, self.history = nn.Linear(5, 2), []

    def loss(self, batch):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        self.history.append(loss.item())  # FAULT: WaitsInEveryStep
        return loss


class AsksInEveryStep(Base):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 5)

    def loss(self, x):
        out = self.net(x)
        if (out > 100).any():  # FAULT: AsksInEveryStep
            out = out.clamp(max=100)
        return F.mse_loss(out, x)


EXPECTED = {
    "StatisticsMixedBack": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["moved to the CPU"],
    },
    "TargetsOnTheHost": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "x: float[5,6], y: int[5]<3",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["moved to the CPU"],
    },
    "HostByVariable": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["torch.full"],
    },
    "LayerSentToTheHost": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "float[5,6]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["linear"],
    },
    "IndexesOnTheDevice": {
        "fault": "unregistered-buffer",
        "environment": "virtual",
        "batch": "x: float[5,4], ids: int[5]<10",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["self.table", "register_buffer"],
    },
    "NumpyOfThePrediction": {
        "fault": "numpy-on-grad-tensor",
        "environment": "virtual",
        "batch": "x: float[5,5], y: float[5,1]",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["numpy", ".cpu().numpy()"],
    },
    "NumpyAtEpochEnd": {
        "fault": "numpy-on-grad-tensor",
        "environment": "virtual",
        "batch": "x: float[5,5], y: int[5]<2",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["numpy"],
    },
    "LengthsOnTheDevice": {
        "fault": "cpu-tensor-in-step",
        "environment": "virtual",
        "batch": "{x: float[5,7,4], lengths: int[5]<7}",
        "check": "tensors_are_on_one_device",
        "severity": "error",
        "words": ["lengths.cpu()", "pack_padded_sequence"],
    },
    "CudaCall": {
        "fault": "hard-coded-cuda",
        "environment": "virtual",
        "batch": "float[5,5]",
        "check": "device_is_not_hard_coded",
        "severity": "error",
        "words": [".cuda()"],
    },
    "CudaByName": {
        "fault": "hard-coded-cuda",
        "environment": "virtual",
        "batch": "float[5,5]",
        "check": "device_is_not_hard_coded",
        "severity": "error",
        "words": ["cuda"],
    },
    "CudaInHook": {
        "fault": "hard-coded-cuda",
        "environment": "virtual",
        "batch": "float[5,5]",
        "check": "device_is_not_hard_coded",
        "severity": "error",
        "words": ["cuda"],
    },
    "CudaBatch": {
        "fault": "hard-coded-cuda",
        "environment": "virtual",
        "batch": "x: float[5,5], y: int[5]<2",
        "check": "device_is_not_hard_coded",
        "severity": "error",
        "words": ["cuda"],
    },
    "WaitsInEveryStep": {
        "fault": "sync-in-hot-path",
        "environment": "virtual",
        "batch": "x: float[5,5], y: int[5]<2",
        "check": "few_host_synchronisations",
        "severity": "advice",
        "words": ["item", "1 time a training step"],
    },
    "AsksInEveryStep": {
        "fault": "sync-in-hot-path",
        "environment": "virtual",
        "batch": "float[5,5]",
        "check": "few_host_synchronisations",
        "severity": "advice",
        "words": ["bool"],
    },
}
