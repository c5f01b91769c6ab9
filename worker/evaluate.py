"""All figures of the model on a folder of labelled pictures, without any server.

    python -m worker.evaluate DIR [--masks DIR] [--split NAME] [--json] [--model DIR]

DIR holds class folders, either `tumor` and `notumor` or `glioma`, `meningioma`, `pituitary` and `notumor`,
or some of them; with a manifest.csv (file, class, and if known split, source, group) that says what is in it.
Each figure comes with a 95 % interval from a bootstrap over groups, such as patients. Figures that the
pictures do not allow are left out. Pictures that cannot be analysed are listed under `failed`.

With `--json` one JSON object goes to standard output, see `worker.evaluation.report`. Logs go to standard
error. Exit status: 0 there are figures, 2 the model or the call is wrong or no picture could be analysed.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.logs import configure_logging, get_logger
from worker.evaluation.answers import answer_cases
from worker.evaluation.bootstrap import LEVEL
from worker.evaluation.cases import Case, list_cases
from worker.evaluation.report import Bootstrap, ModelFacts
from worker.evaluation.summary import summarise
from worker.evaluation.table import as_text
from worker.options import add_model_options, open_model

log = get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    options = _parser().parse_args(arguments)
    configure_logging("INFO")
    try:
        cases = _cases(options)
    except (OSError, ValueError, csv.Error) as error:
        log.error("the pictures cannot be listed", reason=str(error))  # noqa: TRY400 - no traceback for a typo
        return 2
    predictor = open_model(options)
    if predictor is None:
        return 2
    manifest = predictor.manifest
    facts = ModelFacts(
        name=manifest.name,
        version=manifest.version,
        weights_sha256=manifest.weights_sha256,
        engine=predictor.engine,
        device=predictor.device,
    )
    size, batch_size = manifest.input_size, options.batch_size
    answers = list(answer_cases(predictor, size, cases, options.folder, options.masks, batch_size))
    bootstrap = Bootstrap(resamples=options.bootstrap, seed=options.seed, level=LEVEL)
    report = summarise(facts, answers, bootstrap, options.split)
    sys.stdout.write((report.model_dump_json(exclude_none=True) if options.json else as_text(report)) + "\n")
    log.info("finished", pictures=len(cases), failed=report.n_failed, masks_failed=len(report.masks_failed))
    return 0 if report.n else 2


def _cases(options: argparse.Namespace) -> list[Case]:
    for folder in (options.folder, options.masks):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder} is not a folder.")
    return list_cases(options.folder, options.split)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.evaluate", description="All figures of the model on labelled pictures."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="class folders, or a manifest.csv with them")
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="class folders with PNG masks of the pictures' names"
    )
    parser.add_argument("--split", metavar="NAME", help="only the manifest's rows of this split")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_model_options(parser)
    parser.add_argument(
        "--bootstrap", type=_count, default=1000, metavar="N", help="resamples; 0: no intervals"
    )
    parser.add_argument("--seed", type=_count, default=0, metavar="N", help="of the bootstrap")
    return parser


def _count(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
