"""Signals and series: speech commands, brains, music, satellites, weather, trajectories."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import Tensor, nn

from inference_unseen.registry import batch_of


@batch_of("float[B,?], ?, int[B]<12", example="float[B,4000], int[B], int[B]<12")
class SpeechCommands(Adam):
    """Waveform, sampling rate, word."""

    def __init__(self, n_fft=256, hop=128, n_words=12):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft))
        self.tdnn = nn.Sequential(
            nn.Conv1d(n_fft // 2 + 1, 16, 3, padding=1),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
        )
        self.fc = nn.Linear(16, n_words)

    def training_step(self, batch, batch_idx):
        waveform, sample_rate, word = batch
        spec = torch.stft(waveform, self.n_fft, self.hop, window=self.window, return_complex=True).abs()
        output = F.log_softmax(self.fc(self.tdnn(torch.log(spec + 1e-6))), dim=-1)
        loss = F.nll_loss(output, word)
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,1,?,?], int[B]<4", example="float[B,1,22,128], int[B]<4")
class EegNet(LightningModule):
    def __init__(self, channels: int = 22, n_classes: int = 4, f1: int = 4, depth: int = 2):
        super().__init__()
        self.save_hyperparameters()
        self.temporal = nn.Sequential(nn.Conv2d(1, f1, (1, 32), padding="same", bias=False), nn.BatchNorm2d(f1))
        self.spatial = nn.Sequential(
            nn.Conv2d(f1, f1 * depth, (channels, 1), groups=f1, bias=False), nn.BatchNorm2d(f1 * depth), nn.ELU(),
            nn.AdaptiveAvgPool2d((1, 8)), nn.Dropout(0.25),
        )  # fmt: skip
        self.classify = nn.Linear(f1 * depth * 8, n_classes)

    def forward(self, x):
        x = self.spatial(self.temporal(x))
        return self.classify(x.flatten(start_dim=1))

    def training_step(self, batch, batch_idx):
        signals, labels = batch
        scores = self(signals)
        loss = F.cross_entropy(scores, labels)
        acc = (scores.argmax(dim=1) == labels).float().mean()
        self.log("train_loss", loss, on_epoch=True)
        self.log("train_acc", acc, on_epoch=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters())
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "train_loss"}


@batch_of(
    "{bands: float[B,T,10], doy: int[B,T]<366, valid: bool|float|int[B,T]<2, crop: int[B]<8}",
    example="{bands: float[B,14,10], doy: int[B,14]<366, valid: bool[B,14], crop: int[B]<8}",
)
class CropSeries(Adam):
    """A satellite's series with the days of the year; clouds are masked."""

    def __init__(self, d_model=16):
        super().__init__()
        self.inlinear, self.doy_emb = nn.Linear(10, d_model), nn.Embedding(366, d_model)
        layer = nn.TransformerEncoderLayer(d_model, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.outlinear = nn.Linear(d_model, 8)

    def training_step(self, batch, batch_idx):
        x = self.inlinear(batch["bands"]) + self.doy_emb(batch["doy"])
        x = self.encoder(x)
        keep = batch["valid"].unsqueeze(-1).float()
        pooled = (x * keep).sum(1) / keep.sum(1).clamp(min=1.0)
        loss = F.cross_entropy(self.outlinear(pooled), batch["crop"])
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,?], float[B,20] in 0..1", example="float[B,3000], float[B,20]<2")
class MusicTagging(Adam):
    def __init__(self, n_tags=20):
        super().__init__()
        self.frontend = nn.Sequential(nn.Conv1d(1, 8, 64, stride=16), nn.BatchNorm1d(8), nn.ReLU())
        self.blocks = nn.Sequential(
            *[nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool1d(3)) for _ in range(3)]
        )
        self.dense = nn.Linear(8, n_tags)
        self.loss = nn.BCELoss()

    def forward(self, wav):
        x = self.blocks(self.frontend(wav.unsqueeze(1)))
        return torch.sigmoid(self.dense(F.adaptive_max_pool1d(x, 1).squeeze(-1)))

    def training_step(self, batch, batch_idx):
        audio, tags = batch
        probs = self(audio)
        loss = self.loss(probs, tags)
        hits = ((probs > 0.5) == (tags > 0.5)).float().mean()
        self.log("train_bce", loss)
        self.log("train_hits", hits)
        return loss


