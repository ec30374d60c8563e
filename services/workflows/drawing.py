"""A workflow drawn: as Mermaid's `stateDiagram-v2`, and as a page of the reference. Pure; the same each time."""

from __future__ import annotations

from services.workflows.definition import CLOSED, Workflow
from services.workflows.machine import TIMER, Arrow, Machine, machine_of, short_name
from services.workflows.reading import effects_of


def labels(machine: Machine) -> dict[tuple[str, str], list[str]]:
    """(from, to) → the triggers that lead there, short, in the order of the file. A remark that changes nothing is out.

    What leads from a state only to itself, sends nothing and touches no timer is no arrow of the picture.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for arrow in machine.arrows:
        if arrow.source == arrow.target and _is_remark(arrow):
            continue
        names = found.setdefault((arrow.source, arrow.target), [])
        if arrow.label not in names:
            names.append(arrow.label)
    places = {state: place for place, state in enumerate(machine.states)}
    return dict(sorted(found.items(), key=lambda item: (places[item[0][0]], places[item[0][1]])))


def mermaid(workflow: Workflow) -> str:
    """The workflow as a Mermaid state diagram."""
    machine = machine_of(workflow)
    lines = ["stateDiagram-v2", f"    %% {workflow.id}"]
    lines += [f"    {state} : {state.replace('_', ' ')}" for state in machine.states if "_" in state]
    lines += [f"    [*] --> {state} : {short_name(workflow.opened_by)}" for state in sorted(machine.begins_in)]
    lines += [f"    {source} --> {target} : {', '.join(names)}" for (source, target), names in labels(machine).items()]
    lines.append(f"    {CLOSED} --> [*]")
    return "\n".join(lines) + "\n"


def page(workflow: Workflow) -> str:
    """The workflow's page of the reference, in Markdown."""
    machine = machine_of(workflow)
    lines = [
        f"# {workflow.id}",
        "",
        f"Opened by `{workflow.opened_by}`. Made by `subak workflow graph {workflow.name} --page`; do not edit.",
        "",
        "```mermaid",
        *mermaid(workflow).splitlines(),
        "```",
        "",
        "| in the state | on | it may lead to | and what it sends |",
        "| --- | --- | --- | --- |",
    ]
    for (state, trigger), arrows in _by_trigger(machine).items():
        targets = ", ".join(arrow.target.replace("_", " ") for arrow in arrows)
        sends = ", ".join(
            short_name(name)
            for name in sorted(effects_of(arrows[0].handler).emits | effects_of(arrows[0].handler).tells)
        )
        shown = f"timer `{trigger.removeprefix(TIMER)}`" if trigger.startswith(TIMER) else f"`{trigger}`"
        lines.append(f"| {state.replace('_', ' ')} | {shown} | {targets} | {sends} |")
    lines += ["", "| while it is | these timers may run |", "| --- | --- |"]
    running = machine.timers_in()
    for state in machine.states:
        if state != CLOSED:
            lines.append(f"| {state.replace('_', ' ')} | {', '.join(sorted(running.get(state, ())))} |")
    told = [(state, text) for state in machine.states if (text := workflow.meanings.get(state, {}).get("en"))]
    if told:
        lines += ["", "| state | what it means |", "| --- | --- |"]
        lines += [f"| {state.replace('_', ' ')} | {text} |" for state, text in told]
    if workflow.roles:
        lines += ["", "| who is waited for | and moves the case with |", "| --- | --- |"]
        lines += [f"| {role.name} | {', '.join(f'`{name}`' for name in role.answers)} |" for role in workflow.roles]
    return "\n".join(lines) + "\n"


def _by_trigger(machine: Machine) -> dict[tuple[str, str], list[Arrow]]:
    found: dict[tuple[str, str], list[Arrow]] = {}
    places = {state: place for place, state in enumerate(machine.states)}
    for arrow in machine.arrows:
        found.setdefault((arrow.source, arrow.trigger), []).append(arrow)
    return dict(sorted(found.items(), key=lambda item: places[item[0][0]]))


def _is_remark(arrow: Arrow) -> bool:
    effects = effects_of(arrow.handler)
    return not (effects.emits or effects.tells or effects.starts or effects.stops or arrow.by_timer)
