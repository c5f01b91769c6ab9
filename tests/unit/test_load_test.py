"""The load-test engine: it answers everything and diagnoses nothing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from worker.analysis import predict_each
from worker.load_test import INPUT_SIZE, load_test_model

ROOT = Path(__file__).resolve().parents[2]


def test_every_picture_is_left_to_a_person_without_any_evidence() -> None:
    inputs = [np.full((1, INPUT_SIZE, INPUT_SIZE), value, np.float32) for value in (-1.0, 0.0, 3.0)]
    answers = predict_each(load_test_model().model, inputs)
    assert len(answers) == len(inputs)
    for answer in answers:
        assert not isinstance(answer, Exception)
        assert answer.review == "needs_review"
        assert (answer.probability, answer.raw_probability) == (0.5, 0.5)
        assert len(set(answer.class_probabilities.values())) == 1
        assert sum(answer.class_probabilities.values()) == pytest.approx(1)
        assert not answer.evidence_map.any()


def test_the_provenance_names_no_model_and_the_log_warns() -> None:
    with capture_logs() as lines:
        provenance = load_test_model().provenance
    assert (provenance["name"], provenance["version"], provenance["engine"]) == (
        "load-test",
        "0",
        "load-test",
    )
    assert provenance["weights_sha256"] == "0" * 64
    assert provenance["device"] == "cpu"
    assert [line["log_level"] for line in lines] == ["warning"]


def test_a_worker_with_this_engine_never_loads_torch() -> None:
    script = (
        "import json, sys; from shared.settings import Settings; from worker.process import load_model; "
        "settings = Settings(_env_file=None, database_url='postgresql://u@h/d', engine='load-test'); "
        "loaded = load_model(settings); "
        "print(json.dumps([loaded.provenance['engine'], 'torch' in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == ["load-test", False]
