"""What is said of a model to people: on the command line, and as the card of a repository."""

import json
import re
from collections.abc import Mapping
from typing import Any

LICENSE = re.compile(r"[\w.+-]+")
"""An identifier, such as mit, cc-by-4.0 or other."""
TAGS = ("single-cell", "multi-omics", "mixture-of-experts", "biology")
LIMITS = """\
- Labels are those of the training cells. Cells of other types get the nearest of them: look at `scmoe_unknown_score`
  and `scmoe_mapping_score`, and decline labels with `coverage=0.9` (`--coverage 0.9`).
- Scores are those of cells that were held out of the same donors and batches. On other donors, tissues and technologies
  they are lower, and probabilities too sure. Check a sample by known markers.
- Genes and proteins are those of the panel, of the same species. What a query lacks is filled with what its other
  features let expect.
- For research; not for diagnosis or treatment."""


def describe(info: Mapping[str, Any]) -> str:
    """The facts of `scmoe.model.hub._info.model_info` in Markdown that can be read as it is."""
    about, training, cells = info["about"], info["training"], info["training"]["cells"]
    held_out = f"{cells['validation']} for validation, {cells['test']} for tests"
    lines = [
        *([about["description"], ""] if about.get("description") else []),
        f"- **Model**: {info['model']}, {info['parameters']:,} parameters, {info['bytes'] / 1e6:.1f} MB",
        *(f"- **{name.capitalize()}**: {about[name]}" for name in ("origin", "license") if about.get(name)),
        f"- **Trained on**: {sum(cells.values()):,} cells ({held_out}), {training['epochs']} epochs in "
        f"{training['seconds']:.0f} s, seed {training['seed']}",
    ]
    for name, panel in info["modalities"].items():
        names = ", ".join(panel["features"]) + (", …" if panel["n_features"] > len(panel["features"]) else "")
        lines.append(f"- **{name}** ({panel['kind']}): {panel['n_features']:,} features: {names}")
    if info["batches"]["key"]:
        lines.append(f"- **Batches** (`{info['batches']['key']}`): {', '.join(info['batches']['names'])}")
    lines += [f"- **Versions**: {', '.join(f'{name} {version}' for name, version in info['versions'].items())}"]
    lines += [f"- **Beware**: {sentence}" for sentence in training["verdict"]]
    return "\n".join([*lines, *_label_lines(info["labels"], info["scores"])])


def _label_lines(labels: Mapping[str, Any], scores: Mapping[str, Any]) -> list[str]:
    """Labels, with how often they are right."""
    if not labels["names"]:
        return ["- **Labels**: none"]
    if not scores:
        return [f"- **Labels**: {', '.join(labels['names'])}"]
    rows = [
        f"| {name} | {labels['n_cells'][name]} | {'–' if recall is None else f'{recall:.2f}'} |"
        for name, recall in labels["recall"].items()
    ]
    return [
        f"- **Labels** (`{labels['key']}`): {len(labels['names'])}. Of {scores['n_cells']} training cells, each held "
        f"out of the fit of the labels: accuracy {scores['accuracy']:.3f}, balanced {scores['balanced_accuracy']:.3f}, "
        f"macro F1 {scores['macro_f1']:.3f}, calibration error {scores['ece']:.3f}",
        "",
        "| label | cells | recall |",
        "|---|---:|---:|",
        *rows,
    ]


def how_to_use(info: Mapping[str, Any], place: str, load: str) -> str:
    """How to map a query, in Python and on the command line.

    Parameters
    ----------
    info
        See `describe`.
    place
        What ``--model`` takes.
    load
        The line of Python that loads the model.
    """
    if info["model"] != "SCMOE":
        return f"```python\nimport scmoe\n\nmodel = {load}\nembedding = model.get_latent_representation(adata)\n```"
    verb = "annotate" if info["labels"]["names"] else "embed"
    return f"""\
```python
import scmoe

model = {load}
query = scmoe.datasets.read("cells.h5")  # 10x .h5, .h5mu, .h5ad, .zarr
scmoe.pp.prepare(query)
scmoe.tl.map_query(query, model)
```

```bash
scmoe {verb} cells.h5 --model {place} -o annotated.h5mu
```"""


def model_card(info: Mapping[str, Any], repo_id: str) -> str:
    """The card of a repository of the hub, with its header in YAML."""
    about = info["about"]
    header = {"library_name": "scmoe", "license": about["license"], "tags": [*TAGS, info["model"].lower()]}
    lines = [f"{name}: {json.dumps(value)}" for name, value in header.items()]  # JSON is YAML
    load = f"scmoe.model.{info['model']}.from_hub({repo_id!r})".replace("'", '"')
    return "\n".join(
        [
            *("---", *lines, "---", "", f"# {repo_id}", "", describe(info), ""),
            *("## How to use it", "", how_to_use(info, repo_id, load), ""),
            "`python -m pip install 'scmoe[hub]'` installs what this needs. The files hold numbers and text, no code;",
            "their checksums are compared when they are read. Pass `revision=` to get the same files next year.",
            *("", "## Limits", "", LIMITS, ""),
        ]
    )
