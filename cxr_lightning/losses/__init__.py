"""Losses on logits: what a loss offers, multi-label binary cross-entropy, and its class weights."""
