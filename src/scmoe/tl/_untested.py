"""What a model has filled in is no measurement: said once, where it is written."""

import functools

from scmoe._log import logger


@functools.cache
def warn_of_tests() -> None:
    """Say, once in a session, that layers of a model are not for tests."""
    logger.warning(
        "tests on denoised or predicted values are not valid: the model fills in what it expects, and differences are "
        "found where there are none. scmoe.tl.markers tests what was measured"
    )
