"""A mail server that fails, while patients are enrolled who wait for their passwords."""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import httpx
from sqlalchemy import select

from shared.models import UNFINISHED, Job, JobStatus, Mail, Patient
from tests.faults.driver import ANSWER_S, log_in
from tests.faults.outside import Outside
from tests.faults.scene import Fault, Place, Scene
from tests.faults.system import ADMIN_PASSWORD, until

PATIENTS = 12
NAME = "Grace Enrolled-Example"
MAIL_PATIENCE_S = 120  # pauses double, and the server may be back just after one has begun
CUT_EVERY_S = 0.2


@dataclass(frozen=True)
class Enrolled:
    """What the answer of an enrolment said."""

    email: str
    password: str


@contextmanager
def refusing(outside: Outside) -> Iterator[None]:
    """No connection comes about."""
    with outside.mail_proxy.refusing():
        yield


@contextmanager
def hanging(outside: Outside) -> Iterator[None]:
    """Connections come about, and nothing is said."""
    with outside.mail_proxy.hanging():
        yield


@contextmanager
def deferring(outside: Outside) -> Iterator[None]:
    """Every mail is to come again later: at its sender, its recipient, or its end."""
    for command in ("MAIL", "RCPT", "DATA"):
        outside.mail.answer(command, *["451 4.7.1 Come back later"] * 4)
    yield
    outside.mail.answers.clear()


@contextmanager
def well(_: Outside) -> Iterator[None]:
    """The mail server does what it should."""
    yield


def cut_again_and_again(scene: Scene) -> None:
    outside = _outside(scene)

    def last() -> None:
        for _ in range(30):
            outside.mail_proxy.cut()
            time.sleep(CUT_EVERY_S)

    _enrol_during(scene, well, last)


def _enrol(scene: Scene) -> list[Enrolled]:
    """Patients whose enrolment was answered. Enrolling does not wait for the mail server."""
    url, enrolled = scene.system.url, []
    headers = {"Authorization": f"Bearer {log_in(url, ADMIN_PASSWORD)}"}
    with httpx.Client(trust_env=False, timeout=ANSWER_S, headers=headers) as client:
        for _ in range(PATIENTS):
            email = f"{uuid.uuid4()}@example.org"
            body = {"name": NAME, "email": email}
            answer = client.post(f"{url}/api/admin/patients", json=body)
            scene.demand(answer.status_code == 201, f"an enrolment was answered with {answer.status_code}")
            if answer.status_code == 201:
                enrolled.append(Enrolled(email, answer.json()["data"]["password"]))
    return enrolled


def _enrol_during(
    scene: Scene, trouble: Callable[[Outside], AbstractContextManager[None]], last: Callable[[], None]
) -> None:
    """Enrol while there is trouble; then every mail must arrive, and be nowhere else."""
    outside = _outside(scene)
    with trouble(outside):
        enrolled = _enrol(scene)
        last()
    emails = [patient.email for patient in enrolled]
    until(lambda: not _jobs(scene, emails, UNFINISHED), "all mails are sent", MAIL_PATIENCE_S)
    sent = _jobs(scene, emails, (JobStatus.SUCCEEDED,))
    scene.demand(len(sent) == len(enrolled), f"{len(enrolled) - len(sent)} mail jobs failed")
    ids: dict[str, set[str]] = defaultdict(set)
    for message in list(outside.mail.received):
        ids[str(message["To"].addresses[0].addr_spec)].add(str(message["Message-ID"]))
    lost = [email for email in emails if email not in ids]
    scene.demand(not lost, f"{len(lost)} mails never arrived")
    scene.demand(all(len(ids[email]) == 1 for email in emails), "one mail came under two Message-IDs")
    secrets = [NAME, *emails, *(patient.password for patient in enrolled)]
    for log in scene.system.folder.glob("*.log"):
        text = log.read_text(errors="replace")
        scene.demand(not any(secret in text for secret in secrets), f"{log.name} quotes a mail or a patient")


def _jobs(scene: Scene, emails: list[str], states: tuple[JobStatus, ...]) -> list[Job]:
    with scene.system.services.sessions() as session:
        query = select(Job).join(Job.mail).join(Patient, Patient.id == Mail.patient_id)
        return list(session.scalars(query.where(Patient.email.in_(emails), Job.status.in_(states))))


def _outside(scene: Scene) -> Outside:
    assert scene.system.outside is not None
    return scene.system.outside


def _during(trouble: Callable[[Outside], AbstractContextManager[None]]) -> Callable[[Scene], None]:
    return lambda scene: _enrol_during(scene, trouble, lambda: scene.last(5))


MAIL_FAULTS = (
    Fault("mail: the server refuses", _during(refusing), place=Place.OUTSIDE),
    Fault("mail: the server hangs", _during(hanging), place=Place.OUTSIDE),
    Fault("mail: the server defers", _during(deferring), place=Place.OUTSIDE),
    Fault("mail: connections are cut", cut_again_and_again, place=Place.OUTSIDE),
    Fault("mail: kill:2 at mail-sent", _during(well), {"FAIL_AT": "mail-sent:kill:2"}, place=Place.OUTSIDE),
    Fault("mail: hang:1 at mail-sent", _during(well), {"FAIL_AT": "mail-sent:hang:1"}, place=Place.OUTSIDE),
)
