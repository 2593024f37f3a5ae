"""A trained net as ONNX files that give its numbers anywhere: written, compared, described."""

from trainer.export.export import export_model
from trainer.export.models import Trained
from trainer.export.net import read_weights
from trainer.export.own import convert_net

__all__ = ["Trained", "convert_net", "export_model", "read_weights"]
