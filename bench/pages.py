"""How soon the staff's pages come with a few scans and with thousands: until the HTML of a page is there."""

import time

import httpx
from sqlalchemy import create_engine, make_url, text

from bench.figures import Figure, Goal, compare
from bench.plan import Plan
from bench.running import Running

FEW = 8
GOAL = Goal(at_most=300, of_value=True)
PAGES = {
    "dashboard": "/portal/staff",
    "worklist": "/portal/worklist",
    "patients": "/portal/patients",
    "scans": "/portal/staff/scans",
    "tumours among the scans": "/portal/staff/scans?outcome=tumor",
    "one scan": "/portal/staff/scans/1",
    "batches": "/portal/batches",
    "reports": "/portal/staff/reports",
    "jobs": "/portal/jobs",
    "audit trail": "/portal/audit",
    "system": "/portal/system",
}
# Each analysed scan again and again, with a job, until there are so many; a patient for each ten.
FILL = """
INSERT INTO patients (patient_id, name, email, username, password_hash, shares_email, has_generated_password)
SELECT 'P' || lpad(to_hex(n), 16, '0'), 'Bench ' || n, n || '@bench.example.org', 'bench' || n, '', false,
       true
FROM generate_series(1, {scans} / 10) AS n;
INSERT INTO scans ({columns}, patient_id, scan_id)
SELECT {copied}, one.id, 'S' || lpad(to_hex(n), 16, '0')
FROM generate_series(1, {scans}) AS n
JOIN LATERAL (SELECT * FROM scans ORDER BY id OFFSET mod(n, {few}) LIMIT 1) AS model ON true
JOIN patients AS one ON one.username = 'bench' || 1 + mod(n / 10, {scans} / 10);
INSERT INTO jobs (id, kind, lane, status, stage, attempt, spent_attempts, crash_count, scan_id, is_public,
                  started_at, finished_at)
SELECT gen_random_uuid(), 'scan', 'bulk', 'succeeded', 'done', 1, 0, 0, id, false, now(), now()
FROM scans WHERE NOT EXISTS (SELECT FROM jobs WHERE scan_id = scans.id) ORDER BY id;
ANALYZE;
"""
OF_EACH = {"id", "patient_id", "scan_id"}


def measure(plan: Plan, system: Running) -> list[Figure]:
    """Signed in as the admin, one page at a time, by turns; then again with thousands of scans."""
    system.analyse(system.new_patient("pages"), plan.files(FEW))
    with httpx.Client(base_url=system.url, trust_env=False, timeout=60) as browser:
        _sign_in(browser, system)
        few = _times(browser, plan.page_rounds)
        _fill(system, plan.page_scans)
        many = _times(browser, plan.page_rounds)
    return [
        compare(f"{name}, {plan.page_scans:,} scans more", many[name], "ms", f"{FEW} scans", few[name], GOAL)
        for name in PAGES
    ]


def _sign_in(browser: httpx.Client, system: Running) -> None:
    access = system.stack.up()
    form = {"as": "staff", "username": access.username, "password": access.password}
    answer = browser.post("/portal/sign-in", data=form, headers={"Origin": system.url})
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise RuntimeError(f"signing in was answered with {answer.status_code}")


def _times(browser: httpx.Client, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each page in each round; the first round, which warms up, does not count."""
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    for number in range(rounds + 1):
        for name, address in PAGES.items():
            began = time.perf_counter()
            browser.get(address).raise_for_status()
            if number:
                times[name].append((time.perf_counter() - began) * 1000)
    return times


def _fill(system: Running, scans: int) -> None:
    address = make_url(system.stack.environment()["DATABASE_URL"]).set(drivername="postgresql+psycopg2")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        named = "SELECT column_name FROM information_schema.columns WHERE table_name = 'scans'"
        columns = sorted({name for (name,) in connection.execute(text(named))} - OF_EACH)
        script = FILL.format(
            scans=scans,
            few=FEW,
            columns=", ".join(columns),
            copied=", ".join(f"model.{name}" for name in columns),
        )
        connection.exec_driver_sql(script)
    engine.dispose()
