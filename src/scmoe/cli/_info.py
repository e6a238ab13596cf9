"""`scmoe info`."""

import typer

from scmoe._version import __version__
from scmoe.cli._wording import reported


def info() -> None:
    """Print the versions of scmoe, Python and the libraries, and the devices: what a report of a fault needs."""
    with reported():
        import platform
        import re
        from importlib.metadata import PackageNotFoundError, requires, version

        import torch

        names = [re.match(r"[\w.-]+", requirement) for requirement in requires("scmoe") or ()]
        lines = {"scmoe": __version__, "Python": platform.python_version(), "system": platform.platform()}
        for name in dict.fromkeys(match[0] for match in names if match):
            try:
                lines[name] = version(name)
            except PackageNotFoundError:  # an extra
                continue
        gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        lines["devices"] = ", ".join(gpus) or ("mps" if torch.backends.mps.is_available() else "cpu")
    width = max(map(len, lines))
    typer.echo("\n".join(f"{name:<{width}}  {value}" for name, value in lines.items()))
