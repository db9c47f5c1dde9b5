"""The parts of the Health page."""

from __future__ import annotations

from typing import Final, NoReturn

import streamlit as st

from xcstore.config import hide_password
from xcstore.errors import StoreError, StoreUnavailableError
from xcstore.ops.health import HealthReport, HealthSettings, check_health, not_opened
from xcstore.ops.health_snapshots import HIGH_RATE, LONG_RUNNING_MS, ended_states
from xcstore.render import charts
from xcstore.render.labels import duration_text, markdown_escape, moment_text
from xcstore.store.latency import latency_of
from xcstore.ui import loading, state, tables, widgets
from xcstore.views import health as views

__all__ = ["checks", "growth", "headline", "in_force", "latency", "no_answer", "report", "snapshots"]

ADVICE_WIDTHS: Final = {
    "machine": 95,
    "component": 105,
    "advised interval": 103,
    "in force": 60,
    "transitions": 100,
    "an hour": 60,
    "life": 75,
    "workflow": 90,
    "each makes": 75,
    "looked at": 80,
}
SETTING_WIDTHS: Final = {"setting": 220, "value": 300}
"""In px: the value is what one looks for."""


def report() -> HealthReport:
    """The chosen store, measured at most a minute ago; of one that cannot be opened, that alone."""
    settings = loading.settings()
    try:
        return loading.ask(
            check_health,
            HealthSettings(
                latency_ms=settings.latency_alert_ms,
                snapshot_interval=settings.snapshot_interval,
                retention_days=settings.event_retention_days,
                snapshots_kept=settings.snapshot_retention_count,
            ),
            ended=ended_states(loading.catalog()),
        )
    except StoreError as error:
        return not_opened(hide_password(settings.store_urls()[loading.store_name()]), error)


def no_answer(found: HealthReport) -> NoReturn:
    """What the command says too; the sentence itself as on every page, with a way to try again."""
    st.markdown(f"**{markdown_escape(views.verdict(found))}**")
    checks(found)
    in_force()
    raise StoreUnavailableError(found.checks[-1].sentence)


def headline(found: HealthReport) -> None:
    """The verdict, and the numbers at the top."""
    st.markdown(f"**{markdown_escape(views.verdict(found))}**")
    with st.grid(min_column_width=92, gap="small"):
        for fact in views.facts(found, state.zone()):
            st.metric(fact.label, fact.value, help=markdown_escape(fact.meaning))
    st.caption(f"measured at {moment_text(found.asked_at, state.zone())}; Refresh in the sidebar measures again")


def checks(found: HealthReport) -> None:
    """Every check; the worst first."""
    st.subheader("Checks", anchor=False)
    # A table that does not scroll: its sentences have to be read, and wrap.
    st.table(views.check_rows(found), hide_index=True)


def latency(found: HealthReport) -> None:
    """How long this process waited for the store: the latest calls, and all of them by operation."""
    st.subheader("Latency, as this process sees it", anchor=False)
    seen = latency_of(found.identity)
    operations = seen.operations()
    if not operations:
        st.caption("Nothing was measured: stores in memory answer faster than can be told.")
        return
    recent, slow = seen.recent(), seen.slow()
    st.vega_lite_chart(
        charts.latency_points(
            views.latency_points(recent, loading.now()),
            limit_ms=seen.alert_ms,
            dark=st.context.theme.type == "dark",
        ),
        theme=None,
        key="health-latency",
        alt="The latest calls by how long ago they were and how long they took",
    )
    st.caption(f"The latest {len(recent):,} calls. Dashed: {seen.alert_ms:g} ms, from which a call is slow.")
    tables.show(
        views.latency_rows(operations),
        key="health-operations",
        alt="Calls to the store by operation",
        height=tables.tall(len(operations)),
    )
    if slow:
        with st.expander(f"The latest slow calls: {len(slow)}"):
            tables.show(views.slow_rows(slow, state.zone()), key="health-slow", alt="The latest slow calls")


def growth(found: HealthReport) -> None:
    """Events of the last days, as a chart and as a table."""
    st.subheader("Growth", anchor=False)
    if found.growth is None:
        st.caption("The events of the last days could not be counted; the checks say why.")
        return
    days = found.growth.days
    st.vega_lite_chart(
        charts.day_bars(days, dark=st.context.theme.type == "dark"),
        theme=None,
        key="health-growth",
        alt="Events of each of the last days",
    )
    st.caption(
        f"Events by UTC day until {moment_text(found.growth.until, state.zone())}: "
        f"{found.growth.week:,} in 7 days, {found.growth.month:,} in 30; the last bar is of a day that is not over."
    )
    with st.expander("The numbers as a table"):
        tables.show(
            views.growth_rows(found.growth), key="health-days", alt="Events by day", height=tables.tall(len(days))
        )


def snapshots(found: HealthReport) -> None:
    """How far snapshots are behind, and how often they should be taken; picking an instance opens it."""
    st.subheader("Snapshots", anchor=False)
    lag = found.snapshots
    if lag is None:
        st.caption("Snapshots could not be compared with events; the checks say why.")
    elif not lag.instances:
        st.caption("No instance is known to be live: none is in a state that the definitions, or others, lead out of.")
    else:
        st.caption(f"{views.lag_text(lag)}; pick one to open it")
        tables.pick(
            views.lag_rows(lag),
            [item.instance_id for item in lag.instances[: views.LAGS]],
            key="health-lag",
            alt="Live instances by how far their snapshot is behind",
            on_pick=lambda instance_id: st.session_state.update({"health-instance": instance_id}),
            height=280,
        )
    if picked := st.session_state.pop("health-instance", None):
        widgets.go("instances", instance=picked)
    if found.advice:
        st.markdown("**Advice on the interval**")
        tables.show(
            views.advice_rows(found.advice, loading.settings().snapshot_interval),
            key="health-advice",
            alt="Advised interval of snapshots by machine",
            height=tables.tall(len(found.advice)),
            widths=ADVICE_WIDTHS,
        )
        st.caption(markdown_escape(views.advice_text(duration_text(LONG_RUNNING_MS), HIGH_RATE)))


def in_force() -> None:
    """The settings; no password and no token."""
    with st.expander("Settings in force"):
        rows = views.settings_rows(loading.settings())
        tables.show(
            rows, key="health-settings", alt="Settings in force", height=tables.tall(len(rows)), widths=SETTING_WIDTHS
        )
