"""Domain errors. Raise them anywhere; `api/errors.py` and the worker's task boundary translate them."""


class BrainScanError(Exception):
    """Base of every error that this product raises on purpose.

    `code` is the constant that clients and job rows carry; the message is a sentence for a person and
    never holds patient data, secrets, paths or SQL.
    """

    code = "INTERNAL_SERVER_ERROR"
    retryable = False  # True: the cause may pass, another attempt of a job makes sense
    is_outage = False  # True: it strikes whatever job comes, so a job's attempts should not be used up by it


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


class ChangedMeanwhileError(ConflictError):
    """What was to be replaced is no longer what the caller had seen."""


class RepeatedRequestError(ConflictError):
    """The same request, under the same idempotency key, has made its work a moment ago."""


class TooManyRequestsError(BrainScanError):
    """The caller asks too often; `retry_after` says in how many seconds the next request may succeed."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServiceUnavailableError(BrainScanError):
    """A service that is needed right now does not answer; trying again later may succeed."""

    code = "SERVICE_UNAVAILABLE"
    retryable = True


class QueueFullError(ServiceUnavailableError):
    """Too much work waits already; nothing of the request was kept."""


class StorageError(ServiceUnavailableError):
    """A store did not take or give an object; trying again may succeed."""

    is_outage = True


class ObjectNotFoundError(StorageError):
    """The store has no object under this key; trying again will not help."""

    code = "NOT_FOUND_ERROR"
    retryable = False


class StoreRefusedError(StorageError):
    """The store answers and refuses: somebody must mend the settings that the message names."""

    retryable = False


class OriginalChangedError(BrainScanError):
    """A store gives other bytes for an original than were uploaded; trying again will not help."""

    code = "ORIGINAL_CHANGED"


class ModelFileError(BrainScanError):
    """Weights or manifest are missing, damaged or do not belong together; the worker must not start."""

    code = "MODEL_PREDICTION_ERROR"


class ModelPredictionError(BrainScanError):
    """The model gave no usable answer for a readable picture."""

    code = "MODEL_PREDICTION_ERROR"


class ModelMemoryError(ModelPredictionError):
    """The device has no room for even one picture at the moment; trying again may succeed."""

    retryable = True


class SecretError(BrainScanError):
    """A stored secret cannot be read, most likely because SECRET_KEY was changed."""


class MailError(BrainScanError):
    """The mail was not accepted and trying again will not help."""

    code = "MAIL_REFUSED"


class MailRecipientError(MailError):
    """The recipient's address cannot receive mail."""

    code = "MAIL_REFUSED_RECIPIENT"


class MailExpiredError(MailError):
    """The password that the mail was to carry is no longer kept."""

    code = "MAIL_EXPIRED"


class MailSenderError(MailError):
    """The mail server does not let this system send from its address."""

    code = "MAIL_REFUSED_SENDER"


class MailLoginError(MailError):
    """The mail server does not take the user name and password of this system."""

    code = "MAIL_REFUSED_LOGIN"


class MailTlsError(MailError):
    """There is no trustworthy encrypted connection to the mail server."""

    code = "MAIL_TLS_FAILED"


class MailUnreachableError(MailError):
    """The mail server does not answer; trying again may succeed."""

    code = "MAIL_UNREACHABLE"
    retryable = True


class MailDeferredError(MailError):
    """The mail server asks to try again later."""

    code = "MAIL_DEFERRED"
    retryable = True


class BackupError(BrainScanError):
    """A backup cannot be written where it was to be, or is not whole."""
