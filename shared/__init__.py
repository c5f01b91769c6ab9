"""The floor that the API and the workers stand on; imports neither."""

__version__ = "0.1.0"
