"""Stores of objects: the contract, then one vendor per file."""

from shared.storage.contract import ObjectStore, StoredObject
from shared.storage.local import LocalStore

__all__ = ["LocalStore", "ObjectStore", "StoredObject"]
