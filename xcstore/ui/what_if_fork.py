"""Making a fork: the steps, what is done to the one that is picked, and the list of edits."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import streamlit as st

from xcstore.errors import QueryError
from xcstore.model.definition import StateMachine
from xcstore.model.history import CREATION, PersistedEvent
from xcstore.queries.keys import business_keys
from xcstore.render.labels import count_text, markdown_escape, short_id, visible_text
from xcstore.replay.controller import ReplayController
from xcstore.replay.forks import ChangeDefinition, DropEvent, Edit, EditEvent, Fork, InsertEvent, MoveEvent
from xcstore.replay.track import Track
from xcstore.ui import loading, state, tables, what_if_definition, what_if_draft, what_if_result
from xcstore.units import EpochMs
from xcstore.views import what_if_edits as edits_views
from xcstore.views import what_if_steps as views

__all__ = ["show"]

ACTIONS: Final = {"change": "Change", "drop": "Drop", "move": "Move", "insert": "Insert"}
MAX_PLACES: Final = 300
_SEEN: Final = "what-if-seen"
WIDTHS: Final = {"step": 42, "instance": 155, "event": 145, "state": 165, "edit": 105, "stored at": 178}


def show(track: Track) -> None:
    """The steps, the edits, and what becomes of them."""
    edits = what_if_draft.current().edits
    at = views.fork_point(track, edits, _wanted(track))
    keys = loading.ask(business_keys, track.instance_ids[:100])
    left, right = st.columns([3, 2], gap="medium")
    with left:
        selected = _steps(track, edits, at, keys)
    with right, st.container(border=True):
        _panel(track, track.step(selected), selected, at, keys)
    _edits(track, edits)
    what_if_result.show(track, Fork(scope=track.scope, at=at, edits=edits), keys)


def _wanted(track: Track) -> int | None:
    text = state.text("step")
    if text.isdecimal() and len(text) < 9:
        if int(text) > track.length:
            state.notice(f"'step' in the address is {text}, and there are {track.length} steps.")
        return min(int(text), track.length)
    if text:
        state.notice("'step' in the address is not a number. It was ignored.")
    # Who comes with an event wants to see what follows on it; who picks one in the table keeps the table.
    subject = what_if_draft.subject()
    arrived = st.session_state.get(_SEEN) != subject
    st.session_state[_SEEN] = subject
    position = track.position_of(state.text("event"))
    if not arrived or position is None or what_if_draft.current().edits:
        return None
    state.put(step=str(position - 1))
    return position - 1


def _steps(track: Track, edits: tuple[Edit, ...], at: int, keys: Mapping[str, str]) -> int:
    """The steps from the fork point on; gives the picked one."""
    selected = _selected(track, at)
    wanted = state.text("step")
    state.sync("what-if-step", wanted, at if wanted else None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Kept as recorded up to step",
            min_value=0,
            max_value=track.length,
            key="what-if-step",
            placeholder=f"{at}: just before the first edit" if edits else f"{at} of {track.length}",
            help="From there on everything is run anew. Leave it empty: then it is the step before the first edit",
            on_change=_stepped,
            width=260,
        )
        st.caption(
            f"{count_text(track.length - at, 'step')} after it {'is' if track.length - at == 1 else 'are'} run anew"
            f"{_with_others(track)}. Select one to change it."
        )
    state.synced("what-if-step", wanted)
    page = (selected - max(1, at)) // views.WINDOW + 1
    _, _, pages = views.step_rows(track, edits, at=at, zone=state.zone(), keys=keys)
    if pages > 1:
        page = st.pagination(pages, default=max(1, min(page, pages)), key=f"what-if-page-{selected}-{at}")
    rows, ids, _ = views.step_rows(track, edits, at=at, zone=state.zone(), keys=keys, page=page)
    tables.pick(
        rows,
        ids,
        key="what-if-steps",
        alt="Steps that can be changed",
        on_pick=lambda event_id: state.put(event=event_id),
        selected=track.step(selected).id,
        height=tables.tall(max(4, min(len(rows), 15))),
        widths=WIDTHS,
    )
    if len(rows) < track.length - max(1, at) + 1:
        st.caption(f"shown {len(rows):,} of {track.length - max(1, at) + 1:,} steps")
    return selected


def _with_others(track: Track) -> str:
    """What else is run anew: of a trace, what its instances did beside it."""
    others = len(track.events) - track.length
    return f", with those of {count_text(others, 'event')} of these instances that are no steps" if others else ""


def _stepped() -> None:
    value = st.session_state["what-if-step"]
    state.put(step=None if value is None else str(value), run=None)


def _selected(track: Track, at: int) -> int:
    position = track.position_of(state.text("event"))
    if position is not None and position >= at:
        return max(1, position)
    return min(at + 1, track.length) if state.text("step") else track.length


def _panel(track: Track, event: PersistedEvent, position: int, at: int, keys: Mapping[str, str]) -> None:
    """What can be done to one step."""
    own = zlib.crc32(event.id.encode("utf-8", "replace"))
    whose = keys.get(event.instance_id) or short_id(event.instance_id)
    st.markdown(
        f"**Step {position:,}: {markdown_escape(event.event_type, 60)}** · "
        f"{markdown_escape(event.machine_name, 60)} {markdown_escape(whose, 40)}"
    )
    st.caption(f"recorded {markdown_escape(views.change_text(event), 140)}")
    names = ACTIONS if position > at else {"insert": ACTIONS["insert"]}
    if position <= at:
        st.caption("Kept as it was, as the fork begins after it.")
    action = st.segmented_control(
        "What is done to it",
        list(names),
        default=next(iter(names)),
        key=f"what-if-action-{own:x}-{position > at}",
        format_func=lambda name: names[name],
        required=True,
        label_visibility="collapsed",
    )
    if action == "change":
        _change(track, event, own)
    elif action == "drop":
        st.caption("The event does not come. What it set in motion does not happen either.")
        if st.button("Drop it", key=f"what-if-drop-{own:x}", type="primary"):
            _apply(DropEvent(event_id=event.id))
    elif action == "move":
        _move(track, event, position, own)
    else:
        _insert(track, event, position, own, keys)


def _apply(edit: Edit) -> None:
    what_if_draft.add(edit)
    st.rerun()


def _machine(track: Track, event: PersistedEvent) -> StateMachine | None:
    """The machine of the event; as it is changed in this fork, where it is."""
    for edit in what_if_draft.current().edits:
        if isinstance(edit, ChangeDefinition) and edit.component.name == event.component_name:
            return edit.component.find_machine(event.machine_name)
    table = track.tables.of(event)
    return table.machine if table is not None else None


def _change(track: Track, event: PersistedEvent, own: int) -> None:
    present = next(
        (e for e in what_if_draft.current().edits if isinstance(e, EditEvent) and e.event_id == event.id), None
    )
    kind = (present.event_type if present else None) or event.event_type
    payload = present.payload if present is not None and present.payload is not None else event.payload
    # What the address or an undo brings is shown in the form too.
    form = f"{own:x}-{zlib.crc32(repr(present).encode('utf-8', 'replace')):x}"
    with st.form(key=f"what-if-form-{form}", border=False):
        if event.event_type == CREATION:
            chosen: str | None = event.event_type
            st.caption("Its first values are in `initialContext`.")
        else:
            types = edits_views.event_types(track, _machine(track, event), event.machine_name, event.state_before)
            options = list(dict.fromkeys((kind, *types)))
            chosen = st.selectbox(
                "Event type",
                options,
                key=f"what-if-type-{form}",
                format_func=lambda name: visible_text(name, 80),
                accept_new_options=True,
                help=f"First those that {visible_text(event.state_before, 60)} takes; write another one to try it",
            )
        written = st.text_area(
            "Payload (JSON)", edits_views.payload_to_text(payload), key=f"what-if-payload-{form}", height=190
        )
        pressed = st.form_submit_button("Change it", type="primary", key=f"what-if-change-{form}")
    if not pressed:
        return
    try:
        given = edits_views.payload_from_text(written or "")
    except QueryError as error:
        st.error(f"Not a payload: {markdown_escape(str(error), 300)}", icon=None)
        return
    edit = EditEvent(
        event_id=event.id,
        event_type=None if not chosen or chosen == event.event_type else chosen,
        payload=None if given == event.payload else given,
    )
    if edit.event_type is None and edit.payload is None:
        what_if_draft.change(tuple(other for other in what_if_draft.current().edits if other is not present))
        st.rerun()
    _apply(edit)


def _move(track: Track, event: PersistedEvent, position: int, own: int) -> None:
    first = max(0, position - MAX_PLACES // 2)
    places = [
        number
        for number in range(first, min(track.length, first + MAX_PLACES) + 1)
        if number not in (position, position - 1)
    ]
    if not places:
        st.caption("There is no other place for it.")
        return
    chosen = st.selectbox(
        "It comes after",
        places,
        key=f"what-if-place-{own:x}",
        format_func=lambda number: (
            f"step {number:,}, {visible_text(track.step(number).event_type, 60)}"
            if number
            else "nothing: it comes first"
        ),
    )
    if st.button("Move it", key=f"what-if-move-{own:x}", type="primary") and chosen is not None:
        _apply(MoveEvent(event_id=event.id, after=track.step(chosen).id if chosen else None))


def _insert(track: Track, event: PersistedEvent, position: int, own: int, keys: Mapping[str, str]) -> None:
    there = [name for name in track.instance_ids if edits_views.state_after(track, name, position) is not None]
    whom = event.instance_id
    if len(there) > 1:
        about = {e.instance_id: e for e in reversed(track.events)}
        whom = st.selectbox(
            "Sent to",
            there,
            index=there.index(whom) if whom in there else 0,
            key=f"what-if-whom-{own:x}",
            format_func=lambda name: (
                f"{visible_text(about[name].machine_name, 60) if name in about else 'instance'} "
                f"{visible_text(keys.get(name) or short_id(name), 40)}, in "
                f"{visible_text(edits_views.state_after(track, name, position), 60)}"
            ),
        )
    own_event = next((e for e in reversed(track.events) if e.instance_id == whom), event)
    before = edits_views.state_after(track, whom, position) or ""
    machine = _machine(track, own_event)
    types = edits_views.event_types(track, machine, own_event.machine_name, before)
    chosen = st.selectbox(
        "Event type",
        list(types),
        index=0 if types else None,
        key=f"what-if-new-type-{own:x}-{zlib.crc32(whom.encode('utf-8', 'replace')):x}",
        format_func=lambda name: visible_text(name, 80),
        accept_new_options=True,
        placeholder="Write an event type",
        help=f"First those that {visible_text(before, 60)} takes",
    )
    if not chosen:
        return
    form = f"{own:x}-{zlib.crc32(f'{whom} {chosen}'.encode('utf-8', 'replace')):x}"
    instance = ReplayController(track).seek(position).instances.get(whom)
    template, note = edits_views.template(track, machine, instance, own_event.machine_name, chosen)
    with st.form(key=f"what-if-new-{form}", border=False):
        written = st.text_area("Payload (JSON)", template, key=f"what-if-new-payload-{form}", height=120)
        if note:
            st.caption(note)
        delay = st.number_input(
            "Seconds after this step", min_value=0.0, value=0.0, key=f"what-if-delay-{form}", help="0: just after it"
        )
        pressed = st.form_submit_button("Insert it", type="primary", key=f"what-if-insert-{form}")
    if not pressed:
        return
    try:
        given = edits_views.payload_from_text(written or "")
    except QueryError as error:
        st.error(f"Not a payload: {markdown_escape(str(error), 300)}", icon=None)
        return
    later = EpochMs(event.persisted_at + round(delay * 1_000)) if delay else None
    _apply(InsertEvent(after=event.id, instance_id=whom, event_type=chosen, payload=given, at=later))


def _edits(track: Track, edits: tuple[Edit, ...]) -> None:
    """What is changed in this fork, with undo and redo; and the definition, which may be another one too."""
    draft = what_if_draft.current()
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{count_text(len(edits), 'change')}** in this fork", width="content")
            st.button("Undo", key="what-if-undo", disabled=not draft.past, on_click=what_if_draft.undo)
            st.button("Redo", key="what-if-redo", disabled=not draft.future, on_click=what_if_draft.redo)
            st.button("Clear", key="what-if-clear", disabled=not edits, on_click=what_if_draft.clear)
            what_if_result.upload()
        for number, edit in enumerate(edits):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(
                    "✕",
                    key=f"what-if-remove-{number}",
                    type="tertiary",
                    help="Take this change back",
                    on_click=what_if_draft.remove,
                    args=(number,),
                )
                st.markdown(markdown_escape(edits_views.edit_row(edit, track), 300), width="content")
        if not what_if_draft.in_address(edits):
            st.caption(
                "These changes are too long for the address of this page: a link to it opens without them. "
                "Run the fork and download it to keep it."
            )
        _definition(track)


def _definition(track: Track) -> None:
    names = dict.fromkeys(event.component_name for event in track.events)
    catalog = track.tables.catalog
    known = [component for name in names if (component := catalog.find_component(name)) is not None]
    if not known:
        return
    with st.expander("Change the definition"):
        found = what_if_definition.edited(known, key="what-if-definition", apply="Use it in this fork")
    if found is not None:
        _apply(ChangeDefinition(component=found))
