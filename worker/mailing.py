"""Mail jobs: claim -> compose -> mail server -> record.

At least once: if this process dies between the server's "250, taken" and our commit, the next attempt sends
the mail again, under the same Message-ID, by which mail programs know it for the same.
"""

import threading
import time
from collections.abc import Callable
from typing import ClassVar

from shared import mails, smtp
from shared.attempts import Claim
from shared.errors import MailUnreachableError
from shared.failpoints import failpoint
from shared.logs import get_logger
from shared.models import JobKind, Stage
from shared.services import Services
from worker.one_by_one import OneByOne

log = get_logger(__name__)


class MailSender(OneByOne):
    """Sends queued mails, one at a time.

    After a server that did not answer it rests for as long as one try may take: reports, which the same
    process renders, get at least half of the time.
    """

    kind: ClassVar[JobKind] = JobKind.MAIL

    def __init__(
        self,
        services: Services,
        stopping: threading.Event | None = None,
        on_hang: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(services, stopping, on_hang)
        self._rests_until = 0.0

    def max_attempts(self) -> int:
        return mails.max_attempts(self.services.settings)

    def may_go_on(self) -> bool:
        return time.monotonic() >= self._rests_until

    def work(self, claim: Claim) -> None:
        settings = self.services.settings
        self.enter(Stage.GATHER)
        with self.services.sessions() as session:
            mail = mails.load_for_sending(session, claim)
        message = mails.message_of(mail, settings)
        self.enter(Stage.SEND)
        try:
            smtp.send(settings, message)
        except MailUnreachableError:
            self._rests_until = time.monotonic() + settings.smtp_timeout_seconds
            raise
        failpoint("mail-sent")
        with self.services.sessions.begin() as session:
            is_kept = mails.record_sent(session, claim)
        self.tell_end(is_kept)
        log.info("mail sent", template=mail.template, kept=is_kept)
