"""What a report costs: seconds of its job, and the size of the file, by the number of scans in it."""

from datetime import datetime

from bench.figures import Figure, compare
from bench.plan import Plan
from bench.running import Running

MB = 1_000_000


def measure(plan: Plan, system: Running) -> list[Figure]:
    """A patient for each number of scans; the reports take turns."""
    patients = {number: system.new_patient(f"report {number}") for number in plan.report_scans}
    for number, patient_id in patients.items():
        system.analyse(patient_id, plan.files(number))
    seconds: dict[int, list[float]] = {number: [] for number in patients}
    megabytes: dict[int, list[float]] = {number: [] for number in patients}
    for _ in range(plan.rounds):
        for number, patient_id in patients.items():
            taken, size = _one(system, patient_id)
            seconds[number].append(taken)
            megabytes[number].append(size / MB)
    smallest = plan.report_scans[0]
    against = f"a report of {smallest}"
    return [
        compare(f"report of {number} scans", values[number], unit, against, values[smallest])
        for values, unit in ((seconds, "s"), (megabytes, "MB"))
        for number in patients
    ]


def _one(system: Running, patient_id: int) -> tuple[float, int]:
    """From the start of the job to its end, and bytes. Raises `RuntimeError` if it fails."""
    job_id = system.client.request_report(patient_id)
    job = system.client.wait_for_jobs([job_id], lambda _: None)[job_id]
    if job["status"] != "succeeded":
        raise RuntimeError(f"a report did not succeed: {job['error']}")
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    content = system.client.fetch(system.client.report_url(job["result"]["report_id"]))
    return (ended - began).total_seconds(), len(content)
