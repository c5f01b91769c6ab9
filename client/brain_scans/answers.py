"""What an answer to an upload says about each of its files."""

import httpx

from brain_scans.api import body_of, refusal
from brain_scans.errors import ApiError, ClientError
from brain_scans.journal import Outcome

PASSING = "SERVICE_UNAVAILABLE"  # a file's code: the server would have taken it at another moment
ABOUT_THE_FILES = (httpx.codes.BAD_REQUEST, httpx.codes.REQUEST_ENTITY_TOO_LARGE)


def outcomes_of(response: httpx.Response, count: int) -> list[Outcome | None]:
    """One outcome for each of the `count` files, in their order; None for what may be asked again.

    Raises `ClientError` for an answer that is about the batch and not about the files.
    """
    results = body_of(response).get("results")
    if isinstance(results, list) and len(results) == count:
        return [_outcome(result) for result in results]
    if response.is_success:
        raise ClientError("The server's answer does not say what became of each file.")
    error = refusal(response)
    if isinstance(error, ApiError) and error.status in ABOUT_THE_FILES:
        return [Outcome(None, str(error), error.code)] * count
    raise error


def _outcome(result: dict[str, object]) -> Outcome | None:
    if result.get("success") and result.get("job_id"):
        return Outcome(job_id=str(result["job_id"]))
    code = str(result.get("code") or "")
    if code == PASSING:
        return None
    return Outcome(None, str(result.get("error") or "The server refused the file."), code)
