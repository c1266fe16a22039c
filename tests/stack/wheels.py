"""What the image installs, as a list for pip: the package's own needs, those of `gateway`, and what builds the package."""

from __future__ import annotations

import tomllib
from pathlib import Path


def needs(pyproject: Path) -> list[str]:
    """Requirements of ``.[gateway]``, extras of our own followed."""
    document = tomllib.loads(pyproject.read_text())
    project = document["project"]
    out, open_extras = list(document["build-system"]["requires"]) + project["dependencies"], ["gateway"]
    while open_extras:
        for need in project["optional-dependencies"][open_extras.pop()]:
            if need.startswith(f"{project['name']}["):
                open_extras += need[len(project["name"]) + 1 : -1].split(",")
            else:
                out.append(need)
    return out


if __name__ == "__main__":
    print("\n".join(needs(Path("pyproject.toml"))))
