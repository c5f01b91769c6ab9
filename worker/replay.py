"""Analyse a stored scan again, and say whether the recorded result comes out.

    python -m worker.replay SCAN_ID [--json]
    python -m stack run worker.replay SCAN_ID      (against the local stack that `make up` started)

The original is fetched from the image store and goes through the same preprocessing and the engine that the
result names. Nothing is written. Exit status: 0 it reproduces (the tumour probability within 1e-4, the same
verdict of the input gate), 1 it does not, 2 it cannot be said: no such scan or result, other weights or
another preprocessing here than then, or the model or the stores cannot be used.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import BrainScanError, NotFoundError, ValidationError
from shared.images import read_grey
from shared.logs import configure_logging, get_logger
from shared.models import Scan
from shared.originals import read_original
from shared.services import Services, build_services
from shared.settings import SettingsError, load_settings
from worker.picture_check import rejection_of
from worker.preprocessing import prepare

TOLERANCE = 1e-4  # of the tumour probability, on the same kind of device
_MUST_MATCH = ("name", "version", "weights_sha256", "preprocessing_version")

Json = dict[str, Any]
log = get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.replay", description="Analyse a stored scan again and compare."
    )
    parser.add_argument("scan_id", metavar="SCAN_ID", help="display id of the scan: S and hex digits")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a sentence")
    options = parser.parse_args(arguments)
    configure_logging("WARNING")
    try:
        services = build_services(load_settings(), "replay")
        answer = replay(services, options.scan_id)
    except (BrainScanError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except SQLAlchemyError as error:
        log.error("the database does not answer", cause=type(error).__name__)  # noqa: TRY400 - may hold a password
        return 2
    sys.stdout.write((json.dumps(answer) if options.json else _sentence(answer)) + "\n")
    return 0 if answer["reproduces"] else 1


def replay(services: Services, scan_id: str) -> Json:
    """Recompute one scan with the model that the settings name.

    Raises `NotFoundError` for an unknown scan, `ValidationError` where there is nothing to compare with, and
    what stores and models raise.
    """
    from worker.inference import load_model  # brings OpenVINO or PyTorch

    with services.sessions() as session:
        is_named = Scan.scan_id.in_((scan_id, scan_id.upper()))  # ours in any case, old ones exactly
        scan = session.scalar(select(Scan).where(is_named).order_by((Scan.scan_id == scan_id).desc()))
    if scan is None:
        raise NotFoundError(f"There is no scan {scan_id}.")
    if scan.model is None and scan.analysed_at is not None:
        raise ValidationError(
            f"Scan {scan_id} was analysed by the replaced system, which did not record with what model."
        )
    if scan.model is None:
        raise ValidationError(f"Scan {scan_id} has no result yet.")
    settings = services.settings
    original = read_original(services, scan.original_path, scan.is_staged, scan.sha256)
    picture = read_grey(original, settings.image_limits)
    then = scan.model
    predictor = load_model(settings.model_folder, settings.device, str(then.get("engine", "auto")))
    here = {name: getattr(predictor.manifest, name) for name in _MUST_MATCH}
    if other := [name for name in _MUST_MATCH if here[name] != then.get(name)]:
        raise ValidationError(
            f"The result was made with another model ({', '.join(other)} differ): "
            f"{then.get('name')} {then.get('version')}, weights {then.get('weights_sha256')}. "
            "Point MODEL_FOLDER at that one."
        )
    now = predictor.predict([prepare(picture, predictor.manifest.input_size).pixels])[0]
    is_rejected = rejection_of(picture, now) is not None
    facts = {"model": then, "device_now": predictor.device}
    return _compare(scan, None if is_rejected else now.probability) | facts


def _compare(scan: Scan, probability: float | None) -> Json:
    """Compare what is recorded with a probability; None: rejected now."""
    was_rejected, is_rejected = scan.rejection is not None, probability is None
    change = None if scan.probability is None or probability is None else abs(probability - scan.probability)
    agrees = was_rejected if is_rejected else change is not None and change <= TOLERANCE
    return {
        "scan_id": scan.scan_id,
        "reproduces": agrees,
        "recorded": {"probability": scan.probability, "rejected": was_rejected},
        "now": {"probability": probability, "rejected": is_rejected},
        "change": change,
        "tolerance": TOLERANCE,
    }


def _sentence(answer: Json) -> str:
    verdict = "reproduces" if answer["reproduces"] else "does NOT reproduce"
    recorded, now = (
        "rejected" if side["rejected"] else f"tumour probability {side['probability']:.6f}"
        for side in (answer["recorded"], answer["now"])
    )
    return f"Scan {answer['scan_id']} {verdict}: recorded {recorded}, now {now}."


if __name__ == "__main__":
    sys.exit(main())
