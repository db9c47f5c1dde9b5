// The words beside the pictures: the event of this step, what led to it, what it led to, and what the instance holds.

const CHANGE_WORDS = { "+": "added", "−": "removed", "~": "changed" };

class Side {
  constructor(onSeek) {
    this.onSeek = onSeek;
    this.event = make("div", { className: "event" });
    this.holds = make("div", { className: "holds" });
    this.root = make("div", { className: "side" }, this.event, this.holds);
    this.open = true;
  }

  show(step, player) {
    const { texts, contexts } = player.window;
    const text = (number) => texts[number] ?? "";
    if (step.i === undefined) {
      this.event.replaceChildren(
        make("h3", { textContent: player.total ? "Before the first step" : "No events" }),
        make("p", { className: "muted", textContent: player.total ? "Play, or press →, to take the first step." : "" }),
        ...this.notes(step, text),
      );
      this.holds.replaceChildren();
      return;
    }
    const [cast, letter, name] = player.actor(step);
    const machine = player.data.casts[cast];
    const who = make("p", { className: "who" });
    if (player.data.instances.length > 1) who.append(make("b", { className: `badge accent-${machine.accent % 8}`, textContent: letter }));
    who.append(make("span", { textContent: machine.name }), make("i", { textContent: name }));
    const move = make(
      "p",
      { className: "move" },
      make("span", { className: "from", textContent: text(step.fw) }),
      make("span", { className: "to-sign", textContent: " → " }),
      make("span", { className: `to state-${text(step.k)}`, textContent: text(step.tw) }),
    );
    const when = make("p", { className: "when" }, make("span", { textContent: text(step.w) }));
    if (step.d !== undefined) when.append(make("span", { className: "muted", textContent: text(step.d) }));
    const parts = [make("h3", { textContent: text(step.e) }), who, move, when];
    if (step.b !== undefined) parts.push(make("p", { className: "said mark-break", textContent: `Breakpoint: ${text(step.b)}` }));
    if (step.v !== undefined) parts.push(make("p", { className: "said mark-divergence", textContent: `Differs: ${text(step.v)}` }));
    parts.push(...this.notes(step, text));
    parts.push(this.links("Caused by", step.ca, step.cn, text), this.links("Led to", step.ef, step.en, text));
    if (text(step.y)) {
      const details = make("details", { open: this.open }, make("summary", { textContent: "Payload" }), make("pre", { textContent: text(step.y) }));
      details.addEventListener("toggle", () => (this.open = details.open));
      parts.push(details);
    }
    this.event.replaceChildren(...parts.filter(Boolean));
    this.holds.replaceChildren(...this.context(step, contexts, text));
  }

  notes(step, text) {
    return (step.n ?? []).map((note) => make("p", { className: "said", textContent: `▲ ${text(note)}` }));
  }

  links(title, items, count, text) {
    if (!items) return null;
    const list = make("p", { className: "links" }, make("span", { className: "muted", textContent: `${title} ` }));
    for (const [position, label, , , standing, doubts] of items) {
      const doubtful = standing === "doubtful";
      const words = `${doubtful ? "⚠ " : standing === "inferred" ? "┄ " : ""}${text(label)}${position ? `, step ${position}` : ""}`;
      const link = position
        ? make("button", { type: "button", textContent: words })
        : make("span", { textContent: `${words} (not a step here)` });
      if (standing) link.title = doubtful ? `doubtful: ${text(doubts)}` : `${standing} cause`;
      if (position) link.addEventListener("click", () => this.onSeek(position));
      list.append(link, " ");
    }
    if (count > items.length) list.append(make("span", { className: "muted", textContent: `shown ${items.length} of ${count}` }));
    return list;
  }

  context(step, contexts, text) {
    const row = contexts[step.x];
    const changes = new Map((step.c ?? []).map((change) => [text(change[1]), change]));
    if (!row) return [];
    const [more, isPublic, ...pairs] = row;
    const head = make("h4", { textContent: isPublic ? "Public member after this step" : "Context after this step" });
    const table = make("table");
    const body = make("tbody");
    table.append(body);
    const first = [];
    const rest = [];
    for (let n = 0; n < pairs.length; n += 2) {
      const path = text(pairs[n]);
      const change = changes.get(path);
      changes.delete(path);
      (change ? first : rest).push(this.row(path, text(pairs[n + 1]), change, text));
    }
    for (const [path, change] of changes) first.push(this.row(path, change[0] === "−" ? "" : text(change[3]), change, text));
    body.append(...first, ...rest);
    if (!first.length && !rest.length) return [head, make("p", { className: "muted", textContent: step.u ? "Not known." : "Nothing." })];
    const note = [];
    if (step.u) note.push("what it held before is not known");
    if (step.cm) note.push(`shown ${step.c.length} of ${step.cm} changes`);
    if (more) note.push(`shown the first ${pairs.length / 2} fields; there are more`);
    if (!first.length) note.push("this step changed no field");
    return [head, table, ...(note.length ? [make("p", { className: "muted", textContent: note.join("; ") })] : [])];
  }

  row(path, value, change, text) {
    const sign = change?.[0] ?? "";
    const row = make("tr", { className: sign ? `changed ${CHANGE_WORDS[sign]}` : "" });
    const mark = make("td", { className: "sign", textContent: sign });
    if (sign) mark.title = CHANGE_WORDS[sign];
    const cell = make("td", { className: "value" });
    if (sign === "−") cell.append(make("del", { textContent: text(change[2]) }));
    else cell.append(make("span", { textContent: value }));
    if (sign === "~") cell.append(make("span", { className: "was", textContent: `was ${text(change[2])}` }));
    row.append(mark, make("th", { textContent: path, scope: "row" }), cell);
    return row;
  }
}
