"""One scan between its stored original and its stored pictures."""

from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from PIL import Image

from shared.attempts import Claim, Failure
from shared.errors import BrainScanError
from shared.images import read_grey
from shared.models import Stage
from shared.originals import read_original
from shared.results import Finding, ScanResult
from shared.services import Services
from worker.analysis import Prediction
from worker.explanation import explain
from worker.heatmap import draw
from worker.preprocessing import ModelInput

MOST_KEPT_PIXELS = 2_000_000  # of one picture, and in flight are up to seven batches of BATCH_SIZE
CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class PictureFile:
    """What is to be stored in the image store."""

    key: str
    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Original:
    """Where the file of a scan is, and what it must be."""

    key: str
    is_staged: bool
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What is drawn from."""

    picture: Image.Image  # mode "L", upright
    staged: PictureFile | None  # the original, where the image store does not have it yet


@dataclass(slots=True)
class Slice:
    """One scan on its way through the pipeline, ready for the model."""

    claim: Claim
    scan_id: str
    original: Original
    pixels: int
    model_input: ModelInput
    decoded: Decoded | None  # None: too large to be kept while the model runs; decoded again to be drawn

    def give_up_decoded(self) -> Decoded | None:
        """What was kept; from now on its pixels live only as long as the caller needs them."""
        kept, self.decoded = self.decoded, None
        return kept


@dataclass(frozen=True, slots=True)
class Drawn:
    """A result whose pictures are on their way to the image store."""

    result: ScanResult
    uploads: Sequence[Future[None]]


def decode(services: Services, original: Original, data: bytes) -> Decoded:
    """The picture in the original's bytes. Raises what `read_grey` raises."""
    picture = read_grey(data, services.settings.image_limits)
    if not original.is_staged:
        return Decoded(picture, None)
    content_type = CONTENT_TYPES[original.key.rsplit(".", 1)[-1]]
    return Decoded(picture, PictureFile(original.key, data, content_type))  # the key that it had in staging


def fetch(services: Services, original: Original) -> bytes:
    """Raises what `read_original` raises."""
    return read_original(services, original.key, original.is_staged, original.sha256)


def draw_finding(
    item: Slice, picture: Image.Image, prediction: Prediction
) -> tuple[Finding, Sequence[PictureFile]]:
    """Heatmap and overlay, under keys of this attempt, and the finding that names them.

    The row will name the winner's: an attempt that lost its claim spoils no other's pictures.
    """
    drawing = draw(picture, prediction.evidence_map, item.model_input.crop)
    name = f"{item.scan_id}-{item.claim.attempt}.png"
    heatmap = PictureFile(f"heatmap/{name}", drawing.heatmap, "image/png")
    overlay = PictureFile(f"overlay/{name}", drawing.overlay, "image/png")
    finding = Finding(
        probability=prediction.probability,
        raw_probability=prediction.raw_probability,
        class_probabilities=prediction.class_probabilities,
        review=prediction.review,
        explanation=explain(prediction, item.model_input),
        heatmap_key=heatmap.key,
        overlay_key=overlay.key,
    )
    return finding, (heatmap, overlay)


def stored(drawn: Drawn) -> ScanResult | Failure:
    """Wait for the pictures of one scan."""
    wait(drawn.uploads)
    try:
        for upload in drawn.uploads:
            upload.result()
    except BrainScanError as error:
        return Failure.of(drawn.result.claim, error, Stage.STORE)
    return drawn.result
