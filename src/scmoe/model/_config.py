"""The settings that the models take, at the place where users look for them."""

from scmoe.nn._config import NetworkConfig
from scmoe.nn.genes._config import GeneConfig
from scmoe.train._config import TrainConfig
from scmoe.train._fine_tune import FineTuneConfig
from scmoe.train._pretrain import PretrainConfig

__all__ = ["FineTuneConfig", "GeneConfig", "NetworkConfig", "PretrainConfig", "TrainConfig"]
