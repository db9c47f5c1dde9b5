"""Which events happened? Filter, follow, open, export."""

import streamlit as st

from xcstore.queries import events as queries
from xcstore.queries import overview
from xcstore.ui import event_panel, exporting, filters, loading, paging, state, tail, widgets
from xcstore.views import events as views

PAGES = "events-pages"

facts = loading.ask(overview.facts)
if facts.time_range is None:
    widgets.empty_store(loading.stores().identity)
    st.stop()

query = filters.event_query(loading.ask(queries.options, state.components()), facts.time_range)
place = paging.current(PAGES, (loading.store_name(), query))
page, asked = loading.ask_since(tail.since(), queries.page, query, after=place.after)
total = loading.ask_since(tail.since(), queries.count, query)[0] if queries.is_cheap_to_count(query) else None

with st.container(horizontal=True, vertical_alignment="center"):
    st.markdown(views.shown_text(page, place.before, total, state.zone()))
    paging.buttons(PAGES, place, len(page.items), page.next, newer="Newer", older="Older")
    with st.popover("Export", key="events-export"):
        exporting.export(query, total)
with st.container(horizontal=True, vertical_alignment="center"):
    tail.follow(query, page.items, asked, at_top=place.after is None)

opened = state.text("event")
left, right = st.columns([3, 2]) if opened else (st.container(), None)
with left:
    if page.items:
        widgets.event_table(views.table(page.items, state.zone()), [event.id for event in page.items], opened)
    elif page.next is None:
        st.info("No event fits these filters.")
        st.button("Clear all filters", key="events-clear", on_click=filters.clear)
if right is not None:
    with right, st.container(border=True), loading.guarded("events-open-retry"):
        event_panel.draw(views.build_event(loading.ask(queries.detail, opened), state.zone()), key="events-open")
