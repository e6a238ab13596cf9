from ._config import FineTuneConfig, GeneConfig, NetworkConfig, PretrainConfig, TrainConfig
from ._scmoe import SCMOE
from .genes._xtrimogene import XTRIMOGENE
from .genes.published._tables import PublishedWeights, read_published

__all__ = [
    "SCMOE",
    "XTRIMOGENE",
    "FineTuneConfig",
    "GeneConfig",
    "NetworkConfig",
    "PretrainConfig",
    "PublishedWeights",
    "TrainConfig",
    "read_published",
]
