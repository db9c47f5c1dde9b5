"""The tables beside the player: who is where, causes and effects, and the steps around the cursor."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from xcstore.queries import causality
from xcstore.render.labels import count_text, moment_text, visible_text
from xcstore.replay.controller import Moment
from xcstore.ui import loading, state, tables, widgets
from xcstore.ui.replay_track import Opened
from xcstore.views import replay_steps as steps

__all__ = ["show"]


def show(opened: Opened, moment: Moment, *, go_to: Callable[[int], None]) -> None:
    """The tables; `go_to` is called with a step that is picked."""
    names = {"everybody": "Everybody at this step", "around": "Causes and effects", "steps": "Steps"}
    panels = widgets.tabs(names, "replay-tabs")
    if panels["everybody"].open:
        with panels["everybody"]:
            _everybody(opened, moment)
    if panels["around"].open:
        with panels["around"]:
            _around(moment)
    if panels["steps"].open:
        with panels["steps"]:
            _near(opened, moment.position, go_to)


def _everybody(opened: Opened, moment: Moment) -> None:
    with opened.lock:
        rows, _, total = steps.as_of_rows(opened.scene, moment)
    tables.show(rows, key="replay-everybody", alt="Instances as of this step", empty="Nobody is there yet.")
    part = (
        f"shown {len(rows):,} of {count_text(total, 'instance')}"
        if len(rows) < total
        else count_text(total, "instance")
    )
    st.caption(f"{part} as of step {moment.position:,}; follows when the cursor rests")


def _around(moment: Moment) -> None:
    event = moment.event
    if event is None:
        st.caption("Take a step: these are the causes and effects of its event.")
        return
    found = loading.ask(
        causality.neighbourhood, event.id, mode="repaired", max_events=100, max_depth=1, catalog=loading.catalog()
    )
    rows = []
    for link in found.graph.links:
        is_effect = link.cause_id == event.id
        other = found.graph.events.get(link.effect_id if is_effect else link.cause_id)
        if event.id not in (link.cause_id, link.effect_id):
            continue
        rows.append(
            {
                "is": "led to" if is_effect else "caused by",
                "event": visible_text(other.event_type, 80) if other else "(not in this store)",
                "machine": visible_text(other.machine_name, 80) if other else "",
                "component": visible_text(other.component_name, 80) if other else "",
                "stored at": moment_text(other.persisted_at, state.zone(), millis=True) if other else "",
                "link": link.standing,
                "evidence": visible_text("; ".join((link.evidence, *link.doubts)).strip("; "), 200),
                "event id": visible_text(link.effect_id if is_effect else link.cause_id, 80),
            }
        )
    tables.show(rows, key="replay-around", alt="Causes and effects of this step", empty="None are known.")
    if found.truncated:
        st.caption(f"shown {count_text(len(rows), 'link')}; there are more, see its causality")


def _near(opened: Opened, position: int, go_to: Callable[[int], None]) -> None:
    """The steps around the cursor; picking one goes there."""
    track, scene, zone = opened.track, opened.scene, state.zone()
    first, last = max(1, position - 50), min(track.length, position + 50)
    rows = []
    for at in range(first, last + 1):
        event = track.step(at)
        rows.append(
            {
                "step": at,
                "stored at": moment_text(event.persisted_at, zone, millis=True),
                "instance": f"{scene.instances[scene.number[event.instance_id]].letter} "
                f"{visible_text(event.machine_name, 60)}",
                "event": visible_text(event.event_type, 80),
                "from": visible_text(event.state_before, 80) or "(new)",
                "to": visible_text(event.state_after, 80),
                "differs": visible_text((opened.verdicts or {}).get(at, ""), 200),
            }
        )
    tables.pick(
        rows,
        [str(at) for at in range(first, last + 1)],
        key="replay-near",
        alt="Steps around the cursor",
        on_pick=lambda step: go_to(int(step)),
        selected=str(position),
        height=tables.tall(min(len(rows), 12)),
    )
    if last - first + 1 < track.length:
        st.caption(f"shown steps {first:,} to {last:,} of {track.length:,}")
