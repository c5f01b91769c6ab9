"""Why the stack cannot do what was asked, in words for the person who asked."""


class StackError(Exception):
    """The command fails with this message and exit status 1."""
