"""The LightningModule under test: found, constructed and fed."""
