"""Model files and engines. Torch is imported here and in `worker.training`, nowhere else."""

from worker.inference.loading import load_model
from worker.inference.predictor import Prediction, Predictor
from worker.inference.single_logit import SingleLogitPredictor

__all__ = ["Prediction", "Predictor", "SingleLogitPredictor", "load_model"]