@batch_of("float[B,?,?], int[B]<9", example="float[B,64,32], int[B]<9")
class SpectrogramTransformer(Adam):
    def __init__(self, input_fdim=32, input_tdim=64, embed_dim=16, label_dim=9):
        super().__init__()
        self.patch_embed = nn.Conv2d(1, embed_dim, kernel_size=16, stride=16)
        n_patches = (input_fdim // 16) * (input_tdim // 16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.randn(1, n_patches + 1, embed_dim) * 0.02)
        self.block = nn.TransformerEncoderLayer(embed_dim, 2, 32, batch_first=True, norm_first=True)
        self.mlp_head = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, label_dim))

    def forward(self, x):
        x = x.unsqueeze(1).transpose(2, 3)
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.mlp_head(self.block(x)[:, 0])

    def training_step(self, batch, batch_idx):
        fbank, label = batch
        loss = F.cross_entropy(self(fbank), label)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{frames: float[B,3,?,?,?], audio: float[B,1,?,?]}",
    example="{frames: float[B,3,4,16,16], audio: float[B,1,20,30]}",
)
class AudioVisualPairs(Adam):
    """Do they belong together? The wrong pairs are made by rolling."""

    def __init__(self, dim=8):
        super().__init__()
        self.video_net = nn.Sequential(
            nn.Conv3d(3, dim, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten()
        )
        self.audio_net = nn.Sequential(
            nn.Conv2d(1, dim, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.fusion = nn.Sequential(nn.Linear(2 * dim, 16), nn.ReLU(), nn.Linear(16, 2))

    def training_step(self, batch, batch_idx):
        v, a = self.video_net(batch["frames"]), self.audio_net(batch["audio"])
        positive = self.fusion(torch.cat([v, a], 1))
        negative = self.fusion(torch.cat([v, torch.roll(a, 1, 0)], 1))
        logits = torch.cat([positive, negative])
        labels = torch.cat([torch.ones(len(v)), torch.zeros(len(v))]).long().to(self.device)
        loss = F.cross_entropy(logits, labels)
        self.log("train_loss", loss, batch_size=len(v))
        return loss


@batch_of(
    "float[B,5,32,W], float[B], float[B,5,32,W]",
    example="float[B,5,32,64], float[B], float[B,5,32,64]",
)
class WeatherGrid(Adam):
    """A forecast on a grid, rows weighted by latitude, the lead time as an input."""

    def __init__(self, n_vars=5, n_lat=32):
        super().__init__()
        lat = torch.deg2rad(torch.linspace(-87, 87, n_lat))
        weights = torch.cos(lat)
        self.register_buffer("lat_weights", (weights / weights.mean()).view(1, 1, n_lat, 1))
        self.lead_emb = nn.Linear(1, 8)
        self.stem, self.out = nn.Conv2d(n_vars, 8, 3, padding=1), nn.Conv2d(8, n_vars, 3, padding=1)

    def training_step(self, batch, batch_idx):
        x, lead_times, y = batch
        h = self.stem(x) + self.lead_emb(lead_times.unsqueeze(-1))[:, :, None, None]
        preds = x + self.out(F.gelu(h))
        loss = (((preds - y) ** 2) * self.lat_weights).mean()
        self.log("train/loss", loss, on_step=True, on_epoch=False, prog_bar=True)
        return loss


@batch_of("float[B,2], float[T], float[T,B,2]", example="float[B,2], float[6] in 0..1, float[6,B,2]")
class NeuralOde(Adam):
    def __init__(self):
        super().__init__()
        self.func = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    def odeint(self, y0, t):
        ys = [y0]
        for i in range(1, len(t)):
            dt = t[i] - t[i - 1]
            ys.append(ys[-1] + dt * self.func(ys[-1] ** 3))
        return torch.stack(ys)

    def training_step(self, batch, batch_idx):
        batch_y0, batch_t, batch_y = batch
        pred_y = self.odeint(batch_y0, batch_t)
        loss = torch.mean(torch.abs(pred_y - batch_y))
        self.log("train_loss", loss, batch_size=1)
        return loss


@batch_of(
    "{acc: float[B,T,3], gyro: float[B,T,3], activity: int[B]<6}",
    "{acc: float[B,?,3], gyro: float[B,?,3], activity: int[B]<6}",
    example="{acc: float[B,25,3], gyro: float[B,25,3], activity: int[B]<6}",
)
class WornSensors(Adam):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleDict({name: nn.Conv1d(3, 6, 5, padding=2) for name in ("acc", "gyro")})
        self.lstm, self.out = nn.LSTM(12, 10, batch_first=True), nn.Linear(10, 6)

    def forward(self, batch):
        h = [branch(batch[name].transpose(1, 2)).relu() for name, branch in self.branches.items()]
        _, (hn, _) = self.lstm(torch.cat(h, dim=1).transpose(1, 2))
        return self.out(hn[-1])

    def step(self, batch, stage):
        loss = F.cross_entropy(self(batch), batch["activity"])
        self.log(f"{stage}_loss", loss)
        return loss

    def training_step(self, batch, batch_idx):
        return self.step(batch, "train")


@batch_of("(float[B,?,?],)", "float[B,?,?], ?", example="(float[B,24,4],)")
class WindowsCutByHand(Adam):
    """One long window: the past is seen, the rest foretold."""

    def __init__(self, lookback=18, horizon=6, n_features=4):
        super().__init__()
        self.lookback, self.horizon = lookback, horizon
        self.linear = nn.Linear(lookback, horizon)

    def training_step(self, batch, batch_idx):
        series = batch[0]
        history, future = series[:, : self.lookback], series[:, self.lookback : self.lookback + self.horizon]
        prediction = self.linear(history.permute(0, 2, 1)).permute(0, 2, 1)
        loss = F.smooth_l1_loss(prediction, future)
        self.log("train_loss", loss)
        return loss


@batch_of("float[B,?], float[B,?]", example="float[B,1024], float[B,1024]")
class SpeechEnhancement(Adam):
    """A mask over the spectrum; loss on the spectrum and on the wave."""

    def __init__(self, n_fft=128):
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.gru = nn.GRU(n_fft // 2 + 1, 24, batch_first=True)
        self.mask = nn.Sequential(nn.Linear(24, n_fft // 2 + 1), nn.Sigmoid())

    def stft(self, x):
        return torch.stft(x, self.n_fft, self.n_fft // 2, window=self.window, return_complex=True)

    def training_step(self, batch, batch_idx):
        noisy, clean = batch
        spec = self.stft(noisy)
        mask = self.mask(self.gru(spec.abs().transpose(1, 2))[0]).transpose(1, 2)
        enhanced = spec * mask
        wave = torch.istft(enhanced, self.n_fft, self.n_fft // 2, window=self.window, length=noisy.shape[-1])
        loss = F.l1_loss(enhanced.abs(), self.stft(clean).abs()) + F.l1_loss(wave, clean)
        self.log("train/loss", loss)
        return loss


@batch_of(
    "float[B,2,?], float|int[B]<10, float|int|bool[B]<2",
    "float[B,2,?], float|int[B,1]<10, float|int|bool[B]<2",
    example="float[B,2,60], int[B]<10, float[B]<2",
)
class HeartSurvival(Adam):
    """Hazards in intervals of time; some are censored."""

    def __init__(self, n_bins=10):
        super().__init__()
        self.n_bins = n_bins
        self.net = nn.Sequential(
            nn.Conv1d(2, 6, 7, padding=3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, n_bins)
        )

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int):
        ecg, duration, event = batch
        hazards = torch.sigmoid(self.net(ecg))
        survived = torch.cumprod(1 - hazards, dim=1).clamp(min=1e-7)
        at = duration.view(-1, 1).long()
        h = hazards.gather(1, at).clamp(min=1e-7).squeeze(1)
        s = survived.gather(1, at).squeeze(1)
        event = event.float()
        loss = -(event * torch.log(h) + (1 - event) * torch.log(s)).mean()
        self.log("train_nll", loss)
        return loss
