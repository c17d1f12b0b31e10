"""Losses on logits: multi-label binary cross-entropy, its class weights, and masking of unknown targets."""
