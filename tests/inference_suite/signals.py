"""Audio and time series."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inference_modules import Adam
from torch import nn

from inference_suite.expectations import batch_of


@batch_of("float[B,T], int[B]<8", example="float[B,1600], int[B]<8")
class SpectrogramClassifier(Adam):
    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.conv = nn.Conv2d(1, 8, 3)
        self.fc = nn.Linear(8, 8)

    def spectrogram(self, waveform):
        spec = torch.stft(waveform, n_fft=64, hop_length=32, window=self.window, return_complex=True)
        return torch.log(spec.abs() + 1e-6)

    def training_step(self, batch, batch_idx):
        waveform, label = batch
        features = self.conv(self.spectrogram(waveform).unsqueeze(1))
        loss = F.cross_entropy(self.fc(F.adaptive_avg_pool2d(features, 1).flatten(1)), label)
        self.log("train_loss", loss)
        return loss


@batch_of("{audio: float[B,1,T], label: int[B]<5}", example="{audio: float[B,1,400], label: int[B]<5}")
class RawWaveform(Adam):
    def __init__(self, target_key="label"):
        super().__init__()
        self.target_key = target_key
        self.net = nn.Sequential(
            nn.Conv1d(1, 8, kernel_size=40, stride=8), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(4),
            nn.Conv1d(8, 8, kernel_size=3), nn.BatchNorm1d(8), nn.ReLU(),
        )  # fmt: skip
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.net(x)
        x = F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)
        return F.log_softmax(self.fc(x), dim=2).squeeze(1)

    def training_step(self, batch, batch_idx):
        loss = F.nll_loss(self(batch["audio"]), batch[self.target_key])
        self.log("train_loss", loss)
        return loss


@batch_of(
    "float[B,T,13], int[B] in 1..T, int[B,U] in 1..28, int[B] in 1..U",
    "float[B,T,13], int[B], int[B,U]<29, int[B] in 1..U",
    "float[B,T,13], int[B], int[B,U]<29, int[B] in 0..U",
    example="float[B,40,13], int[B] in 20..40, int[B,6] in 1..28, int[B] in 1..6",
)
class SpeechToCharacters(Adam):
    """Connectionist temporal classification, with the lengths of signals and transcripts."""

    def __init__(self, n_chars=29):
        super().__init__()
        self.encoder = nn.LSTM(13, 16, batch_first=True, bidirectional=True)
        self.decoder = nn.Linear(32, n_chars)
        self.ctc = nn.CTCLoss(blank=0, zero_infinity=True)

    def forward(self, input_signal, input_signal_length):
        encoded, _ = self.encoder(input_signal)
        return self.decoder(encoded).log_softmax(-1), input_signal_length

    def training_step(self, batch, batch_nb):
        signal, signal_len, transcript, transcript_len = batch
        log_probs, encoded_len = self(input_signal=signal, input_signal_length=signal_len)
        loss = self.ctc(log_probs.transpose(0, 1), transcript, encoded_len, transcript_len)
        self.log("train_loss", loss)
        return {"loss": loss}


@batch_of("float[T,B,5], float[T,B,2]", example="float[12,B,5], float[12,B,2]")
class TimeFirstSequence(Adam):
    def __init__(self):
        super().__init__()
        self.hidden = 8
        self.lstm = nn.LSTM(5, self.hidden)
        self.out = nn.Linear(self.hidden, 2)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        seq_len, batch_size, _ = inputs.shape
        state = (torch.zeros(1, batch_size, self.hidden), torch.zeros(1, batch_size, self.hidden))
        predictions, _ = self.lstm(inputs, state)
        loss = F.mse_loss(self.out(predictions), targets)
        self.log("train_loss", loss, batch_size=batch_size)
        return loss


@batch_of("float[B,24,3], float[B,6]", "float[B,72], float[B,6]", example="float[B,24,3], float[B,6]")
class QuantileForecast(Adam):
    def __init__(self, quantiles=(0.1, 0.5, 0.9)):
        super().__init__()
        self.quantiles = quantiles
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(24 * 3, 32), nn.ReLU(), nn.Linear(32, 6 * len(quantiles)))

    def forward(self, x):
        return self.net(x).view(-1, 6, len(self.quantiles))

    def training_step(self, batch, batch_idx):
        past, future = batch
        preds = self(past)
        losses = []
        for i, q in enumerate(self.quantiles):
            errors = future - preds[..., i]
            losses.append(torch.max((q - 1) * errors, q * errors).unsqueeze(-1))
        loss = torch.cat(losses, dim=-1).sum(-1).mean()
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,T,4], float[B,T], int[B] in 0..T", example="float[B,9,4], float[B,9], int[B] in 1..9")
class MaskedByLengths(Adam):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        x, y, lengths = batch
        pred = self.head(self.gru(x)[0]).squeeze(-1)
        mask = torch.arange(x.size(1), device=x.device)[None, :] < lengths[:, None]
        loss = ((pred - y) ** 2 * mask).sum() / mask.sum().clamp(min=1)
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,1,T], float[B,2,T]", example="float[B,1,160], float[B,2,160]")
class SourceSeparation(Adam):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(1, 16, 16, stride=8)
        self.masker = nn.Sequential(nn.Conv1d(16, 32, 1), nn.Sigmoid())
        self.decoder = nn.ConvTranspose1d(16, 1, 16, stride=8)

    def forward(self, mix):
        w = F.relu(self.encoder(mix))
        masks = self.masker(w).view(mix.size(0), 2, 16, -1)
        est = self.decoder((w.unsqueeze(1) * masks).flatten(0, 1))
        return est.view(mix.size(0), 2, -1)

    def training_step(self, batch, batch_idx):
        mix, sources = batch
        est = self(mix)
        noise = sources - est
        sdr = 10 * torch.log10(sources.pow(2).sum(-1) / (noise.pow(2).sum(-1) + 1e-8) + 1e-8)
        loss = -sdr.mean()
        self.log("train_loss", loss)
        return loss


@batch_of("(float[B,T,3],)", "float[B,T,3], ?", example="(float[B,20,3],)")
class WindowAutoencoder(Adam):
    """What a TensorDataset of one tensor gives."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 6, batch_first=True)
        self.decoder = nn.LSTM(6, 3, batch_first=True)

    def forward(self, x):
        _, (h, _) = self.encoder(x)
        out, _ = self.decoder(h[-1].unsqueeze(1).repeat(1, x.shape[1], 1))
        return out

    def training_step(self, batch, batch_idx):
        x = batch[0]
        loss = F.mse_loss(self(x), x)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{past_target: float[B,14], past_covariates: float[B,14,2], future_target: float[B,7]}",
    "{past_target: float[B,14,1], past_covariates: float[B,14,2], future_target: float[B,7]}",
    example="{past_target: float[B,14], past_covariates: float[B,14,2], future_target: float[B,7]}",
)
class StandardizedForecast(Adam):
    """Scales by the past, predicts a distribution."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(14 * 3, 24), nn.ReLU(), nn.Linear(24, 14))

    def training_step(self, batch, batch_idx):
        past = batch["past_target"]
        loc, scale = past.mean(dim=1, keepdim=True), past.std(dim=1, keepdim=True) + 1e-3
        features = torch.cat([((past - loc) / scale).unsqueeze(-1), batch["past_covariates"]], dim=-1)
        mu, sigma = self.net(features.flatten(1)).chunk(2, dim=-1)
        dist = torch.distributions.Normal(loc + scale * mu, scale * F.softplus(sigma) + 1e-4)
        loss = -dist.log_prob(batch["future_target"]).mean()
        self.log("train_loss", loss)
        return loss
