"""A model as small files for other programs: Triton, MLflow, freqtrade."""

from trainer.serve.exports.formats import FORMATS, export_model, read_model
from trainer.serve.exports.model import ModelToExport

__all__ = ["FORMATS", "ModelToExport", "export_model", "read_model"]
