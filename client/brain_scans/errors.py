"""What can go wrong, as sentences for a person; each class has the exit status of its kind."""


class ClientError(Exception):
    """Base of the errors that end a command with a message."""

    exit_status = 1


class WrongUseError(ClientError):
    """The command was not given what it needs."""

    exit_status = 2


class NotSignedInError(ClientError):
    """Nobody is signed in, or this account may not do it."""

    exit_status = 3


class UnreachableError(ClientError):
    """The server did not answer, or stayed too busy, for longer than anybody wants to wait."""

    exit_status = 4


class StoppedError(ClientError):
    """The person asked to stop."""

    exit_status = 130


class ApiError(ClientError):
    """The server refused the request; the message is its own."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UnusableFileError(ClientError):
    """A file cannot be sent; `code` says why in one word. It stops no other file."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
