"""Component documents: what is taken, and what a message says about the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from xcstore.errors import DefinitionError
from xcstore.model.loader import (
    component_from_document,
    load_component,
    load_folder,
    parse_component,
    parse_components,
)

SHOP = """\
name: Shop
version: 1.0.0
entryMachine: Order
entryMachineMode: multiple
autoCreateEntryPoint: false
owner: somebody
stateMachines:
  - name: Order
    initialState: Created
    publicMemberType: OrderData
    parentLink: {enabled: true, onStateChange: CHILD}
    metadata: {description: Orders of the shop}
    states:
      - name: Created
        type: entry
        onEntry: greet
        cascadingRules:
          - targetMachine: Stock
            targetComponent: Inventory
            targetState: Available
            event: RESERVE
            matchingRules: [{eventProperty: sku, instanceProperty: sku, operator: ">="}]
            payload: {sku: "{{sku}}"}
      - name: Waiting
        exitMethod: stop
      - {name: Paid, type: final}
    transitions:
      - from: Created
        to: Waiting
        event: PAY
        guard: {keys: [amount]}
      - from: Waiting
        to: Paid
        event: CONFIRM
        type: cross_component
        targetComponent: Bank
        targetMachine: Payment
        targetEvent: CHARGE
        contextMapping: {orderId: context.id}
        triggeredMethod: book
      - {from: Waiting, to: Waiting, event: TICK, type: timeout, timeoutMs: 1000, resetOnTransition: false}
