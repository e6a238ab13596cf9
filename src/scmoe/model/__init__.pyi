from ._config import NetworkConfig, TrainConfig
from ._scmoe import SCMOE

__all__ = ["NetworkConfig", "SCMOE", "TrainConfig"]
