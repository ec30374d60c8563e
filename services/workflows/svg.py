"""A workflow as SVG: its states in one column, in the order of a case's life. Pure; no library draws it.

What leads to the next state runs straight down; what skips ahead leaves on the right, what goes back on the left. All
that lead to one state share a lane, so a state with many ways in (the end has them all) stays readable. What leads
nowhere else stands in the box itself. Colours follow the reader's light or dark setting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from services.workflows.definition import Workflow
from services.workflows.drawing import labels
from services.workflows.machine import machine_of, short_name

BOX_WIDTH = 210
BOX_HEIGHT_MIN = 46
STUB = 24
"""Height that one arrow takes on a side of its box."""
GAP = 58
LANE = 18
MARGIN = 36
TOP = 96
LETTER = 5.9
"""The width of a letter of a label, about."""
LINE = 14

STYLE = """
  .workflow { --ink: #1f2933; --line: #7b8794; --box: #ffffff; --edge: #1b7f6b; --page: #f7f9f8; --late: #b5571c }
  @media (prefers-color-scheme: dark) {
    .workflow { --ink: #e6ebe9; --line: #8794a0; --box: #1c2522; --edge: #4cc2a6; --page: #121816; --late: #f0a36b }
  }
  .page { fill: var(--page) }
  .state rect { fill: var(--box); stroke: var(--edge); stroke-width: 1.5 }
  .end rect { stroke-width: 3 }
  .begin { fill: var(--edge) }
  .head { fill: var(--line) }
  path.arrow { fill: none; stroke: var(--line); stroke-width: 1.3 }
  text { fill: var(--ink); font: 12px ui-sans-serif, system-ui, sans-serif }
  .state text { font-weight: 600; font-size: 13px; text-anchor: middle }
  .label { font-size: 10.5px; paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round }
  .stays { font-size: 10.5px }
  .timer { fill: var(--late) }
  .title { font-size: 16px; font-weight: 700 }
"""


@dataclass(slots=True)
class Box:
    """One state, with the arrows that leave it."""

    state: str
    loops: list[str] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    ahead: list[tuple[str, str]] = field(default_factory=list)
    """(target, label) of arrows that skip states."""
    back: list[tuple[str, str]] = field(default_factory=list)
    top: float = 0.0

    @property
    def height(self) -> float:
        """Room for the name, what stays here, and the arrows of the fuller side."""
        return max(BOX_HEIGHT_MIN, STUB * max(len(self.ahead), len(self.back)) + 22, 34 + LINE * len(self.loops))

    @property
    def middle(self) -> float:
        """Its middle, from above."""
        return self.top + self.height / 2


def svg(workflow: Workflow) -> str:
    """The drawing."""
    machine = machine_of(workflow)
    boxes = _boxes(machine.states, labels(machine))
    left_lanes = _lanes(boxes, back=True)
    right_lanes = _lanes(boxes, back=False)
    text_left = max((len(label) for box in boxes.values() for _, label in box.back), default=0) * LETTER + 24
    text_right = max((len(label) for box in boxes.values() for _, label in box.ahead), default=0) * LETTER + 24
    x = MARGIN + LANE * len(left_lanes) + text_left
    width = x + BOX_WIDTH + text_right + LANE * len(right_lanes) + MARGIN
    last = boxes[machine.states[-1]]
    height = last.top + last.height + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="workflow" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(workflow.id)}">',
        f"<title>{escape(workflow.id)}</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<rect class="page" width="{width:g}" height="{height:g}"/>',
        f'<text class="title" x="{MARGIN}" y="{MARGIN}">{escape(workflow.id)}</text>',
    ]
    centre = x + BOX_WIDTH / 2
    for state in sorted(machine.begins_in)[:1]:
        parts.append(f'<circle class="begin" cx="{centre:g}" cy="{TOP - 40:g}" r="6"/>')
        parts.append(_arrow(f"M{centre:g} {TOP - 34:g}V{boxes[state].top:g}"))
        parts += _label(centre + 12, TOP - 18, short_name(workflow.opened_by), "start")
    below = list(boxes.values())[1:]
    for box, following in zip(boxes.values(), below, strict=False):
        if box.down:
            parts.append(_arrow(f"M{centre:g} {box.top + box.height:g}V{following.top:g}"))
            start = box.top + box.height + (GAP / 2 if len(box.down) == 1 else 16)
            for place, label in enumerate(box.down):
                parts += _label(centre + 10, start + 3 + LINE * place, label, "start")
    for box in boxes.values():
        lanes_right = {to: x + BOX_WIDTH + text_right + LANE * place for to, place in right_lanes.items()}
        lanes_left = {to: x - text_left - LANE * place for to, place in left_lanes.items()}
        parts += _side(box, box.ahead, boxes, lanes_right, x + BOX_WIDTH, 1)
        parts += _side(box, box.back, boxes, lanes_left, x, -1)
    for box in boxes.values():
        parts += _drawn(box, x, end=box is last)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _boxes(states: tuple[str, ...], arrows: dict[tuple[str, str], list[str]]) -> dict[str, Box]:
    boxes = {state: Box(state) for state in states}
    places = {state: place for place, state in enumerate(states)}
    for (source, target), names in arrows.items():
        box, step = boxes[source], places[target] - places[source]
        if step == 0:
            box.loops += names
        elif step == 1:
            box.down += names
        else:
            (box.ahead if step > 0 else box.back).append((target, ", ".join(names)))
    top = float(TOP)
    for box in boxes.values():
        box.top = top
        top += box.height + GAP + LINE * max(0, len(box.down) - 3)
    return boxes


def _lanes(boxes: dict[str, Box], *, back: bool) -> dict[str, int]:
    """Each target's lane, the nearest inside."""
    order = list(boxes)
    targets = dict.fromkeys(target for box in boxes.values() for target, _ in (box.back if back else box.ahead))
    ranked = sorted(targets, key=order.index, reverse=back)
    return {target: place for place, target in enumerate(ranked)}


def _side(
    box: Box, arrows: list[tuple[str, str]], boxes: dict[str, Box], lanes: dict[str, float], edge: float, side: int
) -> list[str]:
    """The arrows that leave one side of a box: out to the target's lane, along it, and into the target's side."""
    parts = []
    first = box.middle + 9 * side - STUB * (len(arrows) - 1) / 2
    for place, (target, label) in enumerate(arrows):
        y, lane = first + STUB * place, lanes[target]
        to = boxes[target]
        end = to.top + 9 if side > 0 else to.top + to.height - 9
        down = 1 if end > y else -1
        bend = 8 * side
        parts.append(
            _arrow(
                f"M{edge:g} {y:g}H{lane - bend:g}Q{lane:g} {y:g} {lane:g} {y + 8 * down:g}"
                f"V{end - 8 * down:g}Q{lane:g} {end:g} {lane - bend:g} {end:g}H{edge:g}"
            )
        )
        parts += _label(edge + 8 * side, y - 4, label, "start" if side > 0 else "end")
    return parts


def _drawn(box: Box, x: float, *, end: bool) -> list[str]:
    name_y = box.middle + 5 - LINE * len(box.loops) / 2
    centre = x + BOX_WIDTH / 2
    parts = [
        f'<g class="state{" end" if end else ""}"><rect x="{x:g}" y="{box.top:g}" width="{BOX_WIDTH}" '
        f'height="{box.height:g}" rx="10"/>',
        f'<text x="{centre:g}" y="{name_y:g}">{escape(box.state.replace("_", " "))}</text></g>',
    ]
    for place, label in enumerate(box.loops, start=1):
        parts += _label(centre, name_y + LINE * place + 1, f"↻ {label}", "middle", kind="stays")
    return parts


def _arrow(d: str) -> str:
    return f'<path class="arrow" d="{d}" marker-end="url(#head)"/>'


def _label(x: float, y: float, text: str, anchor: str, *, kind: str = "label") -> list[str]:
    late = " timer" if "⏱" in text and "," not in text else ""
    return [f'<text class="{kind}{late}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>']
