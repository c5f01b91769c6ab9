"""The soak's judgement: what grows is found, what only moves is not."""

import numpy as np

from bench.growth import growth

MINUTES, SAMPLES = 10, 120


def judged(name: str, values: list[float]) -> dict[str, float]:
    step = MINUTES * 60 / len(values)
    return growth([{"seconds": number * step, name: value} for number, value in enumerate(values)])[name]


def test_a_steady_leak_is_found_in_noise() -> None:
    noise = np.random.default_rng(1)
    values = [300 + number * 0.8 + float(noise.uniform(-10, 10)) for number in range(SAMPLES)]
    change = judged("memory MiB/api", values)
    assert change["too_much"]
    assert 0.6 < change["per_hour"] / (0.8 * SAMPLES * 60 / MINUTES) < 1.4


def test_noise_bursts_and_a_warm_up_are_no_leak() -> None:
    noise = np.random.default_rng(2)
    warm_up = [100 + 5.0 * number for number in range(SAMPLES // 3)]
    level = [300 + float(noise.uniform(-10, 10)) for _ in range(SAMPLES - len(warm_up))]
    level[-10:-6] = [900.0] * 4
    assert not judged("memory MiB/api", warm_up + level)["too_much"]


def test_files_that_stay_behind_are_found() -> None:
    assert judged("temporary files/all", [float(number // 10) for number in range(SAMPLES)])["too_much"]


def test_a_measure_that_only_appears_late_counts_as_nothing_before() -> None:
    samples = [{"seconds": 5.0 * number} for number in range(SAMPLES)]
    for sample in samples[-SAMPLES // 3 :]:
        sample["postgres connections/unknown"] = 9
    assert growth(samples)["postgres connections/unknown"]["too_much"]


def test_a_short_run_is_judged_too() -> None:
    assert judged("threads/api", [4.0, 4.0])["too_much"] is False
