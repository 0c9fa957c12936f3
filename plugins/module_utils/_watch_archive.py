# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program for a host as one file: our own utils, as this very module came with them, in a zip that Python runs.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

There is one implementation of each check. What a host runs between Ansible's runs is what Ansible brought there. The bytes are the same
for the same sources, so that a second run changes nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import typing as t
import zipfile

PACKAGE = "ansible_collections.alfred.portmap.plugins.module_utils"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can hold
REGULAR = 0o100644 << 16
_IMPORT = re.compile(rf"^from {re.escape(PACKAGE)}\.(\w+) import ", re.MULTILINE)  # our only way to import one; to parse all takes ten times as long


class ArchiveError(Exception):
    """A source is not to be had."""


def sources(main: str) -> dict[str, str]:
    """The utils that a util needs, itself among them, by name: found by its imports and theirs. Raises ArchiveError."""
    found: dict[str, str] = {}
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source(name)
            waiting += imported(found[name])
    return dict(sorted(found.items()))


def imported(source: str) -> list[str]:
    """The utils that a source imports, by their names in the package."""
    return _IMPORT.findall(source)


def _source(name: str) -> str:
    spec = importlib.util.find_spec(f"{PACKAGE}.{name}")
    loader = t.cast(t.Any, spec.loader if spec is not None else None)
    source = loader.get_source(f"{PACKAGE}.{name}") if hasattr(loader, "get_source") else None  # from a file, or out of Ansible's own zip
    if source is None:
        raise ArchiveError(f"the source of {name} is not to be had, so that the program can't be made")
    return str(source)


def archive(main: str, texts: t.Mapping[str, str]) -> bytes:
    """A zip with these utils, which runs `main` of one of them: main(arguments, environment) gives the exit status."""
    folders = PACKAGE.split(".")
    files = {"/".join([*folders[: depth + 1], "__init__.py"]): "" for depth in range(len(folders))}
    files.update({"/".join([*folders, f"{name}.py"]): text for name, text in texts.items()})
    files["__main__.py"] = f"import os\nimport sys\n\nfrom {PACKAGE}.{main} import main\n\nsys.exit(main(sys.argv[1:], os.environ))\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:  # not compressed: another zlib would make other bytes
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = REGULAR
            made.writestr(entry, files[path])
    return buffer.getvalue()


def listing(content: t.Optional[bytes]) -> str:
    """What is in an archive, for a diff that people can read: each file with its hash."""
    if not content:
        return ""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as found:
            lines = [f"{hashlib.sha256(found.read(name)).hexdigest()[:16]}  {name.rpartition('/')[2]}" for name in sorted(found.namelist())]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return f"{hashlib.sha256(content).hexdigest()[:16]}  no archive\n"
    return "".join(line + "\n" for line in lines if not line.endswith("__init__.py"))
