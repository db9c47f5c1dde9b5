"""What a transition asks of others: news for the parent, new instances, events elsewhere, cascades.

All of it becomes work that waits until the transition is stored; what there is to tell of it waits as well.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from xcstore.model.history import Instance
from xcstore.runtime.interpreter import (
    Cascade,
    CreateInstance,
    Event,
    FollowUp,
    NotifyParent,
    Plan,
    SendAcross,
    cascades,
)
from xcstore.runtime.live import Causes, Live
from xcstore.runtime.notices import Notice
from xcstore.runtime.work import Broadcast, Call, Create, Send

if TYPE_CHECKING:
    from xcstore.runtime.executor import Executor

__all__ = ["ask_cascades", "ask_others"]

log = logging.getLogger(__name__)


def ask_others(
    executor: Executor, live: Live, plan: Plan, before: str, after: Instance, event: Event, causes: Causes
) -> list[Notice]:
    """Ask for what the definition says beside cascades; what there is to tell of it."""
    told: list[Notice] = []
    for effect in live.table.follow_ups(plan, before, after, event):
        told += _ask(executor, after, effect, causes)
    return told


def _ask(executor: Executor, instance: Instance, effect: FollowUp, causes: Causes) -> list[Notice]:
    agenda = executor.agenda
    if isinstance(effect, NotifyParent):
        # Queued like any other event: the parent may be the one whose transition is under way.
        parent_id = instance.parent_instance_id
        if parent_id is not None and parent_id in executor.population.by_id:
            agenda.back.append(Send(executor, parent_id, Event(effect.event_type, effect.payload), causes))
        return []
    if isinstance(effect, CreateInstance):
        if not executor.population.has_machine(effect.machine_name):
            return []
        made = executor.child_id(instance.id, executor.name, effect.machine_name)
        child = Create(executor, made, effect.machine_name, effect.data, "inter_machine transition", causes)
        child.parent_id, child.parent_machine = instance.id, instance.machine_name
        notice = executor.notice(
            "inter_machine_transition", instance.id, child=child.instance_id, machine=effect.machine_name
        )
        agenda.front += [child, Call(executor, lambda: executor.tell(notice))]
        return []
    return _send_across(executor, instance, effect, causes)


def _send_across(executor: Executor, instance: Instance, effect: SendAcross, causes: Causes) -> list[Notice]:
    told = executor.notice(
        "cross_component_transition",
        instance.id,
        component=effect.component_name,
        machine=effect.machine_name,
        event=effect.event_type,
        data=effect.data,
    )
    target = executor.find_component(effect.component_name)
    if effect.event_type is not None and not effect.rules:
        # As in the reference: the definition has to say which instances an event is for.
        log.warning("%s for %s has no matching rules, and is not sent", effect.event_type, effect.machine_name)
    elif target is None:
        log.info("component %s is not registered; its event goes nowhere", effect.component_name)
    elif effect.event_type is None:
        made = executor.child_id(instance.id, effect.component_name, effect.machine_name)
        trigger = "cross_component transition"
        executor.agenda.front.append(
            Create(target, made, effect.machine_name, effect.data, trigger, causes, executor.name)
        )
    else:
        event = Event(effect.event_type, effect.data)
        executor.agenda.front.append(
            Broadcast(target, effect.machine_name, event, None, causes, executor.name, rules=effect.rules)
        )
    return [told]


def ask_cascades(executor: Executor, plan: Plan, after: Instance, causes: Causes) -> list[Notice]:
    told: list[Notice] = []
    for cascade in cascades(plan, after) if plan.cascades else ():
        told += _cascade(executor, after, cascade, causes)
    return told


def _cascade(executor: Executor, instance: Instance, effect: Cascade, causes: Causes) -> list[Notice]:
    here = effect.component_name in (None, executor.name)
    target = executor if here else executor.find_component(effect.component_name or "")
    if target is None:
        where = f"{effect.component_name}.{effect.machine_name}"
        error = f"Cross-component cascading rule requires a ComponentRegistry. Target: {where}"
        return [executor.notice("cascade_error", instance.id, error=error)]
    if here and not executor.population.has_machine(effect.machine_name):
        error = f"Machine {effect.machine_name} not found"
        return [executor.notice("cascade_error", instance.id, error=error)]

    def finish(count: int) -> None:
        executor.notify(
            "cascade_completed",
            instance.id,
            machine=effect.machine_name,
            state=effect.state,
            event=effect.event.type,
            count=count,
        )

    executor.agenda.back.append(
        Broadcast(
            target,
            effect.machine_name,
            effect.event,
            None if effect.state == "*" else effect.state,
            causes,
            None if here else executor.name,
            everybody=not effect.rules,
            rules=() if here else effect.rules,
            wanted=None if here or not effect.rules else effect.wanted,
            done=finish,
        )
    )
    return []
