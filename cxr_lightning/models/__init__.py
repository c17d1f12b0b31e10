"""Networks, their preprocessing and the LightningModule."""
