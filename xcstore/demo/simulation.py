"""The world around the demo's components: customers, a payment gateway, a warehouse, carriers.

Everything that is stored is made by the runtime. This module decides only what the outside does and when: it listens
to the runtimes, and answers after a while, as people and other systems would. An answer names the event that it
answers as its cause; what a person does of their own accord has none.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from xcstore.demo import world
from xcstore.errors import InstanceNotActiveError
from xcstore.model.definition import Component
from xcstore.model.history import Instance
from xcstore.runtime.clock import SimulatedClock
from xcstore.runtime.engine import FSMRuntime, Notice
from xcstore.runtime.ids import TimeOrderedIds
from xcstore.runtime.interpreter import Event
from xcstore.runtime.persistence import PersistenceConfig
from xcstore.runtime.registry import ComponentRegistry
from xcstore.runtime.sender import Sender
from xcstore.units import DAY, HOUR, MINUTE, SECOND, EpochMs, from_utc, to_utc

__all__ = ["BANKRUPT", "COMPONENT_FILES", "GUIDED_ORDER", "LOST_ORDER", "OUTAGE_DAY", "Simulation"]

COMPONENT_FILES: Final = tuple(
    Path(__file__).parent / "components" / name for name in ("order.yaml", "inventory.yaml", "shipping.yaml")
)

ORDERS_PER_DAY: Final = 13.9
GUIDED_ORDER: Final = "ORD-00001"
"""Nothing goes wrong with this one: its trace leads through all three components to the door."""
LOST_ORDER: Final = 123
"""Number of the order whose answer from the warehouse is lost."""
BANKRUPT: Final = 6
"""Number of the article whose supplier never delivers."""
OUTAGE_DAY: Final = 24
"""On this day the first carrier stops collecting, and does not come back."""

# How busy the shop is, by hour of the day and by day of the week from Monday.
_HOURS: Final = (2, 1, 1, 0.5, 0.5, 1, 3, 6, 9, 12, 14, 15, 16, 13, 12, 11, 12, 14, 17, 21, 22, 17, 10, 5)
_WEEKDAYS: Final = (1.05, 0.95, 0.95, 1.0, 1.15, 0.85, 1.1)


@dataclass(frozen=True, slots=True)
class _Order:
    number: int
    at: EpochMs


class Simulation:
    """Runs the three components for some days.

    Parameters
    ----------
    components : sequence of Component
        Order, inventory and shipping, in this order.
    persistence : PersistenceConfig
        Where the runtimes write.
    """

    def __init__(
        self,
        components: Sequence[Component],
        persistence: PersistenceConfig,
        *,
        seed: int,
        start: EpochMs,
        days: int,
    ) -> None:
        self._random = random.Random(seed)
        self._clock = SimulatedClock(start)
        self._start, self._days = start, days
        ids = TimeOrderedIds(self._random.getrandbits(64))
        registry = ComponentRegistry()
        methods = {
            "takeUnits": self._take_units,
            "returnUnits": _return_units,
            "addUnits": _add_units,
            "readClimate": self._read_climate,
            "scoreRisk": self._score_risk,
            "dispatchUnits": _dispatch_units,
            "noteShelf": _note_shelf,
            "bookShipment": self._book_shipment,
            "closeDay": self._close_day,
            "remindCarrier": _remind_carrier,
        }
        self.order, self.inventory, self.shipping = (
            FSMRuntime(component, persistence=persistence, clock=self._clock, ids=ids, methods=methods)
            for component in components
        )
        for runtime in (self.order, self.inventory, self.shipping):
            runtime.listen(self._on_notice)
        for runtime in (self.order, self.inventory, self.shipping):
            registry.register(runtime)
        self.business_keys: dict[str, str] = {}
        """Order number -> instance id of the order."""
        self._orders_today = 0
        self._attempts: dict[str, int] = defaultdict(int)
        self._notes = 0
        self._reactions: Mapping[tuple[str, str], Callable[[Notice, EpochMs], None]] = {
            ("Payment", "Processing"): self._gateway,
            ("Payment", "RetryWait"): self._impatient_customer,
            ("Order", "Backordered"): self._impatient_customer,
            ("Order", "Fulfilling"): self._customer_notes,
            ("Order", "Shipped"): self._curious_customer,
            ("Order", "Delivered"): self._after_delivery,
            ("Order", "Returning"): self._returning,
            ("Order", "Refunding"): self._refunding,
            ("StockItem", "Low"): self._supplier,
            ("Shipment", "Packing"): self._packing,
            ("Shipment", "AwaitingPickup"): self._pickup,
            ("Parcel", "Moving"): self._carrier,
            ("Parcel", "WithCourier"): self._courier,
        }

    def run(self, on_day: Callable[[int], None] = lambda day: None) -> None:
        """Let the days pass."""
        for article in world.ARTICLES:
            stock: dict[str, object] = {
                "sku": article.sku,
                "name": article.name,
                "onHand": article.on_hand,
                "held": 0,
                "reorderAt": article.reorder_at,
                "shelf": f"{self._random.choice('ABCDEF')}-{self._random.randint(1, 40):02d}",
            }
            self.inventory.create_instance("StockItem", stock)
        for order in self._plan_orders():
            self._at(order.at, lambda order=order: self._open_order(order))  # type: ignore[misc]
        for day in range(self._days):
            midnight = EpochMs(self._start + day * DAY)
            self._at(EpochMs(midnight + 22 * HOUR), self._cycle_count)
            if day == OUTAGE_DAY:
                self._at(EpochMs(midnight + 9 * HOUR + 12 * MINUTE), self._report_outage)
        for day in range(self._days):
            self._clock.advance(DAY)
            on_day(day + 1)

    def sold_out(self) -> Instance | None:
        """An order that waits for the article without a supplier."""
        sku = world.ARTICLES[BANKRUPT].sku
        orders = (order for order in self.order.instances("Order") if order.current_state == "Backordered")
        return next((order for order in orders if order.context["sku"] == sku), None)

    # Orders and customers

    def _plan_orders(self) -> list[_Order]:
        """When orders come in: by the rhythm of day and week."""
        moments: list[int] = []
        for day in range(self._days):
            midnight = self._start + day * DAY
            moment = to_utc(EpochMs(midnight))
            assert moment is not None  # the demo lies in our calendar
            count = round(ORDERS_PER_DAY * _WEEKDAYS[moment.weekday()] * self._random.uniform(0.85, 1.15))
            hours = self._random.choices(range(24), weights=_HOURS, k=count)
            moments += [midnight + hour * HOUR + self._random.randrange(HOUR) for hour in hours]
        return [_Order(number, EpochMs(at)) for number, at in enumerate(sorted(moments), start=1)]

    def _open_order(self, order: _Order) -> None:
        pick = self._random
        # A few articles make most of the sales.
        rank = min(int(pick.paretovariate(0.75)) - 1, 10_000)
        article = world.ARTICLES[rank] if rank < len(world.ARTICLES) else pick.choice(world.ARTICLES)
        quantity = pick.choices((1, 2, 3, 6), weights=(62, 24, 10, 4))[0]
        customer = pick.choice(world.CUSTOMERS)
        key = f"ORD-{order.number:05d}"
        data: dict[str, object] = {
            "orderId": key,
            "customer": customer,
            "customerId": f"C-{world.CUSTOMERS.index(customer) + 100}",
            "sku": article.sku,
            "article": article.name,
            "quantity": quantity,
            "amount": article.price_cents * quantity / 100,
            "currency": "EUR",
            "paymentMethod": pick.choice(("card", "card", "card", "paypal", "sepa")),
            "maxAttempts": 3,
            "carrier": pick.choices(world.CARRIERS, weights=(5, 3, 2))[0],
            "address": {"city": pick.choice(world.CITIES), "floor": pick.randint(0, 6)},
        }
        if order.number % 37 == 0:
            data["company"] = world.HOSTILE_NOTES[0]
        instance_id = self.order.create_instance("Order", data)
        self.business_keys[key] = instance_id
        self._orders_today += 1
        if pick.random() < 0.05 and key != GUIDED_ORDER and order.number != LOST_ORDER:
            return  # left in the basket
        delay = pick.randint(20 * SECOND, 12 * MINUTE)
        for position in range(1, pick.choices((0, 1, 2, 3, 4), weights=(30, 30, 20, 12, 8))[0] + 1):
            quantity = max(1, quantity + pick.choice((-1, 1, 1)))
            change = {"quantity": quantity, "amount": article.price_cents * quantity / 100}
            self._later(delay * position // 5, self.order, instance_id, "ITEM_CHANGED", change)
        self._later(delay, self.order, instance_id, "SUBMIT", {"channel": pick.choice(("web", "app", "phone"))})

    def _impatient_customer(self, notice: Notice, now: EpochMs) -> None:
        """Somebody whose payment or stock takes long may cancel."""
        if notice.data["machine"] == "Payment":
            order_id = self._key_of(self.order.get_instance(notice.instance_id))
            if self._random.random() < 0.18:
                delay = self._random.randint(2 * MINUTE, 10 * MINUTE)
                self._later(delay, self.order, self.business_keys[order_id], "CANCEL", {"reason": "payment trouble"})
        elif self._random.random() < 0.12:
            delay = self._random.randint(20 * HOUR, 70 * HOUR)
            self._later(delay, self.order, notice.instance_id, "CANCEL", {"reason": "takes too long"})

    def _customer_notes(self, notice: Notice, now: EpochMs) -> None:
        if notice.data["event"] != "BOOK_SHIPMENT" or self._random.random() > 0.25:
            return
        self._notes += 1
        hostile = self._notes % 6 == 3
        texts = world.HOSTILE_NOTES if hostile else world.NOTES
        text = texts[self._notes // 6 % len(texts)] if hostile else self._random.choice(texts)
        delay = self._random.randint(3 * MINUTE, 90 * MINUTE)
        self._later(delay, self.order, notice.instance_id, "NOTE_ADDED", {"note": text})

    def _curious_customer(self, notice: Notice, now: EpochMs) -> None:
        if notice.data["event"] == "SHIPMENT_DISPATCHED":
            for _ in range(self._random.choices(range(9), weights=(1, 2, 3, 4, 4, 4, 3, 2, 2))[0]):
                device = {"device": self._random.choice(("phone", "laptop"))}
                delay = self._random.randint(HOUR, 60 * HOUR)
                self._later(delay, self.order, notice.instance_id, "TRACKING_VIEWED", device)

    def _after_delivery(self, notice: Notice, now: EpochMs) -> None:
        if notice.data["event"] != "PARCEL_DELIVERED":
            return
        pick = self._random
        if pick.random() < 0.4:
            review = {"stars": pick.choices((5, 4, 3, 2, 1), weights=(50, 25, 10, 5, 10))[0],
                      "review": pick.choice(world.REVIEWS)}  # fmt: skip
            self._later(pick.randint(2 * HOUR, 60 * HOUR), self.order, notice.instance_id, "REVIEWED", review)
        if pick.random() < 0.08:
            why = {"why": pick.choice(("too big", "broken", "changed my mind"))}
            self._later(pick.randint(3 * HOUR, 65 * HOUR), self.order, notice.instance_id, "RETURN_REQUESTED", why)

    def _returning(self, notice: Notice, now: EpochMs) -> None:
        at = self._working_time(now + self._random.randint(1 * DAY, 4 * DAY))
        self._answer(at, self.order, notice, "RETURN_RECEIVED", {"condition": self._random.choice(("as new", "used"))})

    def _refunding(self, notice: Notice, now: EpochMs) -> None:
        at = self._working_time(now + self._random.randint(2 * HOUR, 28 * HOUR))
        self._answer(at, self.order, notice, "REFUND_SENT", {"refund": f"RF-{self._random.randrange(16**6):06X}"})

    # The payment gateway

    def _gateway(self, notice: Notice, now: EpochMs) -> None:
        pick = self._random
        self._attempts[notice.instance_id] += 1
        attempt = self._attempts[notice.instance_id]
        fate = pick.random()
        guided = self._key_of(self.order.get_instance(notice.instance_id)) == GUIDED_ORDER
        if fate < 0.03 and not guided:
            return  # no answer: the payment times out after 30 s
        at = EpochMs(now + pick.randint(700, 4_500))
        if fate < (0.84 if attempt == 1 else 0.62) or guided:
            approval = {"authorisation": f"A{pick.randrange(16**5):05X}", "network": pick.choice(("VISA", "MC", "CB"))}
            self._answer(at, self.order, notice, "GATEWAY_APPROVED", approval)
        else:
            decline = {"attempt": attempt, "declineCode": pick.choice(world.DECLINES)}
            self._answer(at, self.order, notice, "GATEWAY_DECLINED", decline)

    # The warehouse

    def _take_units(self, event: Event, instance: Instance, sender: Sender) -> None:
        """An article's shelf answers a reservation."""
        stock, wanted, order_id = _data(instance), event.payload["quantity"], event.payload["orderId"]
        on_hand = stock["onHand"]
        assert isinstance(on_hand, int)
        assert isinstance(wanted, int)
        if on_hand < wanted:
            sender.broadcast("Reservation", "STOCK_SHORT", {"orderId": order_id, "missing": wanted - on_hand})
        else:
            stock["onHand"] = on_hand - wanted
            stock["held"] = _number(stock["held"]) + wanted
            stock["lastOrder"] = order_id
            if order_id != f"ORD-{LOST_ORDER:05d}":  # that one's answer is lost between the shelf and the reservation
                sender.broadcast("Reservation", "STOCK_HELD", {"orderId": order_id, "shelf": stock["shelf"]})
        if instance.current_state == "Available" and _number(stock["onHand"]) <= _number(stock["reorderAt"]):
            sender.send_to_self("RAN_LOW", {"reorderedAt": self._clock.now()})

    def _supplier(self, notice: Notice, now: EpochMs) -> None:
        if notice.data["event"] != "RAN_LOW":
            return
        article = next(a for a in world.ARTICLES if a.sku == self._context(self.inventory, notice)["sku"])
        if article == world.ARTICLES[BANKRUPT]:
            return  # its supplier does not answer any more
        at = self._working_time(now + self._random.randint(20 * HOUR, 80 * HOUR))
        delivery = {"units": article.restock, "deliveryNote": f"DN-{self._random.randrange(10**6):06d}"}
        self._answer(at, self.inventory, notice, "RESTOCK", delivery)

    def _cycle_count(self) -> None:
        """Each evening some shelves are counted."""
        items = [item for item in self.inventory.instances("StockItem") if self._random.random() < 0.6]
        for item in items:
            counter = {"countedBy": self._random.choice(world.PACKERS)}
            self._later(self._random.randrange(90 * MINUTE), self.inventory, item.id, "COUNTED", counter)

    def _packing(self, notice: Notice, now: EpochMs) -> None:
        if notice.data["event"] != "ALLOCATE":
            return
        pick = self._random
        at = self._working_time(now + pick.randint(10 * MINUTE, 4 * HOUR))
        packer = pick.choice(world.PACKERS)
        quantity = self._context(self.shipping, notice)["quantity"]
        assert isinstance(quantity, int)
        for item in range(1, quantity + 1):
            self._send_at(at, self.shipping, notice.instance_id, "ITEM_SCANNED", {"item": item, "packedBy": packer})
            at = EpochMs(at + pick.randint(20 * SECOND, 4 * MINUTE))
        tracking = f"TRK{pick.randrange(10**9):09d}"
        packed = {"tracking": tracking, "packedBy": packer, "weightKg": round(pick.uniform(0.3, 14), 2)}
        self._answer(at, self.shipping, notice, "PACKED", packed)

    # Shipping

    def _book_shipment(self, event: Event, instance: Instance, sender: Sender) -> None:
        sender.send_to_self(
            "BOOK_SHIPMENT", {"service": "express" if instance.context["carrier"] == "Blue Post" else "standard"}
        )

    def _read_climate(self, event: Event, instance: Instance, sender: Sender) -> None:
        _data(instance)["celsius"] = round(self._random.gauss(19.5, 0.8), 1)

    def _score_risk(self, event: Event, instance: Instance, sender: Sender) -> None:
        _data(instance)["riskScore"] = round(self._random.betavariate(1.5, 9), 3)

    def _close_day(self, event: Event, instance: Instance, sender: Sender) -> None:
        _data(instance)["ordersToday"] = self._orders_today
        self._orders_today = 0

    def _report_outage(self) -> None:
        board = next(self.shipping.instances("CarrierBoard"))
        words = {"carrier": world.CARRIERS[0], "message": "No collections until further notice (depot flooded)"}
        self.shipping.send(board.id, "OUTAGE_REPORTED", words)

    def _pickup(self, notice: Notice, now: EpochMs) -> None:
        if notice.data["event"] != "PACKED":
            return
        carrier = self._context(self.shipping, notice)["carrier"]
        at = self._next_at(now + 20 * MINUTE, hour=17, skip_sunday=True)
        at = EpochMs(at + self._random.randint(0, 50 * MINUTE))
        if carrier == world.CARRIERS[0] and at >= self._start + OUTAGE_DAY * DAY:
            return  # the outage: nobody comes, and the shipment waits
        self._answer(at, self.shipping, notice, "COLLECTED", {"driver": f"D{self._random.randint(10, 99)}"})

    def _carrier(self, notice: Notice, now: EpochMs) -> None:
        """A parcel on its way: scanned in depots, then taken out for delivery; some are never seen again."""
        pick, event = self._random, notice.data["event"]
        if event == "SCANNED":
            return
        if event == "DELIVERY_FAILED":
            at = self._next_at(now + 6 * HOUR, hour=8, skip_sunday=True)
        else:
            label = self.shipping.get_instance(notice.instance_id).public_member or {}
            lost = pick.random() < 0.025 and label["orderId"] != GUIDED_ORDER
            tracker = pick.random() < 0.02  # a tracker in the box reports every half hour
            at = EpochMs(now + pick.randint(2 * HOUR, 6 * HOUR))
            for leg in range(pick.randint(40, 110) if tracker else pick.randint(8, 15)):
                scan = {"depot": pick.choice(world.DEPOTS), "leg": leg + 1}
                self._send_at(at, self.shipping, notice.instance_id, "SCANNED", scan)
                at = EpochMs(at + (30 * MINUTE if tracker else pick.randint(2 * HOUR, 7 * HOUR)))
            if lost:
                return
            at = self._next_at(at, hour=8, skip_sunday=True)
        at = EpochMs(at + pick.randrange(70 * MINUTE))
        self._answer(at, self.shipping, notice, "OUT_FOR_DELIVERY", {"van": f"V{pick.randint(1, 30)}"})

    def _courier(self, notice: Notice, now: EpochMs) -> None:
        pick = self._random
        at = EpochMs(now + pick.randint(30 * MINUTE, 9 * HOUR))
        if pick.random() < 0.11:
            why = {"why": pick.choice(("nobody home", "address not found", "dog"))}
            self._answer(at, self.shipping, notice, "DELIVERY_FAILED", why)
        else:
            who = {"signedBy": pick.choice(("customer", "neighbour", "locker"))}
            self._answer(at, self.shipping, notice, "HANDED_TO_CUSTOMER", who)

    # How the outside reaches the runtimes

    def _on_notice(self, notice: Notice) -> None:
        if notice.name == "state_change":
            react = self._reactions.get((str(notice.data["machine"]), str(notice.data["after"])))
            if react is not None:
                react(notice, self._clock.now())

    def _answer(
        self, at: EpochMs, runtime: FSMRuntime, notice: Notice, event_type: str, payload: Mapping[str, object]
    ) -> None:
        cause = (str(notice.data["event_id"]),)
        self._send_at(at, runtime, notice.instance_id, event_type, payload, cause)

    def _later(
        self, delay: int, runtime: FSMRuntime, instance_id: str, event_type: str, payload: Mapping[str, object]
    ) -> None:
        self._send_at(EpochMs(self._clock.now() + delay), runtime, instance_id, event_type, payload)

    def _send_at(
        self,
        at: EpochMs,
        runtime: FSMRuntime,
        instance_id: str,
        event_type: str,
        payload: Mapping[str, object],
        causes: tuple[str, ...] = (),
    ) -> None:
        def send() -> None:
            # The outside may be late: the instance has ended meanwhile.
            with suppress(InstanceNotActiveError):
                runtime.send(instance_id, event_type, payload, caused_by=causes)

        self._at(at, send)

    def _at(self, moment: EpochMs, callback: Callable[[], None]) -> None:
        self._clock.call_at(moment, callback)

    def _context(self, runtime: FSMRuntime, notice: Notice) -> Mapping[str, object]:
        return runtime.get_instance(notice.instance_id).context

    def _key_of(self, instance: Instance) -> str:
        return str(instance.context["orderId"])

    def _working_time(self, moment: int) -> EpochMs:
        """`moment`, or the next opening of the warehouse: 7 to 20 o'clock, not on Sundays."""
        at = to_utc(EpochMs(moment))
        assert at is not None  # the demo lies in our calendar
        if at.weekday() != 6 and 7 <= at.hour < 20:
            return EpochMs(moment)
        return EpochMs(self._next_at(moment, hour=7, skip_sunday=True) + self._random.randrange(HOUR))

    def _next_at(self, moment: int, *, hour: int, skip_sunday: bool) -> EpochMs:
        at = to_utc(EpochMs(moment))
        assert at is not None
        day = at.replace(hour=hour, minute=0, second=0, microsecond=0)
        while day < at or (skip_sunday and day.weekday() == 6):
            day += timedelta(days=1)
        return from_utc(day)


def _return_units(event: Event, instance: Instance, sender: Sender) -> None:
    stock, units = _data(instance), _number(event.payload["quantity"])
    stock["onHand"] = _number(stock["onHand"]) + units
    stock["held"] = _number(stock["held"]) - units


def _add_units(event: Event, instance: Instance, sender: Sender) -> None:
    stock = _data(instance)
    stock["onHand"] = _number(stock["onHand"]) + _number(event.payload["units"])
    sender.broadcast("Reservation", "RESTOCKED", {"sku": stock["sku"]})


def _dispatch_units(event: Event, instance: Instance, sender: Sender) -> None:
    stock = _data(instance)
    stock["held"] = _number(stock["held"]) - _number(event.payload["quantity"])


def _note_shelf(event: Event, instance: Instance, sender: Sender) -> None:
    _data(instance)["shelf"] = event.payload["shelf"]


def _remind_carrier(event: Event, instance: Instance, sender: Sender) -> None:
    shipment = _data(instance)
    shipment["reminders"] = _number(shipment.get("reminders", 0)) + 1


def _data(instance: Instance) -> dict[str, object]:
    """The context that a method may change."""
    assert isinstance(instance.context, dict)  # the engine's copy
    return instance.context


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
