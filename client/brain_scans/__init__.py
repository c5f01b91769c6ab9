"""The batch client. It knows the server by its HTTP contract only and shares no code with it."""

__version__ = "0.1.0"
