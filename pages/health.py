"""How is the store doing?"""

from xcstore.ui import health, widgets

found = health.report()
if found.status is None:
    health.no_answer(found)
health.headline(found)
if found.time_range is None:
    widgets.empty_store(found.identity)
health.checks(found)
health.latency(found)
if found.time_range is not None:
    health.growth(found)
    health.snapshots(found)
health.in_force()
