"""Model files and engines. Torch is imported here and in `worker.training`, nowhere else."""

from worker.inference.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
