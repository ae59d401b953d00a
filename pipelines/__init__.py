"""The YAML reader and the shipped pipelines: one folder each, with `pipeline.yaml` and its prompts."""

from pathlib import Path


def shipped() -> dict[str, Path]:
    """Name -> pipeline file of every pipeline that comes with Millwright."""
    return {path.parent.name: path for path in sorted(Path(__file__).parent.glob("*/pipeline.yaml"))}
