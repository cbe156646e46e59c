"""Writes an autograder.zip for Gradescope: this project as a wheel, setup.sh that installs it, run_autograder that grades a submission.

Source: Gradescope, "Autograder Specifications": the archive is unpacked into /autograder/source, setup.sh runs once as the image is built,
and /autograder/run_autograder for each submission, which lies in /autograder/submission; the result is /autograder/results/results.json.
"""

import base64
import hashlib
import io
import re
import shlex
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path

import npfl139
from grader.contract import registry
from grader.contract.sources import checkout
from grader.course.exports.formats import ExportError
from grader.course.exports.tables import save
from npfl139 import DISTRIBUTION
from npfl139.terminal import suggested

__all__ = ["autograder"]

PACKAGES = ("npfl139", "solutions", "grader", "assignments", "lectures")
WHEN = (1980, 1, 1, 0, 0, 0)
DESCRIBED = {"METADATA": ("METADATA", "PKG-INFO"), "entry_points.txt": ("entry_points.txt",), "top_level.txt": ("top_level.txt",)}
EXTRA = re.compile(r"""extra\s*==\s*["']grader["']""")
CPU = "https://download.pytorch.org/whl/cpu"

SETUP = """\
#!/usr/bin/env bash
# Runs once, as root, while Gradescope builds the image.
set -euo pipefail
cd "${{AUTOGRADER:-/autograder}}"
if command -v apt-get > /dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends python3 python3-venv bubblewrap
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "choose an image with Python 3.11 or newer, such as Ubuntu 24.04")'
python3 -m venv venv
venv/bin/pip install --no-cache-dir --extra-index-url {cpu} -c source/constraints.txt torch
venv/bin/pip install --no-cache-dir -c source/constraints.txt {wheels}
"""
RUN = """\
#!/usr/bin/env bash
# Runs for each submission.
cd "${{AUTOGRADER:-/autograder}}"
exec venv/bin/python -m grader.course.exports.autograde {arguments}
"""
README = """\
An autograder for the topic {topic}, as Gradescope takes it: upload the whole archive under "Configure Autograder".

Choose an image with Python 3.11 or newer, and in the settings of the assignment 4 GB of memory or more: PyTorch alone needs more than the
768 MB that are the default. A submission may use {limit:g} seconds of its own, so choose a timeout of at least twice that.

What runs a submission is in a sandbox where Gradescope's container allows one. Where it does not, it runs in a plain process: a dishonest
submission can then read the checks, or forge its result; a test that only you see says so. To be sure, download the submissions and grade
them with `npfl139 grade` on a machine of your own.
"""


def autograder(topic: str, out: Path, training: bool = True, sandbox: str = "auto", limit: float = 240) -> None:
    """Write the archive for a topic.

    Args:
        sandbox: "bwrap", "process", or "auto" for the first that the container allows.
        limit: seconds of its own that a submission may use.

    Raises:
        ExportError: there is no such topic, its distribution cannot be packed, or the archive cannot be written.
    """
    if topic not in registry.available():
        raise ExportError(f"there is no topic {topic!r}; {suggested(topic, registry.available())}")
    brought = registry.distribution(topic)
    others = [brought] if brought is not None and brought.name != DISTRIBUTION else []
    wheels = [_ours(), *(_installed(item) for item in others)]
    arguments = ["--topic", topic, "--sandbox", sandbox, "--limit", f"{limit:g}", *([] if training else ["--no-training"])]
    names = " ".join(shlex.quote(f"source/{name}") + ("'[grader]'" if index == 0 else "") for index, (name, _) in enumerate(wheels))
    files: dict[str, str | bytes] = {
        "setup.sh": SETUP.format(wheels=names, cpu=CPU),
        "run_autograder": RUN.format(arguments=shlex.join(arguments)),
        "constraints.txt": _constraints([distribution(DISTRIBUTION), *others]),
        "README.txt": README.format(topic=topic, limit=limit),
        **dict(wheels),
    }
    save(out, _zipped(files, executable=("setup.sh", "run_autograder")))


def _ours() -> tuple[str, bytes]:
    """Return (file name, content) of a wheel of this project, from its checkout or as it is installed."""
    root = checkout(Path(npfl139.__file__).resolve())
    if root is None:
        return _installed(distribution(DISTRIBUTION))
    paths = [path for name in PACKAGES for path in (root / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    paths.append(root / f"{DISTRIBUTION.replace('-', '_')}.py")
    return _wheel(distribution(DISTRIBUTION), {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(paths)})


def _installed(item: Distribution) -> tuple[str, bytes]:
    """Return a wheel of what a distribution installed.

    Raises:
        ExportError: it is installed as a link to its checkout.
    """
    recorded = [str(file) for file in item.files or ()]
    if any("__editable__" in name for name in recorded):
        raise ExportError(f"{item.name} is installed with pip install -e, and only its checkout knows its files: install it without -e")
    names = [name for name in recorded if not name.startswith("..") and "__pycache__" not in name and ".dist-info/" not in name]
    return _wheel(item, {name: Path(str(item.locate_file(name))).read_bytes() for name in names})


def _wheel(item: Distribution, files: dict[str, bytes]) -> tuple[str, bytes]:
    """Return (file name, content) of a wheel that holds these files."""
    name = f"{item.name.replace('-', '_')}-{item.version}"
    described: dict[str, str | bytes] = {**files}
    for part, called in DESCRIBED.items():  # what a build left beside a checkout calls the first otherwise
        if text := next(filter(None, map(item.read_text, called)), None):
            described[f"{name}.dist-info/{part}"] = text
    described[f"{name}.dist-info/WHEEL"] = "Wheel-Version: 1.0\nGenerator: npfl139\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{path},sha256={_digest(content)},{len(_bytes(content))}\n" for path, content in described.items()]
    record = f"{name}.dist-info/RECORD"
    return f"{name}-py3-none-any.whl", _zipped(described | {record: "".join([*lines, f"{record},,\n"])})


def _digest(content: str | bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(_bytes(content)).digest()).rstrip(b"=").decode()


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _zipped(files: dict[str, str | bytes], executable: Iterable[str] = ()) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, WHEN)
            member.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _constraints(items: Iterable[Distribution]) -> str:
    """Return the versions that are installed here of everything that the graders need."""
    lines = set()
    for line in (line for item in items for line in item.requires or ()):
        requirement, _, condition = line.partition(";")
        name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
        if name != DISTRIBUTION and ("extra" not in condition or EXTRA.search(condition)):
            try:
                lines.add(f"{name}=={version(name).split('+')[0]}\n")
            except PackageNotFoundError:
                continue
    return "".join(sorted(lines))