"""


def shop(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(SHOP), **changes}


def machine(**changes: Any) -> dict[str, Any]:
    """A component with one small machine."""
    small = {
        "name": "Order",
        "initialState": "Open",
        "states": [{"name": "Open", "type": "entry"}, {"name": "Closed", "type": "final"}],
        "transitions": [{"from": "Open", "to": "Closed", "event": "CLOSE"}],
    }
    return {"name": "Shop", "stateMachines": [{**small, **changes}]}


def transition(**changes: Any) -> dict[str, Any]:
    return machine(transitions=[{"from": "Open", "to": "Closed", "event": "CLOSE", **changes}])


def refusal(text: str, file: str | None = "shop.yaml") -> str:
    with pytest.raises(DefinitionError) as caught:
        parse_component(text, file=file)
    return str(caught.value)


def test_every_part_of_a_document_is_read() -> None:
    component = parse_component(SHOP)
    order = component.machines[0]
    created, waiting, paid = order.states
    pay, confirm, tick = order.transitions

    assert (component.name, component.version, component.entry_machine) == ("Shop", "1.0.0", "Order")
    assert (component.entry_machine_mode, component.auto_create_entry_point) == ("multiple", False)
    assert (order.initial_state, order.public_member_type, order.description) == (
        "Created",
        "OrderData",
        "Orders of the shop",
    )
    assert order.parent_link is not None
    assert (order.parent_link.enabled, order.parent_link.on_state_change) == (True, "CHILD")
    assert (created.type, created.entry_method, waiting.type, waiting.exit_method) == (
        "entry",
        "greet",
        "regular",
        "stop",
    )
    assert [state.is_terminal for state in (created, waiting, paid)] == [False, False, True]
    rule = created.cascading_rules[0]
    assert (rule.target_component, rule.target_machine, rule.target_state) == ("Inventory", "Stock", "Available")
    assert (rule.event, rule.payload, rule.matching_rules[0].operator) == ("RESERVE", {"sku": "{{sku}}"}, ">=")
    assert (pay.type, pay.reset_on_transition, pay.context_mapping) == ("regular", True, None)
    assert (confirm.type, confirm.target_component, confirm.target_event) == ("cross_component", "Bank", "CHARGE")
    assert (confirm.context_mapping, confirm.triggered_method) == ({"orderId": "context.id"}, "book")
    assert (tick.type, tick.timeout_ms, tick.reset_on_transition) == ("timeout", 1_000, False)


def test_unknown_keys_are_kept_in_the_source() -> None:
    assert parse_component(SHOP).source == yaml.safe_load(SHOP)


def test_yaml_and_json_of_one_document_are_the_same_component() -> None:
    as_json = json.dumps(shop())

    assert parse_component(as_json) == parse_component(SHOP)
    assert parse_component(as_json, file="shop.json").hash == parse_component(SHOP).hash
    assert component_from_document(shop()) == parse_component(SHOP)


def test_the_hash_depends_on_the_content_and_not_on_the_order_of_keys() -> None:
    reordered = json.dumps(dict(reversed(shop().items())))

    assert parse_component(reordered).hash == parse_component(SHOP).hash
    assert len(parse_component(SHOP).hash) == 64
    assert parse_component(json.dumps(shop(owner="me"))).hash != parse_component(SHOP).hash


def test_words_that_old_yaml_takes_for_something_else_are_text() -> None:
    component = parse_component(
        "name: Lamp\n"
        "version: 2026-01-01\n"
        "stateMachines:\n"
        "- name: Lamp\n"
        "  initialState: off\n"
        "  states: [{name: off, type: entry}, {name: on}, {name: 404}, {name: '1e3'}]\n"
        "  transitions: [{from: off, to: on, event: yes}, {from: on, to: 404, event: no}]\n".replace(
            "{name: null}, ", ""
        )
    )

    assert component.version == "2026-01-01"
    assert [state.name for state in component.machines[0].states] == ["off", "on", "404", "1e3"]
    assert [step.event for step in component.machines[0].transitions] == ["yes", "no"]


def test_anchors_and_merge_keys_are_followed() -> None:
    component = parse_component(
        "name: Shop\n"
        "base: &base {type: regular, description: shared}\n"
        "stateMachines:\n"
        "- name: Order\n"
        "  initialState: Open\n"
        "  states: &states\n"
        "  - {name: Open, type: entry}\n"
        "  - {<<: *base, name: Closed, type: final}\n"
        "- name: Return\n"
        "  initialState: Open\n"
        "  states: *states\n"
    )

    order, back = component.machines
    assert order.states == back.states
    assert (order.states[1].type, order.states[1].description) == ("final", "shared")


def test_what_the_typescript_runtime_takes_is_taken() -> None:
    sloppy = machine(
        states=[{"name": "Open"}, {"name": "Closed", "type": "error"}],
        transitions=[
            {"from": "Open", "to": "Closed", "event": "A", "type": "inter_machine", "targetMachine": "Nowhere"},
            {"from": "Open", "to": "Closed", "event": "B", "guard": "amount > 0", "createInstance": {"machine": "X"}},
            {"from": "Open", "to": "Open", "event": "C", "type": "auto", "timeoutMs": 0, "notifyParent": True},
        ],
        matchingRules=[{"name": "byOrderId", "fields": ["orderId"]}],
    )

    component = component_from_document(sloppy)

    assert [step.type for step in component.machines[0].transitions] == ["inter_machine", "regular", "auto"]
    assert component.machines[0].transitions[2].notify_parent == {}


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (
            ("type: entry", "type: enrty"),
            15,
            "type is 'enrty'; it must be one of entry, regular, final, error.",
        ),
        (("type: cross_component", "type: crosscomponent"), 35, "Did you mean 'cross_component'?"),
        (("initialState: Created", "initialState: Start"), 9, "initialState names the state 'Start'"),
        (("timeoutMs: 1000, ", ""), 41, "has no 'timeoutMs'"),
        (("timeoutMs: 1000", "timeoutMs: -1"), 41, "timeoutMs is -1; it must be whole milliseconds, 0 or more"),
        (("timeoutMs: 1000", "timeoutMs: soon"), 41, "timeoutMs is 'soon'"),
        (("name: Waiting", "name: Created"), 24, "state 'Created' is here twice"),
        (("entryMachine: Order", "entryMachine: Oder"), 3, "Did you mean 'Order'?"),
        (("entryMachineMode: multiple", "entryMachineMode: many"), 4, "must be one of singleton, multiple"),
        (("autoCreateEntryPoint: false", "autoCreateEntryPoint: never"), 5, "must be true or false"),
        (('operator: ">="', 'operator: "=>"'), 22, "operator is '=>'; it must be one of ===, !==, >, <, >=, <="),
        (("event: PAY", "evnt: PAY"), 28, "the transition Created -> Waiting of machine 'Order' has no 'event'"),
        (("eventProperty: sku", "eventPropery: sku"), 22, "a matching rule has no 'eventProperty'"),
        (("targetState: Available", "targetState:"), 20, "a cascading rule has no 'targetState'"),
        (("triggeredMethod: book", "triggeredMethod: [book]"), 40, "triggeredMethod is ['book']; it must be text"),
        (("contextMapping: {orderId: context.id}", "contextMapping: id"), 39, "it must be an object with keys"),
        (("- name: Order", "- nam: Order"), 8, "a state machine has no 'name'"),
    ],
)
def test_a_message_names_file_line_what_is_wrong_and_what_would_be_right(
    change: tuple[str, str], line: int, words: str
) -> None:
    text = SHOP.replace(*change, 1)
    assert text != SHOP

    message = refusal(text)

    assert message.startswith(f"shop.yaml:{line}: "), message
    assert words in message


@pytest.mark.parametrize("indent", [1, "\t", None])
def test_a_message_about_json_has_the_line_too(indent: int | str | None) -> None:
    text = json.dumps(transition(type="regula"), indent=indent)
    line = 1 if indent is None else 1 + text[: text.index('"regula"')].count("\n")

    message = refusal(text, "shop.json")

    assert message.startswith(f"shop.json:{line}: ")
    assert "Did you mean 'regular'?" in message


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (
            ("to: Paid", "to: Payed"),
            33,
            "machine 'Order': 'to' of the transition for CONFIRM names the state 'Payed', which is not there; "
            "there are Created, Waiting, Paid. Did you mean 'Paid'?",
        ),
        (("from: Created", "from: created"), 28, "'from' of the transition for PAY names the state 'created'"),
    ],
)
def test_a_transition_may_name_an_undeclared_state_and_the_fault_is_told(
    change: tuple[str, str], line: int, words: str
) -> None:
    component = parse_component(SHOP.replace(*change, 1), file="shop.yaml")

    (fault,) = component.faults
    assert fault.startswith(f"shop.yaml:{line}: ")
    assert words in fault
    assert len(component.machines[0].transitions) == 3
    assert [state.name for state in component.machines[0].states] == ["Created", "Waiting", "Paid"]


def test_a_document_without_undeclared_states_has_no_faults() -> None:
    assert parse_component(SHOP).faults == ()


def test_where_a_fault_stands_makes_no_other_component() -> None:
    text = json.dumps(transition(to="Nowhere"), indent=1)

    one, other = parse_component(text, file="a.json"), parse_component(text, file="b.json")

    assert one.faults != other.faults
    assert (one, hash(one), one.hash) == (other, hash(other), other.hash)
    assert component_from_document(transition(to="Nowhere")) == one


@pytest.mark.parametrize("indent", [1, "\t", None])
def test_a_fault_in_json_has_its_line_too(indent: int | str | None) -> None:
    text = json.dumps(transition(to="Close"), indent=indent)
    line = 1 if indent is None else 1 + text[: text.index('"to"')].count("\n")

    (fault,) = parse_component(text, file="shop.json").faults

    assert fault.startswith(f"shop.json:{line}: ")
    assert "Did you mean 'Closed'?" in fault


def test_of_very_many_faults_the_first_are_told_and_the_rest_counted() -> None:
    ways = [{"from": "Open", "to": f"Nowhere{number}", "event": "GO"} for number in range(3_000)]

    faults = parse_component(json.dumps(machine(transitions=ways)), file="shop.json").faults

    assert len(faults) == 21
    assert "'Nowhere19'" in faults[19]
    assert faults[20] == "shop.json:1: 2,980 more times a transition names a state that is not there"


@pytest.mark.parametrize(
    ("text", "file", "words"),
    [
        ("", "shop.yaml", "the file is empty"),
        ("# only a remark\n", "shop.yaml", "the file is empty"),
        ("hello", "shop.yaml", "a component is 'hello'; it must be an object"),
        ("- a\n- b\n", "shop.yaml", "it must be an object"),
        ("version: 3\nservices: {}\n", "compose.yaml", "this is not a component: it has no 'stateMachines'"),
        ("name: A\nstateMachines: 5\n", "shop.yaml", "shop.yaml:2: stateMachines is 5; it must be a list"),
        ("stateMachines: []\n", "shop.yaml", "the component has no 'name'"),
        ("name: A\nstateMachines: [{name: M, states: []}]", "shop.yaml", "machine 'M' has no states"),
        ("name: A\nstateMachines: [{name: M, states: [{name: S}]}]", "shop.yaml", "machine 'M' has no initialState"),
        ("a: [1,\nb: 2\n", "shop.yaml", "not YAML"),
        ("a: 1\n b: 2\n", "shop.yaml", "shop.yaml:2: not YAML"),
        ("a: 1\na: 2\n", "shop.yaml", "shop.yaml:2: the key 'a' is here twice"),
        ("a: 1\n---\nb: 2\n", "shop.yaml", "a second document starts here"),
        ("a: *nowhere\n", "shop.yaml", "alias *nowhere has no anchor"),
        ("a: &a [*a]\n", "shop.yaml", "alias *a has no anchor &a before it"),
        ("? [a]\n: b\n", "shop.yaml", "a key must be plain text"),
        ("a: \x00\n", "shop.yaml", "not YAML"),
        ('{"a": 1,\n "b" 2}', "shop.json", "shop.json:2: not JSON: Expecting ':' delimiter at column 6"),
        ('{"name": "A", "stateMachines": [', "shop.json", "not JSON"),
        ("null", "shop.json", "a component is missing"),
    ],
)
def test_a_text_that_is_no_component_is_refused_in_one_sentence(text: str, file: str, words: str) -> None:
    message = refusal(text, file)

    assert message.startswith(file)
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['echo owned']\n",
        "a: !!python/name:os.system\n",
        "a: !custom 1\n",
        "a: !!set {b}\n",
        "a: !!binary aGVsbG8=\n",
    ],
)
def test_tags_make_nothing(text: str) -> None:
    assert "is not allowed; write plain values" in refusal(text)


def test_a_few_lines_of_nested_aliases_are_refused_before_they_grow() -> None:
    lines = ['a: &a ["x","x","x","x","x","x","x","x","x"]']
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]")

    assert "more than 200,000 values, aliases counted" in refusal("\n".join(lines))


@pytest.mark.parametrize("file", ["deep.yaml", "deep.json"])
def test_deep_nesting_is_refused(file: str) -> None:
    assert "nested" in refusal("[" * 100_000, file)
    assert "nested" in refusal('{"a":' * 100_000, file)
    assert "nested more than 100 levels" in refusal("\n".join(" " * level + "a:" for level in range(200)), "deep.yaml")


def test_a_huge_text_is_refused_unread() -> None:
    assert "a component has at most" in refusal("#" * 5_000_000)


def test_several_components_in_one_text_are_a_list_or_a_mapping_by_name() -> None:
    one, two = shop(), machine() | {"name": "Other"}

    for document in ([one, two], {"Shop": one, "Other": two}):
        for text in (json.dumps(document), yaml.safe_dump(document, sort_keys=False)):
            assert [component.name for component in parse_components(text)] == ["Shop", "Other"]
    assert [component.name for component in parse_components(SHOP)] == ["Shop"]


def test_a_message_about_one_of_several_components_has_its_line() -> None:
    text = json.dumps({"Shop": shop(), "Other": transition(type="nothing")}, indent=1)
    line = 1 + text[: text.index('"type": "nothing"')].count("\n")

    with pytest.raises(DefinitionError, match=f"^all.json:{line}: "):
        parse_components(text, file="all.json")


def test_a_fault_belongs_to_its_component_and_has_its_line() -> None:
    text = json.dumps({"Shop": shop(), "Other": transition(to="Nowhere")}, indent=1)
    line = 1 + text[: text.index('"to": "Nowhere"')].count("\n")

    good, bad = parse_components(text, file="all.json")

    assert good.faults == ()
    assert [fault.split(" ", 1)[0] for fault in bad.faults] == [f"all.json:{line}:"]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Café".encode("latin-1"))

    with pytest.raises(DefinitionError, match=r"absent\.yaml: cannot be read: No such file"):
        load_component(tmp_path / "absent.yaml")
    with pytest.raises(DefinitionError, match=r"latin\.yaml: not UTF-8 text"):
        load_component(tmp_path / "latin.yaml")


def test_a_folder_gives_what_is_good_and_says_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP, encoding="utf-8-sig")
    (tmp_path / "all.json").write_text(json.dumps({"A": machine() | {"name": "A"}, "B": machine() | {"name": "B"}}))
    (tmp_path / "broken.yml").write_text("name: [")
    (tmp_path / "later.yml").write_text(json.dumps(machine()))
    (tmp_path / "same.YAML").write_text(SHOP)
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / "below.yaml").mkdir()

    loaded = load_folder(tmp_path)

    assert [component.name for component in loaded.components] == ["A", "B", "Shop"]
    assert loaded.components[2].hash == component_from_document(machine()).hash
    assert [Path(str(problem.file)).name for problem in loaded.problems] == [
        "broken.yml",
        "same.YAML",
        "shop.yaml",
    ]
    assert "defined in a file before this one" in str(loaded.problems[1])


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="not a folder"):
        load_folder(tmp_path / "absent")
