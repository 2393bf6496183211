"""Text: pairs, tags, translation, preferences, characters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchmetrics
from inference_modules import Adam, LightningModule
from torch import Tensor, nn

from inference_unseen.registry import batch_of


@batch_of(
    "{input_ids: int[B,T]<60, token_type_ids: int[B,T]<2, attention_mask: int|float|bool[B,T]<2, "
    "next_sentence_label: int[B]<2}",
    "{input_ids: int[B,T]<60, token_type_ids: int[B,T]<2, attention_mask: int|float|bool[B,T]<2, "
    "next_sentence_label: int[B,1]<2}",
    example="{input_ids: int[B,12]<60, token_type_ids: int[B,12]<2, attention_mask: int[B,12]<2, "
    "next_sentence_label: int[B]<2}",
)
class NextSentence(LightningModule):
    def __init__(self, vocab_size: int = 60, hidden: int = 16, max_len: int = 64, lr: float = 1e-4):
        super().__init__()
        self.save_hyperparameters()
        self.word = nn.Embedding(vocab_size, hidden, padding_idx=0)
        self.position, self.segment = nn.Embedding(max_len, hidden), nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden)
        layer = nn.TransformerEncoderLayer(hidden, 2, 32, batch_first=True, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.pooler, self.classifier = nn.Linear(hidden, hidden), nn.Linear(hidden, 2)

    def forward(self, input_ids, token_type_ids, attention_mask):
        positions = torch.arange(input_ids.size(1), device=input_ids.device).unsqueeze(0)
        h = self.norm(self.word(input_ids) + self.position(positions) + self.segment(token_type_ids))
        extended = attention_mask[:, None, None, :].to(h.dtype)
        bias = (1.0 - extended) * -1e4
        bias = bias.expand(-1, 2, h.size(1), -1).reshape(-1, h.size(1), h.size(1))
        h = self.encoder(h, mask=bias)
        return self.classifier(torch.tanh(self.pooler(h[:, 0])))

    def training_step(self, batch, batch_idx):
        logits = self(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
        loss = F.cross_entropy(logits.view(-1, 2), batch["next_sentence_label"].view(-1))
        self.log("train_loss", loss, prog_bar=True)
        return {"loss": loss}

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.95**epoch)]


@batch_of("(int[B,?]<80, int[B,?]<80), int[B]<3", example="(int[B,9]<80, int[B,6]<80), int[B]<3")
class SentencePairs(Adam):
    def __init__(self, vocab=80, dim=12, n_classes=3):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True, bidirectional=True)
        self.mlp = nn.Sequential(nn.Linear(8 * dim, 24), nn.Tanh(), nn.Dropout(0.1), nn.Linear(24, n_classes))
        self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=n_classes)

    def encode(self, sentence):
        output, _ = self.lstm(self.embed(sentence))
        return output.max(dim=1).values

    def training_step(self, batch, batch_idx):
        (premise, hypothesis), label = batch
        u, v = self.encode(premise), self.encode(hypothesis)
        logits = self.mlp(torch.cat((u, v, torch.abs(u - v), u * v), dim=-1))
        loss = F.cross_entropy(logits, label)
        self.accuracy(logits, label)
        self.log("train/loss", loss)
        self.log("train/acc", self.accuracy, on_epoch=True)
        return loss


@batch_of(
    "{input_ids: int[B,T]<50, attention_mask: int|float|bool[B,T]<2, labels: int[B,T] in -100..8}",
    example="{input_ids: int[B,11]<50, attention_mask: int[B,11]<2, labels: int[B,11]<9}",
)
class NamedEntities(Adam):
    def __init__(self, num_labels=9):
        super().__init__()
        self.num_labels = num_labels
        self.embeddings = nn.Embedding(50, 16)
        self.encoder = nn.GRU(16, 8, batch_first=True, bidirectional=True)
        self.dropout, self.classifier = nn.Dropout(0.1), nn.Linear(16, num_labels)
        self.loss_fct = nn.CrossEntropyLoss(ignore_index=-100)

    def forward(self, input_ids, attention_mask=None, labels=None):
        hidden = self.embeddings(input_ids)
        if attention_mask is not None:
            hidden = hidden * attention_mask[..., None]
        logits = self.classifier(self.dropout(self.encoder(hidden)[0]))
        loss = None
        if labels is not None:
            loss = self.loss_fct(logits.view(-1, self.num_labels), labels.view(-1))
        return loss, logits

    def training_step(self, batch, batch_nb):
        loss, logits = self(batch["input_ids"], batch["attention_mask"], batch["labels"])
        active = batch["labels"] != -100
        correct = (logits.argmax(-1) == batch["labels"])[active]
        self.log("train_loss", loss)
        self.log("train_token_acc", correct.float().mean())
        return loss


class EncoderDecoder(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.shared = nn.Embedding(vocab, dim)
        self.transformer = nn.Transformer(dim, 2, 1, 1, 32, dropout=0.0, batch_first=True)
        self.lm_head = nn.Linear(dim, vocab, bias=False)
        self.lm_head.weight = self.shared.weight

    def forward(self, input_ids, attention_mask, labels):
        start = labels.new_zeros(labels.size(0), 1)
        decoder_input_ids = torch.cat([start, labels[:, :-1]], dim=1).masked_fill(labels == -100, 0)
        causal = nn.Transformer.generate_square_subsequent_mask(labels.size(1))
        padding = attention_mask == 0
        hidden = self.transformer(
            self.shared(input_ids),
            self.shared(decoder_input_ids),
            tgt_mask=causal,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
        logits = self.lm_head(hidden)
        return F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100), logits


@batch_of(
    "{input_ids: int[B,T]<64, attention_mask: int|float|bool[B,T]<2, labels: int[B,?] in -100..63}",
    example="{input_ids: int[B,8]<64, attention_mask: int[B,8]<2, labels: int[B,5]<64}",
)
class Summarizer(LightningModule):
    def __init__(self, learning_rate=3e-4):
        super().__init__()
        self.save_hyperparameters("learning_rate")
        self.model = EncoderDecoder(64, 16)

    def forward(self, input_ids, attention_mask, labels=None):
        return self.model(input_ids, attention_mask=attention_mask, labels=labels)

    def _step(self, batch):
        loss, _ = self(**batch)
        return loss

    def training_step(self, batch, batch_idx):
        loss = self._step(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._step(batch))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.learning_rate)


class Crf(nn.Module):
    def __init__(self, n_tags):
        super().__init__()
        self.start, self.end = nn.Parameter(torch.randn(n_tags)), nn.Parameter(torch.randn(n_tags))
        self.transitions = nn.Parameter(torch.randn(n_tags, n_tags))

    def log_partition(self, emissions):
        alpha = self.start + emissions[:, 0]
        for t in range(1, emissions.size(1)):
            alpha = torch.logsumexp(alpha.unsqueeze(2) + self.transitions, dim=1) + emissions[:, t]
        return torch.logsumexp(alpha + self.end, dim=1)

    def score(self, emissions, tags):
        picked = emissions.gather(2, tags.unsqueeze(2)).squeeze(2).sum(dim=1)
        moves = self.transitions[tags[:, :-1], tags[:, 1:]].sum(dim=1)
        return picked + moves + self.start[tags[:, 0]] + self.end[tags[:, -1]]

    def forward(self, emissions, tags):
        return (self.log_partition(emissions) - self.score(emissions, tags)).mean()


@batch_of("int[B,T]<70, int[B,T]<5", example="int[B,8]<70, int[B,8]<5")
class CrfTagger(Adam):
    def __init__(self, vocab_size=70, tagset_size=5):
        super().__init__()
        self.word_embeds = nn.Embedding(vocab_size, 10)
        self.lstm = nn.LSTM(10, 6, num_layers=1, bidirectional=True, batch_first=True)
        self.hidden2tag, self.crf = nn.Linear(12, tagset_size), Crf(tagset_size)

    def training_step(self, batch, batch_idx):
        sentences, tags = batch
        emissions = self.hidden2tag(self.lstm(self.word_embeds(sentences))[0])
        neg_log_likelihood = self.crf(emissions, tags)
        self.log("nll", neg_log_likelihood)
        return neg_log_likelihood


class LoraLinear(nn.Module):
    def __init__(self, base, rank=2, alpha=4.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, base.in_features) * 0.01)
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scaling = alpha / rank

    def forward(self, x):
        return self.base(x) + self.scaling * (x @ self.lora_a.T @ self.lora_b.T)


@batch_of("{text_tokens: int[B,?]<45, intent: int[B]<6}", example="{text_tokens: int[B,10]<45, intent: int[B]<6}")
class LowRankAdapters(LightningModule):
    """Keys are arguments."""

    def __init__(self, text_key="text_tokens", label_key="intent", num_intents=6):
        super().__init__()
        self.text_key, self.label_key = text_key, label_key
        self.backbone = nn.Embedding(45, 16).requires_grad_(False)
        self.query, self.value = LoraLinear(nn.Linear(16, 16)), LoraLinear(nn.Linear(16, 16))
        self.head = nn.Linear(16, num_intents)

    def forward(self, tokens):
        h = self.backbone(tokens)
        attention = torch.softmax(self.query(h) @ h.transpose(1, 2) / 4.0, dim=-1)
        return self.head((attention @ self.value(h)).mean(1))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        logits = self(batch[self.text_key])
        loss = F.cross_entropy(logits, batch[self.label_key], label_smoothing=0.1)
        self.log("train_loss", loss, batch_size=logits.shape[0])
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(filter(lambda p: p.requires_grad, self.parameters()), lr=1e-3)


@batch_of(
    "{chosen_input_ids: int[B,?]<55, rejected_input_ids: int[B,?]<55}",
    example="{chosen_input_ids: int[B,9]<55, rejected_input_ids: int[B,9]<55}",
)
class RewardModel(Adam):
    def __init__(self):
        super().__init__()
        self.wte, self.rnn = nn.Embedding(55, 12), nn.GRU(12, 12, batch_first=True)
        self.v_head = nn.Linear(12, 1, bias=False)

    def reward(self, ids):
        out, _ = self.rnn(self.wte(ids))
        return self.v_head(out)[:, -1, 0]

    def training_step(self, batch, batch_idx):
        chosen = self.reward(batch["chosen_input_ids"])
        rejected = self.reward(batch["rejected_input_ids"])
        loss = -F.logsigmoid(chosen - rejected).mean()
        self.log_dict({"train/loss": loss, "train/margin": (chosen - rejected).mean()})
        return loss


@batch_of("int[B,?]<97, float[B] in 0..1", "int[B,?]<97, int|bool[B]<2", example="int[B,40]<97, float[B]<2")
class CharacterCnnSpam(Adam):
    def __init__(self, n_chars=97, kernel_sizes=(3, 4, 5)):
        super().__init__()
        self.char_embedding = nn.Embedding(n_chars, 8, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(8, 6, k) for k in kernel_sizes)
        self.fc = nn.Linear(18, 1)
        self.criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int):
        chars, is_spam = batch
        emb = self.char_embedding(chars).permute(0, 2, 1)
        pooled = [F.relu(conv(emb)).max(dim=2)[0] for conv in self.convs]
        logits = self.fc(torch.cat(pooled, 1)).squeeze(1)
        loss = self.criterion(logits, is_spam.float())
        self.log("loss", loss)
        return loss
