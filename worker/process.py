"""What one worker process holds: services, and the scan pipeline or the report renderer and mail sender."""

import os
import signal
import threading
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from shared import __version__, heartbeat
from shared.errors import ModelFileError
from shared.logs import get_logger
from shared.services import build_services
from shared.settings import Settings
from shared.sweep import sweep
from worker.leases import process_name
from worker.load_test import load_test_model
from worker.mailing import MailSender
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer

log = get_logger(__name__)


class WorkerProcess:
    """The collaborators of this process' tasks."""

    def __init__(self, settings: Settings) -> None:
        self.services = build_services(settings)
        self.scans: ScanPipeline | None = None
        self.reports: ReportRenderer | None = None
        self.mails: MailSender | None = None
        self._name = f"{settings.worker_role}@{process_name()}"
        self._device = "cpu"
        self._model: str | None = None
        if settings.worker_role == "scan":
            loaded = load_model(settings)
            self._device = loaded.provenance["device"]
            self._model = f"{loaded.provenance['name']} {loaded.provenance['version']}"
            self.scans = ScanPipeline(self.services, loaded)
        else:
            self.reports = ReportRenderer(self.services)
            self.mails = MailSender(self.services)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the threads."""
        self._stop.set()
        self._thread.join()
        for part in (self.scans, self.reports, self.mails):
            if part is not None:
                part.close()

    def _beat(self) -> None:
        """Say that this process is alive, and sweep: beat is one process, and its messages can be lost."""
        role = self.services.settings.worker_role
        while True:
            try:
                with self.services.sessions.begin() as session:
                    heartbeat.beat(session, self._name, role, self._device, self._model)
                sweep(self.services)
            except SQLAlchemyError as error:
                log.warning("heartbeat not written", cause=type(error).__name__)
            if self._stop.wait(heartbeat.BEAT_SECONDS):
                return


def load_model(settings: Settings) -> LoadedModel:
    """Load the weights, once per process, and run one blank picture through them.

    Raises `ModelFileError` if the files do not belong together.
    """
    if settings.engine == "load-test":
        return load_test_model()
    import numpy as np

    from worker import inference  # brings PyTorch: only scan workers pay for it

    predictor = inference.load_model(settings.model_folder, settings.device, settings.engine)
    manifest = predictor.manifest
    predictor.predict(
        [np.zeros((1, manifest.input_size, manifest.input_size), np.float32)] * settings.batch_size
    )
    provenance = {
        "name": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.weights_sha256,
        "preprocessing_version": manifest.preprocessing_version,
        "code_version": __version__,
        "device": predictor.device,
        "engine": predictor.engine,
    }
    log.info("model loaded", **provenance)
    return LoadedModel(predictor, manifest.input_size, provenance)


def stop_worker(error: Exception) -> NoReturn:
    """A process that cannot start must stop the whole worker: its pool would try again and again."""
    if isinstance(error, ModelFileError):
        log.critical("worker stops: the model cannot be used", reason=str(error))
    else:
        log.critical("worker stops: it cannot start", exc_info=error)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)
