"""Domain errors. Raise them anywhere; `api/errors.py` and the worker's task boundary translate them."""


class BrainScanError(Exception):
    """Base of every error that this product raises on purpose.

    `code` is the constant that clients and job rows carry; the message is a sentence for a person and
    never holds patient data, secrets, paths or SQL.
    """

    code = "INTERNAL_SERVER_ERROR"
    retryable = False  # True: the cause may pass, another attempt of a job makes sense


class ValidationError(BrainScanError):
    """The request is well-formed HTTP but its content is not acceptable."""

    code = "VALIDATION_ERROR"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class FileUploadError(BrainScanError):
    """A file of an upload is not usable; the message says why and what to send instead."""

    code = "FILE_UPLOAD_ERROR"


class UnreadableImageError(FileUploadError):
    """The bytes are not a picture that can be decoded whole."""


class FileTooLargeError(FileUploadError):
    """The picture has more bytes or pixels than the limits allow."""


class AuthenticationError(BrainScanError):
    """Nobody is signed in, or the credentials are wrong."""

    code = "AUTHENTICATION_ERROR"


class AuthorizationError(BrainScanError):
    """Somebody is signed in who may not do this."""

    code = "AUTHORIZATION_ERROR"


class NotFoundError(BrainScanError):
    """The thing asked for does not exist."""

    code = "NOT_FOUND_ERROR"


class ConflictError(BrainScanError):
    """The request contradicts what is already stored."""

    code = "CONFLICT_ERROR"


class ServiceUnavailableError(BrainScanError):
    """A service that is needed right now does not answer; trying again later may succeed."""

    code = "SERVICE_UNAVAILABLE"
    retryable = True


class StorageError(ServiceUnavailableError):
    """A store did not take or give an object; trying again may succeed."""


class ObjectNotFoundError(StorageError):
    """The store has no object under this key; trying again will not help."""

    code = "NOT_FOUND_ERROR"
    retryable = False


class ModelFileError(BrainScanError):
    """Weights or manifest are missing, damaged or do not belong together; the worker must not start."""

    code = "MODEL_PREDICTION_ERROR"


class ModelPredictionError(BrainScanError):
    """The model gave no usable answer for a readable picture."""

    code = "MODEL_PREDICTION_ERROR"
