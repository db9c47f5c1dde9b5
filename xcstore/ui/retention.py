"""The parts of the Retention page."""

from __future__ import annotations

import time
from typing import Final

import streamlit as st

from xcstore.config import hide_password
from xcstore.jsontext import json_text
from xcstore.ops.pruning import ALL_SNAPSHOTS, Prune, archive_folder, notes_of, prune
from xcstore.ops.retention import Rules
from xcstore.ops.retention_plan import Preview, preview_since
from xcstore.queries import overview
from xcstore.render import charts
from xcstore.render.labels import count_text, markdown_escape
from xcstore.store.opening import open_stores
from xcstore.ui import loading, state, tables, widgets
from xcstore.units import EpochMs
from xcstore.views import retention as views

__all__ = ["ask_rules", "earlier", "going", "last_run", "numbers", "preview", "remove", "staying"]

AT_ONCE: Final = 200_000
"""Events up to which what would go is worked out unasked."""
MOST_DAYS: Final = 100_000
_DONE: Final = "retention-done"
_LOOK: Final = "retention-look"

Asked = tuple[int, int]
"""Days, and snapshots that stay."""


def last_run() -> None:
    """What the button has just done."""
    done: Prune | None = st.session_state.pop(_DONE, None)
    if done is not None:
        st.success(markdown_escape(views.run_text(done), 600))


def ask_rules() -> Asked | None:
    """For how long events are kept, from the address, else the settings; None where neither says."""
    settings = loading.settings()
    if text := views.cannot_delete(settings.store_urls()[loading.store_name()]):
        st.info(markdown_escape(f"{text} What would be old in it can be looked at.", 400))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        days = _number("Keep events for days", "days", settings.event_retention_days)
        snapshots = _number("Snapshots of each instance", "snapshots", settings.snapshot_retention_count)
    told = settings.event_retention_days
    st.caption(
        ("EVENT_RETENTION_DAYS is not set" if told is None else f"EVENT_RETENTION_DAYS is {told:,}")
        + f", SNAPSHOT_RETENTION_COUNT is {settings.snapshot_retention_count:,}. "
        "What is tried out here changes no setting."
    )
    if days is None:
        st.info("Nothing says for how long events are kept. Set EVENT_RETENTION_DAYS, or give a number of days here.")
        return None
    return days, snapshots or settings.snapshot_retention_count


def preview(asked: Asked | None) -> Preview | None:
    """What would go; None where it is not worked out yet."""
    if asked is None:
        return None
    stored = loading.ask(overview.facts).events
    if stored > AT_ONCE and st.session_state.get(_LOOK) != (loading.store_name(), *asked):
        st.caption(f"The store holds {count_text(stored, 'event')}; to look through them takes a while.")
        if not st.button("Work out what would go", key="retention-look-now"):
            return None
        st.session_state[_LOOK] = (loading.store_name(), *asked)
    components = tuple(json_text(component.source) for component in loading.catalog())
    return loading.ask(preview_since, *asked, components)


def numbers(found: Preview) -> None:
    """The figures at the top."""
    st.caption(markdown_escape(views.rules_text(found, state.zone())))
    if state.components():
        st.caption("Of the whole store: the components chosen in the sidebar are not looked at here.")
    with st.grid(min_column_width=104, gap="small"):
        for number in views.numbers(found):
            st.metric(number.label, number.value, help=number.meaning)


def going(found: Preview) -> None:
    """What would go, by month and component, and the first instances."""
    st.subheader("What would go", anchor=False)
    if not found.events:
        st.caption("No event." if found.is_empty else "No event, but snapshots.")
        return
    st.caption(markdown_escape(f"{count_text(found.events, 'event')} {views.span_text(found, state.zone())}"))
    st.vega_lite_chart(
        charts.count_bars(views.months(found), dark=st.context.theme.type == "dark"),
        theme=None,
        key="retention-months",
        alt="Events that would go, by month",
    )
    with st.expander("The numbers by month and component"):
        tables.show(views.share_rows(found), key="retention-shares", alt="Events that would go")
    if text := views.links_text(found):
        st.caption(text)
    shown, all_of_them = len(found.examples), found.whole + found.part
    st.caption(
        f"shown {shown:,} of {count_text(all_of_them, 'instance')}, longest unchanged first; pick one to open it"
    )
    tables.pick(
        views.example_rows(found, state.zone()),
        [one.instance_id for one in found.examples],
        key="retention-examples",
        alt="The first instances of which something would go",
        on_pick=lambda instance_id: st.session_state.update({"retention-instance": instance_id}),
    )
    if picked := st.session_state.pop("retention-instance", None):
        widgets.go("instances", instance=picked)


