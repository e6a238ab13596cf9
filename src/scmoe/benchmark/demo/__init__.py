"""The main job on the bundled data: what `scmoe demo` runs."""
