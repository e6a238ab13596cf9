from ._config import FineTuneConfig, GeneConfig, NetworkConfig, PretrainConfig, TrainConfig
from ._published import PublishedWeights, read_published
from ._scmoe import SCMOE
from ._xtrimogene import XTRIMOGENE

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
