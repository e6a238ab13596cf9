"""Commands about models."""

from typing import Annotated

import typer

from scmoe.cli._options import MODEL_HELP
from scmoe.cli._wording import reported

app = typer.Typer(help="What a model is.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """What a model is."""


@app.command()
def info(
    model: Annotated[str, typer.Argument(help=MODEL_HELP, show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Print what a model was trained on, its panel, labels and scores, its size and versions, and how to use it."""
    with reported():
        import json

        from scmoe.model.hub._card import describe, how_to_use
        from scmoe.model.hub._info import model_info
        from scmoe.model.hub._locate import load_line, locate_model

        facts = model_info(locate_model(model))
        text = describe(facts) + "\n\n" + how_to_use(facts, model, load_line(facts["model"], model))
    typer.echo(json.dumps(facts, indent=1) if as_json else text)
