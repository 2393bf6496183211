"""Tokens: language models, tagging, translation, reading."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from inference_modules import Adam, LightningModule
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from inference_suite.expectations import batch_of


@batch_of("{input_ids: int[B,T]<64}", example="{input_ids: int[B,12]<64}")
class CausalLanguageModel(Adam):
    def __init__(self, vocab_size=64, dim=16, block_size=128):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, dim), nn.Embedding(block_size, dim)
        self.block = nn.TransformerEncoderLayer(dim, 2, 32, batch_first=True)
        self.lm_head = nn.Linear(dim, vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx):
        b, t = idx.size()
        pos = torch.arange(0, t, dtype=torch.long, device=idx.device).unsqueeze(0)
        mask = torch.triu(torch.ones(t, t, dtype=torch.bool, device=idx.device), diagonal=1)
        return self.lm_head(self.block(self.wte(idx) + self.wpe(pos), src_mask=mask))

    def training_step(self, batch, batch_idx):
        ids = batch["input_ids"]
        logits = self(ids)
        shift_logits, shift_labels = logits[..., :-1, :].contiguous(), ids[..., 1:].contiguous()
        loss = F.cross_entropy(shift_logits.view(-1, shift_logits.size(-1)), shift_labels.view(-1))
        self.log("train_loss", loss, prog_bar=True)
        self.log("perplexity", loss.exp())
        return loss


@batch_of(
    "{input_ids: int[B,T]<80, attention_mask: int|bool|float[B,T]<2, labels: int[B,T]}",
    example="{input_ids: int[B,12]<80, attention_mask: int[B,12]<2, labels: int[B,12]<80}",
)
class MaskedLanguageModel(Adam):
    """Labels are -100 where nothing is to be predicted."""

    def __init__(self, vocab_size=80):
        super().__init__()
        self.emb = nn.Embedding(vocab_size, 16)
        self.mixer = nn.Linear(16, 16)
        self.decoder = nn.Linear(16, vocab_size)
        self.loss_fct = nn.CrossEntropyLoss(ignore_index=-100)

    def forward(self, input_ids, attention_mask):
        hidden = self.emb(input_ids)
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        context = (hidden * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True).clamp(min=1e-9)
        return self.decoder(torch.tanh(self.mixer(hidden + context)))

    def training_step(self, batch, batch_idx):
        logits = self(batch["input_ids"], batch["attention_mask"])
        labels = batch["labels"]
        loss = self.loss_fct(logits.view(-1, logits.shape[-1]), labels.view(-1))
        masked = labels != -100
        self.log_dict({"train_loss": loss, "masked": masked.float().mean()})
        return loss


@batch_of(
    "int[B,S]<30, int[B] in 1..S, int[B,T]<40",
    example="int[B,9]<30, int[B] in 1..9, int[B,6]<40",
)
class TeacherForcing(Adam):
    def __init__(self):
        super().__init__()
        self.src_emb, self.tgt_emb = nn.Embedding(30, 8, padding_idx=0), nn.Embedding(40, 8, padding_idx=0)
        self.encoder = nn.LSTM(8, 12, batch_first=True)
        self.decoder = nn.LSTMCell(8, 12)
        self.proj = nn.Linear(12, 40)
        self.criterion = nn.CrossEntropyLoss(ignore_index=0)
        self.teacher_forcing_ratio = 0.5

    def training_step(self, batch, batch_idx):
        src, src_lengths, trg = batch
        packed = pack_padded_sequence(self.src_emb(src), src_lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (h, c) = self.encoder(packed)
        h, c = h[-1], c[-1]
        token, outputs = trg[:, 0], []
        for t in range(1, trg.size(1)):
            h, c = self.decoder(self.tgt_emb(token), (h, c))
            logits = self.proj(h)
            outputs.append(logits)
            token = trg[:, t] if torch.rand(1).item() < self.teacher_forcing_ratio else logits.argmax(1)
        outputs = torch.stack(outputs, dim=1)
        loss = self.criterion(outputs.reshape(-1, 40), trg[:, 1:].reshape(-1))
        self.log("train_loss", loss)
        return loss


@batch_of(
    "int[B,T]<100, bool|int|float[B,T]<2, int[B]<3",
    example="int[B,8]<100, bool[B,8], int[B]<3",
)
class PaddedTransformer(Adam):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 16)
        layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.classifier = nn.Linear(16, 3)

    def forward(self, tokens, padding_mask):
        h = self.encoder(self.embedding(tokens), src_key_padding_mask=padding_mask)
        return self.classifier(h[:, 0])

    def training_step(self, batch, batch_idx):
        tokens, padding_mask, labels = batch
        padding_mask = padding_mask.bool()
        padding_mask = padding_mask & ~padding_mask.all(dim=1, keepdim=True)
        loss = F.cross_entropy(self(tokens, padding_mask), labels)
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{question: int[B,Q]<90, context: int[B,T]<90, start_positions: int[B], end_positions: int[B]}",
    example="{question: int[B,5]<90, context: int[B,11]<90, start_positions: int[B]<11, end_positions: int[B]<11}",
)
class SpansInContext(Adam):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(90, 12)
        self.q_enc = nn.GRU(12, 12, batch_first=True)
        self.c_enc = nn.GRU(12, 12, batch_first=True, bidirectional=True)
        self.attn = nn.Bilinear(24, 12, 8)
        self.qa_outputs = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        _, q = self.q_enc(self.embedding(batch["question"]))
        c, _ = self.c_enc(self.embedding(batch["context"]))
        q = q[-1].unsqueeze(1).expand(-1, c.size(1), -1).contiguous()
        start_logits, end_logits = self.qa_outputs(torch.relu(self.attn(c, q))).split(1, dim=-1)
        start_loss = F.cross_entropy(start_logits.squeeze(-1), batch["start_positions"])
        end_loss = F.cross_entropy(end_logits.squeeze(-1), batch["end_positions"])
        loss = (start_loss + end_loss) / 2
        self.log("train_loss", loss)
        return loss


@batch_of(
    "Batch(words: int[B,T]<50, lengths: int[B] in 1..T, tags: int[B,T]<7)",
    example="Batch(words: int[B,9]<50, lengths: int[B] in 1..9, tags: int[B,9]<7)",
)
class Tagger(Adam):
    """Attributes; the longest length decides how far the output is padded."""

    def __init__(self):
        super().__init__()
        self.word_embeds = nn.Embedding(50, 10)
        self.lstm = nn.LSTM(10, 8, bidirectional=True, batch_first=True)
        self.hidden2tag = nn.Linear(16, 7)

    def training_step(self, batch, batch_idx):
        embeds = self.word_embeds(batch.words)
        packed = pack_padded_sequence(embeds, batch.lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=batch.words.size(1))
        scores = self.hidden2tag(out)
        steps = torch.arange(batch.words.size(1), device=self.device)
        mask = steps.unsqueeze(0) < batch.lengths.unsqueeze(1)
        loss = F.cross_entropy(scores.transpose(1, 2), batch.tags, reduction="none")
        loss = (loss * mask).sum() / mask.sum()
        self.log("train_loss", loss, batch_size=batch.words.size(0))
        return loss


@batch_of("float[B,T,4], float[B,T,2]", example="float[B,12,4], float[B,12,2]")
class TruncatedBackpropagation(LightningModule):
    def __init__(self, split=4):
        super().__init__()
        self.automatic_optimization = False
        self.split = split
        self.lstm = nn.LSTM(4, 8, batch_first=True)
        self.linear = nn.Linear(8, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        optimizer, hiddens = self.optimizers(), None
        for x_part, y_part in zip(x.split(self.split, dim=1), y.split(self.split, dim=1)):
            out, hiddens = self.lstm(x_part, hiddens)
            loss = F.mse_loss(self.linear(out), y_part)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            hiddens = [h.detach() for h in hiddens]
            self.log("train_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


@batch_of("int[B,T]<26, int[B,T]<26", example="int[B,10]<26, int[B,10]<26")
class CharactersWithOneHot(Adam):
    def __init__(self, n_chars=26):
        super().__init__()
        self.n_chars = n_chars
        self.rnn = nn.GRU(n_chars, 16, num_layers=2, batch_first=True, dropout=0.1)
        self.fc = nn.Linear(16, n_chars)

    def training_step(self, batch, batch_idx):
        x, y = batch
        out, _ = self.rnn(F.one_hot(x, self.n_chars).float())
        logits = self.fc(out.contiguous().view(-1, 16))
        loss = F.cross_entropy(logits, y.view(y.size(0) * y.size(1)).long())
        self.log("train_loss", loss)
        return loss


@batch_of(
    "{source: int[B,S]<32, target: int[B,T]<32}",
    example="{source: int[B,9]<32, target: int[B,7]<32}",
)
class TransformerWithPaddingMasks(Adam):
    def __init__(self, pad_id=0):
        super().__init__()
        self.pad_id = pad_id
        self.embedding = nn.Embedding(32, 16, padding_idx=pad_id)
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, dropout=0.0, batch_first=True)
        self.generator = nn.Linear(16, 32)

    def training_step(self, batch, batch_idx):
        src, tgt = batch["source"], batch["target"]
        tgt_in, tgt_out = tgt[:, :-1], tgt[:, 1:]
        causal = torch.triu(torch.full((tgt_in.size(1),) * 2, True, device=self.device), diagonal=1)
        out = self.transformer(
            self.embedding(src),
            self.embedding(tgt_in),
            tgt_mask=causal,
            src_key_padding_mask=(src == self.pad_id),
        )
        loss = F.cross_entropy(self.generator(out).flatten(0, 1), tgt_out.flatten(), ignore_index=self.pad_id)
        self.log("loss", loss)
        return loss
