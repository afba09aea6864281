"""Evaluation of predicted label maps against the truth."""
