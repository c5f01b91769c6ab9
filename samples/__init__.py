"""Synthetic head phantoms that stand in for MRI slices in demos and tests."""
