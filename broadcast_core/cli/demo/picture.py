"""A board as a picture in a file, for the README."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

_WIDTH: Final = 100
_FONTS_FROM_THE_NET: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def paper_of(board: RenderableType) -> Console:
    """What the board shows now."""
    paper = Console(record=True, width=_WIDTH, file=io.StringIO())
    paper.print(board)
    return paper


def save_picture(paper: Console, file: Path, title: str) -> None:
    """Write it as SVG; nothing in it is fetched from anywhere."""
    svg = paper.export_svg(title=title)
    file.write_text(_FONTS_FROM_THE_NET.sub("", svg), encoding="utf-8")
