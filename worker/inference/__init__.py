"""Model files and engines. PyTorch is imported in this package and in `worker.training`, nowhere else.

Here it comes only where it is needed: OpenVINO's engines do without it once they are exported.
"""

from worker.inference.loading import load_model
from worker.inference.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "load_model"]
