"""What students install: derived from what is installed here, so that it holds for a checkout and for an installed grader alike."""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version

from npfl139 import DISTRIBUTION

__all__ = ["constraints", "project"]

FOR_INSTRUCTORS = ("dask", "dev", "grader", "postgres", "site")  # extras that a student has no use for
EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "{version}"
description = "Assignments in deep reinforcement learning, and the library that they use"
requires-python = "{python}"
dependencies = [
{dependencies}
]

[project.optional-dependencies]
{extras}

[project.scripts]
npfl139 = "{module}:main"

[tool.setuptools]
py-modules = ["{module}"]
package-dir = {{"" = "."}}  # other distributions may add to the package solutions; see its __init__.py

[tool.setuptools.packages.find]
include = ["npfl139*", "solutions*", "assignments"]

[tool.setuptools.package-data]
npfl139 = ["py.typed"]
assignments = ["*.ipynb", "*.json", "*.safetensors"]
"""


def project(others: Iterable[Distribution]) -> str:
    """Return the pyproject.toml of a student bundle: the requirements of this project without the grader's, and of the topics'.

    Args:
        others: the distributions that bring the topics, if they are not this project.
    """
    ours = distribution(DISTRIBUTION)
    base, extras = _requirements(ours)
    for other in others:
        base += [requirement for requirement in _requirements(other)[0] if _name(requirement) not in map(_name, [DISTRIBUTION, *base])]
    return PROJECT.format(
        name=DISTRIBUTION,
        module=DISTRIBUTION.replace("-", "_"),
        version=ours.version,
        python=ours.metadata["Requires-Python"],
        dependencies=_listed(base, "    ", ",\n"),
        extras="\n".join(f"{extra} = [{_listed(needed, '', ', ')}]" for extra, needed in extras.items()),
    )


def constraints(others: Iterable[Distribution]) -> str:
    """Return the constraints.txt of a student bundle: the versions with which the grader runs here."""
    distributions = [distribution(DISTRIBUTION), *others]
    needed = {_name(requirement) for item in distributions for group in _groups(item) for requirement in group}
    lines = []
    for name in sorted(needed - {_name(DISTRIBUTION)}):
        try:
            lines.append(f"{name}=={version(name).split('+')[0]}")  # 2.13.0+cpu is a build of 2.13.0
        except PackageNotFoundError:
            pass  # of an extra that is not installed here
    return "# The versions that the grader runs with.\n" + "".join(f"{line}\n" for line in lines)


def _groups(item: Distribution) -> list[list[str]]:
    base, extras = _requirements(item)
    return [base, *extras.values()]


def _requirements(item: Distribution) -> tuple[list[str], dict[str, list[str]]]:
    """Return what a distribution requires: always, and by extra, without the extras for instructors."""
    base: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in item.requires or ():
        requirement, _, condition = (part.strip() for part in line.partition(";"))
        match = EXTRA.search(condition)
        if match is None:
            base.append(f"{requirement}; {condition}" if condition else requirement)
        elif match[1] not in FOR_INSTRUCTORS:
            extras.setdefault(match[1], []).append(requirement)
    return base, extras


def _name(requirement: str) -> str:
    """Return the normalized name of the distribution that a requirement asks for.

    >>> _name("Jinja2>=3.1"), _name("deep_rl-unit[grader]"), _name("torch<3,>=2.13")
    ('jinja2', 'deep-rl-unit', 'torch')
    """
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def _listed(requirements: Iterable[str], indent: str, separator: str) -> str:
    return separator.join(f"{indent}'{requirement}'" if '"' in requirement else f'{indent}"{requirement}"' for requirement in requirements)
