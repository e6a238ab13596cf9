"""The settings a model takes, from the folders that define them."""

from scmoe.nn._config import NetworkConfig
from scmoe.train._config import TrainConfig

__all__ = ["NetworkConfig", "TrainConfig"]
