"""Cells that a spreadsheet shows and does not run. Pure.

A cell that begins so is a formula to a spreadsheet, and a formula may start programs and send data away. Whoever writes
a description decides what stands in an agency's spreadsheet: so an apostrophe is put before it, which says "text".
"""

from __future__ import annotations

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def disarmed(cell: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_SIGNS) else cell


def armed(cell: str) -> str:
    """What `disarmed` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_SIGNS) else cell
