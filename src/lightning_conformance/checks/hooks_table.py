"""Hooks that Lightning once called: the release that removed each, and what took its place."""

from __future__ import annotations

REMOVED: dict[str, tuple[str, str]] = {
    "training_step_end": ("2.0", "on_train_batch_end(self, outputs, batch, batch_idx):"),
    "validation_step_end": ("2.0", "on_validation_batch_end(self, outputs, batch, batch_idx):"),
    "test_step_end": ("2.0", "on_test_batch_end(self, outputs, batch, batch_idx):"),
    "predict_step_end": ("2.0", "on_predict_batch_end(self, outputs, batch, batch_idx):"),
    "training_epoch_end": ("2.0", "on_train_epoch_end(self):"),
    "validation_epoch_end": ("2.0", "on_validation_epoch_end(self):"),
    "test_epoch_end": ("2.0", "on_test_epoch_end(self):"),
    "tbptt_split_batch": ("2.0", "Split the sequence in training_step, with manual optimization."),
    "on_epoch_start": ("1.8", "on_train_epoch_start(self):"),
    "on_epoch_end": ("1.8", "on_train_epoch_end(self):"),
    "on_batch_start": ("1.8", "on_train_batch_start(self, batch, batch_idx):"),
    "on_batch_end": ("1.8", "on_train_batch_end(self, outputs, batch, batch_idx):"),
    "on_pretrain_routine_start": ("1.8", "on_fit_start(self):"),
    "on_pretrain_routine_end": ("1.8", "on_fit_start(self):"),
    "on_train_dataloader": ("1.7", "train_dataloader(self):"),
    "on_val_dataloader": ("1.7", "val_dataloader(self):"),
    "on_test_dataloader": ("1.7", "test_dataloader(self):"),
    "on_predict_dataloader": ("1.7", "predict_dataloader(self):"),
    "on_hpc_save": ("1.8", "on_save_checkpoint(self, checkpoint):"),
    "on_hpc_load": ("1.8", "on_load_checkpoint(self, checkpoint):"),
    "on_post_move_to_device": ("1.7", "on_fit_start(self):"),
    "get_progress_bar_dict": ("1.7", "Override get_metrics of a ProgressBar callback."),
    "training_end": ("1.0", "training_step(self, batch, batch_idx):"),
    "validation_end": ("1.0", "on_validation_epoch_end(self):"),
    "test_end": ("1.0", "on_test_epoch_end(self):"),
    "tng_dataloader": ("1.0", "train_dataloader(self):"),
    "tng_data": ("1.0", "train_dataloader(self):"),
}
