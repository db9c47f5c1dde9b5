"""The parts of the Replay page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast
from urllib.parse import quote
from zlib import crc32

import streamlit as st

from xcstore.errors import NotFoundError, QueryError
from xcstore.render.labels import count_text, duration_text, markdown_escape, moment_text, short_id, visible_text
from xcstore.replay.controller import Moment
from xcstore.ui import loading, replay_breaks, replay_tables, state, widgets
from xcstore.ui.layout import TIME_LIMIT_S, draw_diagram
from xcstore.ui.player import BLOCK, player
from xcstore.ui.replay_track import Chosen, Opened, open_chosen
from xcstore.views import replay as views
from xcstore.views import replay_data as data
from xcstore.views import replay_steps as steps
from xcstore.views import replay_strip as strip

__all__ = ["show"]

KEY: Final = "replay-player"
MOST_DIGITS: Final = 12
"""Of a step in the address."""
PLACES: Final = "machines"
"""Name in the address of the machines that are drawn, where there are too many for all."""


def show(wanted: Chosen) -> None:
    """Replay what the address asks for."""
    try:
        opened = open_chosen(wanted)
    except (NotFoundError, QueryError) as error:
        st.warning(markdown_escape(str(error), 1_000))
        st.button("Replay something else", key="replay-other", type="tertiary", on_click=_leave)
        return
    _heading(opened)
    if not opened.track.length:
        if wanted.instance_id:
            st.info("No event of this instance is stored, only a snapshot: there is nothing to step through.")
        else:
            st.info("No event was stored in this range. Choose another one, or other components in the sidebar.")
        return
    _stage(opened)


def _leave() -> None:
    state.put(
        instance=None,
        trace=None,
        key=None,
        step=None,
        event=None,
        before=None,
        to=None,
        machines=None,
        stop=None,
        **{"from": None},
    )


def _replay_key(key: str) -> None:
    _leave()
    state.put(key=key)


def _heading(opened: Opened) -> None:
    track, scene, wanted = opened.track, opened.scene, opened.chosen
    if wanted.instance_id:
        actor = scene.instances[0]
        what = f"{visible_text(scene.machines[actor.cast].machine, 60)} {actor.name}"
    elif wanted.key:
        what = f"Everything that {visible_text(wanted.key, 60)} touched"
    elif wanted.event_id:
        keys = dict.fromkeys(actor.key for actor in scene.instances if actor.key)
        key = visible_text(next(iter(keys), ""), 40)
        what = f"Everything around {key}" if len(keys) == 1 else f"The trace of event {short_id(wanted.event_id)}"
    else:
        zone = state.zone()
        what = f"{moment_text(wanted.start, zone)} to {moment_text(wanted.end, zone)}"
    facts = [count_text(track.length, "step"), scene.summary]
    if track.length > 1:
        facts.append(duration_text(track.step(track.length).persisted_at - track.step(1).persisted_at))
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.subheader(markdown_escape(what, 200), anchor=False)
    left.caption(markdown_escape(" · ".join(facts)))
    with right.container(horizontal=True, horizontal_alignment="right"):
        if wanted.instance_id and (key := scene.instances[0].key):
            label = f"Everything that {markdown_escape(key, 40)} touched"
            st.button(label, key="replay-key", type="tertiary", on_click=_replay_key, args=(key,))
        st.button("Replay something else", key="replay-other", type="tertiary", on_click=_leave)
    for sentence in opened.said[:4]:
        st.caption(f"▲ {markdown_escape(visible_text(sentence, 400))}")
    if len(opened.said) > 4:
        st.caption(f"shown 4 of {len(opened.said)} remarks")


@st.fragment
def _stage(opened: Opened) -> None:
    """Everything that follows the cursor. A fragment: the rest of the page is not run for a step."""
    with loading.guarded("replay-retry"):
        position = _position(opened)
        points = replay_breaks.points(opened)
        breaks = cast(Mapping[int, str], opened.keep(("breaks", *map(str, points)), lambda: opened.breaks(points)))
        places = _places(opened, position)
        player(_data(opened, position, breaks, bool(points), places), key=KEY, on_move=_moved)
        moment = opened.moment(position)
        _links(opened, moment, sorted(breaks))
        replay_tables.show(opened, moment, go_to=_moved)


def _moved(position: int) -> None:
    state.put(step=str(position), event=None, before=None)


def _position(opened: Opened) -> int:
    """The step that the address names: by number, by event, or as the one just before an event."""
    total = opened.track.length
    before = state.text("before")
    if event_id := state.text("event") or before:
        position = opened.track.position_of(event_id)
        if position is not None:
            return position - bool(before)
        state.notice("The event that the address names is no step of this replay; it is shown from the start.")
        return 0
    wanted = state.text("step")
    if not wanted:
        return 0
    if not wanted.isdecimal() or len(wanted) > MOST_DIGITS or int(wanted) > total:
        state.notice(f"The address names step {wanted!r}, but there are {total:,}. It was ignored.")
        return 0
    return int(wanted)


def _places(opened: Opened, position: int) -> tuple[int, ...]:
    """The machines that are drawn: all, or those that were chosen, or those that act near the step at first."""
    scene = opened.scene
    if len(scene.machines) <= views.MOST_DIAGRAMS:
        return tuple(range(len(scene.machines)))
    names = {_place(item.component, item.machine): number for number, item in enumerate(scene.machines)}
    wanted = tuple(names[name] for name in state.texts(PLACES) if name in names)[: views.MOST_DIAGRAMS]
    near = st.session_state.setdefault(f"replay-near-{_stamp(opened)}", views.nearest(opened.track, scene, position))
    current = wanted or near
    state.sync("replay-places", wanted, list(current))
    picked = st.multiselect(
        f"Machines drawn: at most {views.MOST_DIAGRAMS} of {len(scene.machines)}",
        range(len(scene.machines)),
        key="replay-places",
        max_selections=views.MOST_DIAGRAMS,
        format_func=lambda number: visible_text(
            f"{scene.machines[number].machine} · {scene.machines[number].component}", 80
        ),
    )
    shown = tuple(sorted(picked)) or tuple(near)
    if set(shown) != set(current):
        state.put(**{PLACES: [_place(scene.machines[n].component, scene.machines[n].machine) for n in shown]})
        wanted = shown
    state.synced("replay-places", wanted)
    return shown


def _place(component: str, machine: str) -> str:
    return "/".join(quote(name, safe=" ", errors="surrogatepass") for name in (component, machine))


def _stamp(opened: Opened) -> str:
    return f"{crc32(repr((opened.chosen, opened.track.length, id(opened))).encode('utf-8', 'replace')):x}"


def _data(
    opened: Opened, position: int, breaks: Mapping[int, str], stops: bool, places: tuple[int, ...]
) -> dict[str, object]:
    zone = state.zone()
    track, scene = opened.track, opened.scene
    verdicts = opened.verdicts or {}
    marked = f"{zone}|{crc32(repr((sorted(breaks.items()), len(verdicts))).encode('utf-8', 'replace')):x}"

    def make_strip() -> object:
        notes = [*opened.notes]
        notes += [strip.Note(at, "divergence", visible_text(why, 200)) for at, why in verdicts.items()]
        notes += [strip.Note(at, "break", visible_text(why, 120)) for at, why in breaks.items()]
        return strip.build(track, scene, notes=notes, zone=zone)

    def make_still() -> object:
        scrubber = cast(strip.Strip, opened.keep(("strip", marked), make_strip))
        label = f"Replay of {count_text(track.length, 'step')}"
        return data.still(
            scene,
            [_drawn(scene, n, worded=len(places) <= views.WORDED) for n in places],
            scrubber,
            total=track.length,
            label=label,
        )

    block, start, stop = data.blocks(position, track.length, BLOCK)

    def make_window() -> object:
        made = steps.window(
            track, scene, opened.moments(start, stop), zone=zone, links=opened.links, breaks=breaks, verdicts=verdicts
        )
        before = max((at for at in breaks if at < start), default=None)
        after = min((at for at in breaks if at >= stop), default=None)
        return {**made, "key": f"{block}|{marked}", "block": block, "next_break": after, "previous_break": before}

    return {
        **cast(dict[str, object], opened.keep(("still", places, marked), make_still)),
        "window": opened.keep(("window", block, marked), make_window),
        "stamp": f"{_stamp(opened)}|{zone}",
        "picture": "/".join(map(str, places)),
        "marked": marked,
        "position": position,
        "block": BLOCK,
        "breaks": stops,
    }


def _drawn(scene: views.Scene, number: int, *, worded: bool) -> data.Drawn:
    full = scene.machines[number].diagram
    diagram, aliases = (full, {}) if worded else views.compact(full)
    if not diagram.nodes:
        return data.Drawn(number, None, "No state of it is known.")
    drawing = draw_diagram(diagram)
    if drawing is not None and not worded and not drawing.alternatives:
        # Many pictures share the room: each in the shape that fits the others.
        down = draw_diagram(replace(diagram, direction="TB"))
        drawing = drawing if down is None else replace(drawing, alternatives=(down.svg,))
    if drawing is None:
        return data.Drawn(
            number,
            None,
            f"Not drawn: {len(diagram.nodes)} states, or no layout within {TIME_LIMIT_S:g} s. See the table.",
        )
    return data.Drawn(number, drawing, aliases=aliases)


def _links(opened: Opened, moment: Moment, holds: list[int]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        replay_breaks.panel(opened, holds)
        event = moment.event
        if event is not None:
            if opened.chosen.instance_id or opened.chosen.event_id:
                before = str(max(moment.position - 1, 0))
                widgets.link("what_if", "What if from here", step=before, event=event.id, **opened.chosen.address)
            else:
                # That page knows instances and traces: the trace keeps what this event is linked with.
                widgets.link("what_if", "What if from here, with its trace", trace=event.id, event=event.id)
            widgets.link("causality", "Causes and effects", event=event.id)
            widgets.link("events", "Whole event", event=event.id)
            widgets.link(
                "instances", f"Instance {short_id(event.instance_id)}", instance=event.instance_id, event=event.id
            )
        if opened.verdicts is None:
            st.button(
                "Compare with the definition", key="replay-verify", type="tertiary", on_click=_verify, args=(opened,)
            )
        elif not opened.compared and not opened.verdicts:
            st.caption("not compared: no step has a definition that it could be compared with", width="content")
        elif not opened.verdicts:
            part = f"{opened.compared:,} of {count_text(opened.track.length, 'step')} could be compared"
            st.caption(f"{part}; no difference from the definition was found", width="content")
        else:
            st.caption(
                f"{count_text(len(opened.verdicts), 'step')} of {opened.track.length:,} differ from the definition; "
                f"{opened.compared:,} could be compared",
                width="content",
            )


def _verify(opened: Opened) -> None:
    opened.verify()
