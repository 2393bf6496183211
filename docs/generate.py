"""Write what the documentation takes from the code: `python docs/generate.py` in the folder of the project."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "lightning_conformance"
CHECKS = ROOT / "docs" / "checks.md"
CHECK_PAGES = ROOT / "docs" / "checks"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
README = ROOT / "README.md"
_CHECKS = re.compile(r"(?<=<!-- checks: begin -->\n).*(?=<!-- checks: end -->)", re.DOTALL)
_MODULES = re.compile(r"(?<=<!-- modules: begin -->\n).*(?=<!-- modules: end -->)", re.DOTALL)


def checks_page() -> str:
    """`docs/checks.md`, the table of the checks."""
    from lightning_conformance.reporting.catalogue import checks_markdown

    return checks_markdown()


def check_pages() -> dict[Path, str]:
    """A page for each check in `docs/checks`, from its docstring."""
    from lightning_conformance.checks import all_checks
    from lightning_conformance.reporting.catalogue import check_page

    return {CHECK_PAGES / f"{check.name}.md": check_page(check) for check in all_checks()}


def architecture_page() -> str:
    """`docs/architecture.md`, with the modules of today in its last section."""
    table = "\n".join(module_rows())
    return _MODULES.sub(lambda _: f"| module | what it is |\n| --- | --- |\n{table}\n", ARCHITECTURE.read_text("utf-8"))


def readme() -> str:
    """`README.md`, with the checks of today, family by family."""
    from lightning_conformance.checks import FAMILIES, all_checks

    rows = ["| family | checks |", "| --- | --- |"]
    for family, title in FAMILIES.items():
        names = [f"[`{check.name}`](docs/checks/{check.name}.md)" for check in all_checks() if check.family == family]
        if names:
            rows.append(f"| {title} | {', '.join(names)} |")
    table = "\n".join(rows) + "\n"
    return _CHECKS.sub(lambda _: table, README.read_text("utf-8"))


def module_rows() -> Iterator[str]:
    """A row for each module that has a docstring: its path, and the docstring's first paragraph."""
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda p: (len(p.relative_to(PACKAGE).parts) > 1, p)):
        documentation = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        if documentation:
            paragraph = " ".join(documentation.partition("\n\n")[0].replace("``", "`").split())
            yield f"| `{path.relative_to(PACKAGE).as_posix()}` | {paragraph.replace('|', chr(92) + '|')} |"


def main() -> None:
    """Write the pages."""
    CHECKS.write_text(checks_page(), encoding="utf-8")
    CHECK_PAGES.mkdir(exist_ok=True)
    pages = check_pages()
    for path in set(CHECK_PAGES.iterdir()) - set(pages):
        path.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    ARCHITECTURE.write_text(architecture_page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    main()
