"""The page that shows the OpenAPI document: plain HTML, no script, nothing fetched from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any, Final

__all__ = ["docs_page"]

Document = Mapping[str, Any]

_STYLE: Final = """
:root { color-scheme: light dark; --line: #d5d9df; --soft: #5b6472; --code: #f3f5f7; --link: #1a5fb4; }
@media (prefers-color-scheme: dark) { :root { --line: #3a414b; --soft: #a5adba; --code: #1d232b; --link: #8ab8f0; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 "Source Sans", "Source Sans 3", system-ui, sans-serif; margin: 0 auto; padding: 2rem 1.5rem;
  max-width: 72rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .4rem 0; } a { color: var(--link); } .soft { color: var(--soft); }
code, pre { font: 13px/1.5 "Source Code Pro", ui-monospace, monospace; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; padding: .75rem; overflow-x: auto; }
p code, td code { background: var(--code); border-radius: 3px; padding: .1em .3em; }
nav ul { columns: 2 24rem; list-style: none; padding: 0; } nav li { margin: .15rem 0; break-inside: avoid; }
section { border-top: 1px solid var(--line); margin-top: 1.75rem; padding-top: 1.25rem; }
section h2 { margin-top: 0; } section h2 code { font-size: 1rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } td:first-child, td:nth-child(2) { white-space: nowrap; }
.scroll { overflow-x: auto; } summary { cursor: pointer; margin: .5rem 0; }
"""


def docs_page(document: Document) -> str:
    """The document as a page for people."""
    info = document["info"]
    operations = [(path, item["get"]) for path, item in document["paths"].items()]
    schemas = document["components"]["schemas"]
    about = "".join(f"<p>{_prose(part)}</p>" for part in info["description"].split("\n\n"))
    contents = "".join(
        f'<li><a href="#{escape(operation["operationId"])}"><code>{escape(path)}</code></a></li>'
        for path, operation in operations
    )
    base = document["servers"][0]["url"].rstrip("/")
    sections = "".join(_section(path, operation, base) for path, operation in operations)
    shapes = "".join(_shape(name, schema) for name, schema in schemas.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{escape(info["title"])} API</h1><p class="soft">version {escape(info["version"])} · '
        f'<a href="openapi.json">openapi.json</a> (OpenAPI {escape(document["openapi"])})</p>{about}'
        f'<nav aria-label="Routes"><ul>{contents}</ul></nav>{sections}'
        f"<h2>Shapes</h2>{shapes}</main></body></html>"
    )


def _section(path: str, operation: Document, base: str) -> str:
    name = escape(operation["operationId"])
    parameters = operation.get("parameters", ())
    rows = "".join(
        f"<tr><td><code>{escape(row['name'])}</code></td><td>{escape(_kind(row['schema']))}</td>"
        f"<td>{'in the path' if row['in'] == 'path' else escape(_default(row['schema']))}</td>"
        f"<td>{_prose(row['description'])}</td></tr>"
        for row in parameters
    )
    table = (
        '<div class="scroll"><table><thead><tr><th>parameter</th><th>kind</th><th>default</th><th>meaning</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    content = next(iter(operation["responses"]["200"]["content"].values()))
    example = (
        f"<details><summary>Example of an answer</summary><pre>{_json(content['example'])}</pre></details>"
        if "example" in content
        else ""
    )
    shape = ""
    if "properties" in content["schema"]:
        shape = _rows(content["schema"]["properties"]["data"], "in data")
    # A link where it leads somewhere in any store; else a line to fill in.
    address = f"{base}{path}"
    asked = (
        f'<p>Try it: <a href="{escape(address)}"><code>{escape(address)}</code></a></p>'
        if "{" not in path
        else f"<pre>curl 'http://HOST:PORT{escape(address)}'</pre>"
    )
    return (
        f'<section id="{name}"><h2><code>GET {escape(path)}</code></h2><p>{_prose(operation["summary"])}.</p>'
        f'<p class="soft">{_prose(operation["description"])}</p>{asked}{table}{shape}{example}</section>'
    )


def _shape(name: str, schema: Document) -> str:
    example = (
        f"<details><summary>Example</summary><pre>{_json(schema['example'])}</pre></details>"
        if "example" in schema
        else ""
    )
    return (
        f'<section id="{escape(name)}"><h2>{escape(name)}</h2><p>{_prose(schema.get("description", ""))}</p>'
        f"{_rows(schema, 'key')}{example}</section>"
    )


def _rows(schema: Document, heading: str) -> str:
    if "properties" not in schema:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td>{_linked_kind(value)}</td>"
        f"<td>{_prose(value.get('description', ''))}</td></tr>"
        for key, value in schema["properties"].items()
    )
    return (
        f'<div class="scroll"><table><thead><tr><th>{escape(heading)}</th><th>kind</th><th>meaning</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _linked_kind(schema: Document) -> str:
    target = schema.get("$ref") or schema.get("items", {}).get("$ref")
    if target is None:
        return escape(_kind(schema))
    name = escape(target.rpartition("/")[2])
    link = f'<a href="#{name}">{name}</a>'
    return link if "$ref" in schema else f"list of {link}"


def _kind(schema: Document) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " · ".join(schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(kind) for kind in schema["anyOf"])
    if schema.get("format") == "date-time":
        return "date-time"
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    if kind == "integer" and schema.get("maximum", 2**53) < 2**53:
        return f"{schema['minimum']:,} to {schema['maximum']:,}"
    return str(kind)


def _default(schema: Document) -> str:
    return str(schema.get("default", ""))


def _json(value: object) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
