"""A hook of MkDocs: pages made from the configs, the commands, the docstrings and the repository's own files."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "scaling"
#: Pages of the site that are files of the repository.
COPIES = {
    "index.md": "README.md",
    "contributors/contributing.md": "CONTRIBUTING.md",
    "contributors/security.md": "SECURITY.md",
    "contributors/changelog.md": "CHANGELOG.md",
}
COMMANDS = ("run", "report", "extrapolate", "features", "data")
HEADER = re.compile(r"\A(?:#.*\n)+")
PUBLIC = """# scaling

What scripts and notebooks use; `import scaling` brings them without loading anything heavy.

- [`scaling.evaluate_point`][scaling.api.evaluate_point]: evaluate one grid point
- [`scaling.fetch_runs`][scaling.tracking.fetch_runs]: finished grid points as a pandas DataFrame
- [`scaling.Score`][scaling.metrics.Score]: what a grid point's predictions are worth
- [`scaling.ScalingError`][scaling.core.errors.ScalingError]: what is raised where a user can mend it
"""
#: `name, other: what they are`, and lines indented beneath it, in the Attributes of a class.
ATTRIBUTE = re.compile(r"^(\w+(?:, \w+)*): (.*(?:\n +.*)*)", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages, and list them in the navigation."""
    pages = {**dict(copied()), **dict(settings()), **dict(modules()), "reference/commands.md": commands()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    reference = next(part["Reference"] for part in config.nav or [] if "Reference" in part)
    reference += [
        {"Settings": [name for name in pages if name.startswith("reference/settings/")]},
        {"Python": [name for name in pages if name.startswith("reference/python/")]},
    ]
    return files


def copied() -> Iterator[tuple[str, str]]:
    """Yield files of the repository as pages; their links lead to pages, or to nothing that the site lacks."""
    places = {source: page for page, source in COPIES.items()}
    for page, source in COPIES.items():
        up = "../" * page.count("/")

        def moved(link: re.Match[str], up: str = up) -> str:
            text, target = link.groups()
            path, _, anchor = target.partition("#")
            if "://" in target or not path:
                return link[0]
            if path in places or path.startswith("docs/"):
                return f"[{text}]({up}{places.get(path, path.removeprefix('docs/'))}{'#' * bool(anchor)}{anchor})"
            return text

        yield page, re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", moved, (ROOT / source).read_text(encoding="utf-8"))


def commands() -> str:
    """Return a page with the help of every command."""
    parts = ["# Commands\n", "`scaling COMMAND` and `python -m scaling.COMMAND` are the same.\n"]
    for name in COMMANDS:
        ask = [sys.executable, "-m", "scaling", name, "--help"]
        done = subprocess.run(ask, capture_output=True, text=True, encoding="utf-8", check=False, cwd=ROOT)
        parts.append(f"## scaling {name}\n\n```text\n{(done.stdout or done.stderr).strip()}\n```\n")
    return "\n".join(parts)


def settings() -> Iterator[tuple[str, str]]:
    """Yield a page for the settings of all commands, and one for each group of configs."""
    groups = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and not path.name.startswith("_"))
    parts = ["# Settings\n", "An override names a choice of a group, or a setting: `model=pixels adaptation.k=1`.\n"]
    parts += ["| group | choices |", "| --- | --- |"]
    for group in groups:
        names = [path.stem for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]
        parts.append(f"| [`{group}=`]({group}.md) | {', '.join(f'`{name}`' for name in names)} |")
    for name, title in (("config", "scaling run"), ("report", "scaling report")):
        text = (ROOT / "conf" / f"{name}.yaml").read_text(encoding="utf-8")
        parts.append(f"\n## {title}\n\n{described(text)}")
    yield "reference/settings/index.md", "\n".join(parts)
    for group in groups:
        files = sorted((ROOT / "conf" / group).glob("*.yaml"))
        texts = {path.stem: path.read_text(encoding="utf-8") for path in files}
        choices = [f"## {group}={name}\n\n{described(text)}" for name, text in texts.items()]
        classes = sorted({target for text in texts.values() for target in targets(yaml.safe_load(text))})
        tables = [fields_table(target) for target in classes]
        yield f"reference/settings/{group}.md", "\n\n".join([f"# {group}", *choices, *tables])


def described(text: str) -> str:
    """Return a config as its header's words and the rest as code."""
    header = HEADER.match(text)
    lines = [line.removeprefix("#").strip() for line in header[0].splitlines()] if header else []
    lines = [line for line in lines if line != "@package _global_"]
    words = re.sub(r"((?:^|\n)python -m .*(?:\n.*\\)*)", r"\n```bash\1\n```\n", "\n".join(lines))
    body = text[header.end() :] if header else text
    return f"{words}\n\n```yaml\n{body.strip()}\n```\n"


def targets(node: Any) -> Iterator[str]:
    """Yield the classes that a config names."""
    if isinstance(node, dict):
        if isinstance(target := node.get("_target_"), str) and target.startswith("scaling."):
            yield target
        for value in node.values():
            yield from targets(value)


def fields_table(target: str) -> str:
    """Return the settings of a class: their type, default, and what its docstring says of each."""
    from dataclasses import MISSING, fields

    from hydra.utils import get_class

    made = get_class(target)
    described = [base.__doc__ or "" for base in reversed(made.__mro__) if base.__doc__]
    said: dict[str, str] = {}
    for text in described:
        _, _, attributes = text.partition("Attributes:\n")
        plain = re.sub(r"^ {8}", "", attributes, flags=re.MULTILINE)
        said |= {name: " ".join(what.split()) for names, what in ATTRIBUTE.findall(plain) for name in names.split(", ")}
    rows = []
    for field in fields(made):
        kind = str(field.type).replace("|", "\\|")
        default = "" if field.default is MISSING else f"`{field.default!r}`".replace("|", "\\|")
        rows.append(
            f"| `{field.name}` | `{kind}` | {default} | {said.get(field.name, '').replace('|', chr(92) + '|')} |"
        )
    summary = (made.__doc__ or "").partition("\n")[0]
    head = "| setting | type | default | |\n| --- | --- | --- | --- |"
    return f"## {target}\n\n{summary}\n\n{head}\n" + "\n".join(rows)


def modules() -> Iterator[tuple[str, str]]:
    """Yield a page for each room of the package, with every public class and function of its modules."""
    yield "reference/python/index.md", PUBLIC
    rooms: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if not parts[-1].startswith("_") and parts[0] != "templates":
            room = parts[0] if len(parts) > 1 else "commands and jobs"
            rooms.setdefault(room, []).append(".".join(["scaling", *parts]))
    for room, names in sorted(rooms.items()):
        blocks = [f"## {name}\n\n::: {name}\n    options: {{show_root_heading: false}}" for name in names]
        yield f"reference/python/{room.replace(' ', '_')}.md", "\n\n".join([f"# {room}", *blocks])
