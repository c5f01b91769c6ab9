"""Services outside the machine, on loopback: Cloudinary, S3 and a mail server, all ready to misbehave."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.ports import LOOPBACK
from tests.faults.proxy import FaultProxy
from tests.mail_server import LOGIN, PASSWORD, MailServer, make_certificate
from tests.servers.cloudinary import FakeCloudinary
from tests.servers.s3 import S3Server


@dataclass(frozen=True)
class Outside:
    """The servers. Mail goes through a proxy."""

    cloudinary: FakeCloudinary
    s3: S3Server
    mail: MailServer
    mail_proxy: FaultProxy

    def environment(self) -> dict[str, str]:
        """The variables that make the product use them: uploads are staged in S3, pictures in Cloudinary."""
        cloudinary, s3 = self.cloudinary, self.s3
        return {
            "IMAGE_STORE": "cloudinary",
            "REPORT_STORE": "s3",
            "STAGING_STORE": "s3",
            "CLOUDINARY_URL": f"cloudinary://{cloudinary.api_key}:{cloudinary.api_secret}@{cloudinary.cloud}",
            "CLOUDINARY_UPLOAD_PREFIX": cloudinary.url,
            "CLOUDINARY_DELIVERY_PREFIX": cloudinary.url,
            "AWS_S3_BUCKET": s3.bucket,
            "AWS_S3_ENDPOINT_URL": s3.url,
            "AWS_ACCESS_KEY_ID": s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
            "SMTP_SERVER": LOOPBACK,
            "SMTP_PORT": str(self.mail_proxy.port),
            "SMTP_SECURITY": "starttls",
            "SMTP_USERNAME": LOGIN,
            "SMTP_PASSWORD": PASSWORD,
            "SMTP_CA_FILE": str(self.mail.certificate.chain),
            "SMTP_TIMEOUT_SECONDS": "1",
            # Three answers that do not come, and the pauses between, fit into a lease, as they do by default.
            "STORE_TIMEOUT_SECONDS": "1",
            "LEASE_SECONDS": "6",
        }


@contextmanager
def running_outside(folder: Path) -> Iterator[Outside]:
    """All of them at work; they end with the block."""
    from moto.server import ThreadedMotoServer  # slow, and few faults need it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells of each request
    folder.mkdir(parents=True)
    moto = ThreadedMotoServer(LOOPBACK, 0, verbose=False)
    moto.start()
    mail = MailServer(make_certificate(folder))
    try:
        mail.start()
        with FakeCloudinary() as cloudinary, S3Server(moto) as s3, FaultProxy(mail.port) as mail_proxy:
            yield Outside(cloudinary, s3, mail, mail_proxy)
    finally:
        mail.stop()
        moto.stop()
