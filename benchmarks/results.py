"""Sections of benchmarks/RESULTS.md: each benchmark replaces its own, between two marks, and leaves the others."""

from pathlib import Path


def write_section(path: Path, begin: str, end: str, lines: list[str]) -> None:
    """Lines of Markdown between two marks of a file; the file and the section are made where they are not there."""
    text = path.read_text() if path.exists() else "# Results\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2] or "\n"
    path.write_text(f"{before.rstrip()}\n\n" + "\n".join([begin, *lines, end]) + after)
