"""Losses on logits: multi-label binary cross-entropy with masking of unknown targets, and its class weights."""