def staying(found: Preview) -> None:
    """Why other instances stay, whole or in part."""
    st.subheader("What stays, though it has old events", anchor=False)
    tables.show(
        views.kept_rows(found),
        key="retention-kept",
        alt="Why instances with old events stay",
        empty="Nothing: every instance with old events has ended and goes.",
    )


def remove(found: Preview) -> None:
    """The button, where the configuration lets it be pressed; else why not, and the command."""
    st.subheader("Archive and delete", anchor=False)
    settings = loading.settings()
    place = views.place_of_archive(settings.store_urls()[loading.store_name()], settings.archive)
    line = views.command(found.store, found.days, found.keep_snapshots, has_archive=place is not None)
    why_not = views.why_not(found, settings.allow_write, place)
    if why_not:
        st.caption(markdown_escape(why_not))
        if not found.is_empty and not views.cannot_delete(found.store):
            st.code(line, language="bash", wrap_lines=True)
        return
    st.caption(
        markdown_escape(
            f"What goes is first written to {hide_password(place or '')}, read back and compared, and then removed "
            "from the store. Where this is interrupted, nothing is lost: press it again.",
            400,
        )
    )
    number = str(found.events)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        typed = st.text_input(
            f"To go on, type the number of events: {found.events:,}", key="retention-confirm", max_chars=20, width=330
        )
        confirmed = (typed or "").replace(",", "").strip() == number
        pressed = st.button(
            "Archive and delete",
            key="retention-apply",
            type="primary",
            disabled=not confirmed,
            help=None if confirmed else "Type the number first",
        )
    if pressed and confirmed and place is not None:
        _apply(found, place)


def _apply(found: Preview, place: str) -> None:
    settings = loading.settings()
    rules = Rules(cutoff=found.cutoff, days=found.days, snapshots=found.keep_snapshots)
    bar = st.progress(0.0, "Archiving")

    def show(events: int) -> None:
        # Drawing is where a reader who has left ends this: between two batches, where nothing is half done.
        bar.progress(min(1.0, events / max(1, found.events)), f"{events:,} of {count_text(found.events, 'event')}")

    # Opened anew: nothing is masked on the way into the archive.
    with (
        open_stores(
            settings.store_urls()[loading.store_name()],
            read_only=False,
            statement_timeout_ms=settings.statement_timeout_ms,
        ) as stores,
        open_stores(
            place,
            read_only=False,
            statement_timeout_ms=settings.statement_timeout_ms,
            snapshot_retention=ALL_SNAPSHOTS,
        ) as archive,
    ):
        done = prune(
            stores,
            archive,
            loading.catalog(),
            rules,
            now=EpochMs(time.time_ns() // 1_000_000),
            archive_folder=archive_folder(place),
            on_progress=show,
        )
    loading.forget()
    st.session_state[_DONE] = done
    st.rerun()


def earlier() -> None:
    """Runs that are noted in the store."""
    runs = loading.ask(notes_of)
    if runs:
        st.subheader("Earlier runs", anchor=False)
        tables.show(views.run_rows(runs, state.zone()), key="retention-runs", alt="Earlier runs of retention")


def _number(label: str, param: str, default: int | None) -> int | None:
    """A whole number that is kept in the address as `param`, where it is not the default."""
    text = state.text(param)
    address = int(text) if text.isascii() and text.isdecimal() and 0 < int(text) <= MOST_DAYS else None
    if text and address is None:
        state.notice(f"'{param}' in the address is not a number from 1 to {MOST_DAYS:,}. It was ignored.")
    key = f"retention-{param}"
    value = default if address is None else address
    state.sync(key, address, value)
    given: int | None = st.number_input(label, 1, MOST_DAYS, key=key, width=220, placeholder="not set")
    chosen = default if given is None else int(given)
    state.put(**{param: str(chosen) if chosen is not None and chosen != default else None})
    state.synced(key, None if chosen == default else chosen)
    return chosen
