"""What one worker process holds: services, and the scan pipeline or the report renderer and mail sender."""

import os
import threading
import time
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from shared import __version__, heartbeat
from shared.failpoints import failpoint
from shared.heap import keep_freed_memory
from shared.logs import get_logger
from shared.models import JobKind
from shared.services import build_services
from shared.settings import Settings
from shared.sweep import sweep
from worker import metrics
from worker.dead_man import LEASES, DeadManSwitch
from worker.leases import process_name
from worker.load_test import load_test_model
from worker.mailing import MailSender
from worker.metrics_endpoint import serve_metrics, watch_device
from worker.pipeline import LoadedModel, ScanPipeline
from worker.rendering import ReportRenderer
from worker.stopping import listen
from worker.watchdog import Turns

NICENESS = 10  # where the API shares the cores, who asks is answered before who computes

log = get_logger(__name__)


class WorkerProcess:
    """The collaborators of this process' tasks."""

    def __init__(self, settings: Settings) -> None:
        os.nice(NICENESS)
        keep_freed_memory()
        self._metrics = serve_metrics(settings)
        self.services = build_services(settings, f"worker-{settings.worker_role}")
        self._stopping = threading.Event()
        listen(self._stopping)
        self._parts: dict[JobKind, ScanPipeline | ReportRenderer | MailSender] = {}
        self._name = f"{settings.worker_role}@{process_name()}"
        self._device = "cpu"
        self._model: str | None = None
        if settings.worker_role == "scan":
            began = time.perf_counter()
            loaded = load_model(settings)
            metrics.model_loaded(loaded.provenance, time.perf_counter() - began)
            self._device = heartbeat.computing(loaded.provenance["device"], loaded.provenance["engine"])
            watch_device(loaded.provenance["device"])
            self._model = f"{loaded.provenance['name']} {loaded.provenance['version']}"
            self._parts[JobKind.SCAN] = ScanPipeline(self.services, loaded, self._stopping, end_hung_process)
        else:
            for part in (ReportRenderer, MailSender):
                self._parts[part.kind] = part(self.services, self._stopping, end_hung_process)
        self.turns = Turns(self.services, self._parts)
        self.turns.start()
        self._switch = DeadManSwitch(LEASES * settings.lease_seconds)
        self._switch.start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more work and end the threads."""
        self._stopping.set()
        self._stop.set()
        self._thread.join()
        self.turns.stop()
        for part in self._parts.values():
            part.close()
        self._switch.stop()
        if self._metrics is not None:
            self._metrics.stop()

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
    failpoint("model-loading")
    if settings.engine == "load-test":
        return load_test_model()
    import numpy as np

    from worker import inference  # brings OpenVINO or PyTorch: only scan workers pay for it

    predictor = inference.load_model(settings.model_folder, settings.device, settings.engine)
    manifest = predictor.manifest
    predictor.predict(
        [np.zeros((1, manifest.input_size, manifest.input_size), np.float32)] * settings.batch_size
    )
    provenance: dict[str, Any] = {
        "name": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.weights_sha256,
        "preprocessing_version": manifest.preprocessing_version,
        "code_version": __version__,
        "device": predictor.device,
        "engine": predictor.engine,
    }
    if predictor.inconclusive is not None:
        provenance["inconclusive"] = list(predictor.inconclusive)
    log.info("model loaded", **provenance)
    return LoadedModel(predictor, manifest.input_size, provenance)


def end_hung_process() -> None:
    """Nothing in this process can end what hangs; its pool makes another, and the leases run out."""
    log.critical("process ends: its work stands still")
    os._exit(1)
