"""The list on the Instances page: filters, counts, and a page of rows."""

from __future__ import annotations

import streamlit as st

from xcstore.queries import instances as queries
from xcstore.queries import overview
from xcstore.store.base import InstanceQuery
from xcstore.ui import loading, paging, state, tables, widgets
from xcstore.views import instance_list as views

__all__ = ["open_instance", "show_list"]

PAGE_SIZE = 100
ANY_TIME = "any time, or 2026-01-31 12:00"
STATUS_HELP = "Told by the state: as the definition types it, else by whether instances were seen to leave it."


def show_list() -> None:
    """Filters, counts, and a page of instances; a row opens it."""
    find_machine = loading.catalog().find_machine
    everything = loading.ask(overview.state_counts, state.components())
    if not everything:
        if loading.ask(queries.newest) is None:
            widgets.empty_store(loading.stores().identity)
        else:
            st.info("No instance belongs to the components that are chosen in the sidebar.")
        return
    known = all(find_machine(count.component_name, count.machine_name) for count in everything)
    # Only where a definition is missing does it matter which states were seen to be left.
    left = frozenset() if known else views.left_states(loading.ask(overview.flows, state.components()))
    query, only = _filters(views.filter_options(everything, find_machine, left))
    counts = loading.ask(queries.instance_counts, query)
    place = paging.current("instances-page", (loading.store_name(), query, only))
    page = loading.ask(queries.instance_page, query, only=only, after=place.after, limit=PAGE_SIZE)
    view = views.build_list(
        page, counts, find_machine, left=left, only=only, before=place.before, now=loading.now(), zone=state.zone()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(view.summary)
        paging.buttons("instances-page", place, len(view.rows), page.next, newer="Newer", older="Older")
    if not view.rows:
        st.info("No instance fits these filters.")
        return
    tables.pick(
        view.rows, view.ids, key="instances-list", alt="Instances, latest first", on_pick=open_instance, height=36 * 18
    )


def _filters(options: views.FilterOptions) -> tuple[InstanceQuery, tuple[tuple[str, str, str], ...] | None]:
    """What to ask for, and what to keep of it."""
    one, two, three, four = st.columns(4)
    with one:
        machines_chosen = widgets.choices("Machine", "instances-machine", "machine", options.machines)
    with two:
        states_chosen = widgets.choices("State now", "instances-state", "state", options.states)
    with three:
        statuses = widgets.choices("Status", "instances-status", "status", options.statuses, help=STATUS_HELP)
    with four:
        prefix = widgets.line(
            "Id starts with", "instances-prefix", "prefix", help="To find a business key, use the search box above."
        )
    five, six, _ = st.columns([1, 1, 2])
    with five:
        start = widgets.moment("Last event from", "instances-from", "from", state.moment("from"), placeholder=ANY_TIME)
    with six:
        end = widgets.moment("Last event until", "instances-to", "to", state.moment("to"), placeholder=ANY_TIME)
    only = options.with_status(statuses, machines_chosen, states_chosen)
    query = InstanceQuery(
        components=state.components(),
        machines=machines_chosen,
        # The states of the statuses asked for: the database then leaves out most of what is not kept.
        states=tuple(dict.fromkeys(key[2] for key in only)) if only else states_chosen,
        id_prefix=prefix,
        updated_from=start,
        updated_to=end,
    )
    return query, only


def open_instance(instance_id: str | None) -> None:
    """Show another instance, which starts with its own first panel; None: the list."""
    state.put(instance=instance_id, event=None, field=None, events=None, tab=None)
