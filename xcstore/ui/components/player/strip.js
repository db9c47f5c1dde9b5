// The scrubber: a lane for each instance in the colours of its states, marks, times, and the cursor.

const MARKS = {
  odd: ["M6 1L11 11H1Z", "odd data"],
  divergence: ["M1 6L6 1L11 6L6 11Z", "differs from the definition"],
  snapshot: ["M2 2H10V10H2Z", "snapshot"],
  break: ["M6 1A5 5 0 1 1 5.99 1Z", "breakpoint"],
};

class Strip {
  constructor(onSeek) {
    this.onSeek = onSeek;
    this.names = make("div", { className: "lane-names" });
    this.marks = make("div", { className: "marks" });
    this.lanes = make("div", { className: "lanes" });
    this.gaps = make("div", { className: "gaps" });
    this.ticks = make("div", { className: "ticks" });
    this.cursor = make("div", { className: "cursor" });
    this.hover = make("div", { className: "hover", hidden: true });
    this.track = make("div", { className: "track", tabIndex: 0 }, this.marks, this.lanes, this.gaps, this.ticks, this.hover, this.cursor);
    this.track.setAttribute("role", "slider");
    this.track.setAttribute("aria-label", "Step");
    this.legend = make("ul", { className: "strip-legend" });
    this.root = make("div", { className: "strip" }, this.names, this.track);
    this.track.addEventListener("pointerdown", (event) => this.press(event));
    this.track.addEventListener("pointermove", (event) => this.move(event));
    this.track.addEventListener("pointerup", () => (this.dragging = false));
    this.track.addEventListener("pointercancel", () => (this.dragging = false));
    this.track.addEventListener("pointerleave", () => (this.hover.hidden = true));
    this.observer = new ResizeObserver(() => this.thin());
    this.observer.observe(this.track);
  }

  close() {
    this.observer.disconnect();
  }

  // Position p is the cell from p to p + 1: what is so after step p holds until step p + 1.
  share(position) {
    return (100 * position) / (this.total + 1);
  }

  load(data) {
    this.total = data.total;
    const { lanes, marks, ticks, gaps, owners } = data.strip;
    this.root.classList.toggle("single", lanes.length === 1);
    this.root.style.setProperty("--lanes", Math.max(lanes.length, 1));
    this.names.replaceChildren(
      ...lanes.map(([instance]) => {
        const [cast, letter, name] = data.instances[instance];
        const machine = data.casts[cast];
        const label = make(
          "div",
          { className: "lane-name", title: `${letter} · ${machine.name} · ${name}` },
          make("b", { textContent: lanes.length === 1 && data.instances.length === 1 ? "" : letter, className: `badge accent-${machine.accent % 8}` }),
          make("span", { textContent: machine.name }),
          make("i", { textContent: name }),
        );
        return label;
      }),
    );
    this.lanes.replaceChildren(
      ...lanes.map(([, bands], lane) => {
        const row = make("div", { className: "lane" });
        for (const [start, stop, state, kind] of bands) {
          const many = kind === "mixed";
          const band = make("div", { className: many ? "band mixed" : `band state-${kind}` });
          band.title = many ? "several states" : state;
          band.style.left = `${this.share(start)}%`;
          band.style.width = `${this.share(stop - start)}%`;
          band.append(make("span", { textContent: many ? "" : state }));
          row.append(band);
        }
        (owners ?? []).forEach((owner, n) => {
          if (owner !== lane) return;
          const dot = make("div", { className: "dot" });
          dot.style.left = `${this.share(n + 1)}%`;
          row.append(dot);
        });
        return row;
      }),
    );
    this.marks.replaceChildren(...marks.map((mark) => this.mark(mark)));
    this.gaps.replaceChildren(
      ...gaps.map(([position, text]) => {
        const gap = make("div", { className: "gap", title: `nothing for ${text}` }, make("span", { textContent: text }));
        gap.style.left = `${this.share(position)}%`;
        return gap;
      }),
    );
    this.ticks.replaceChildren(
      ...ticks.map(([position, text]) => {
        const tick = make("div", { className: "tick" }, make("span", { textContent: text }));
        tick.style.left = `${this.share(position)}%`;
        return tick;
      }),
    );
    this.drawLegend(marks, gaps);
    this.track.setAttribute("aria-valuemin", "0");
    this.track.setAttribute("aria-valuemax", String(this.total));
    this.thin();
  }

  drawLegend(marks, gaps) {
    const kinds = new Set(marks.map(([, kind]) => kind));
    const items = [...kinds].map((kind) => {
      const sign = icon(MARKS[kind][0]);
      sign.setAttribute("viewBox", "0 0 12 12");
      return make("li", { className: `mark-${kind}` }, sign, make("span", { textContent: MARKS[kind][1] }));
    });
    if (gaps.length) items.push(make("li", {}, make("span", { className: "gap-sign" }), make("span", { textContent: "long time without a step" })));
    this.legend.replaceChildren(...items);
  }

  mark([position, kind, count, text]) {
    const sign = icon(MARKS[kind][0]);
    sign.setAttribute("viewBox", "0 0 12 12");
    const [, word] = MARKS[kind];
    const title = `${count > 1 ? `${count} × ` : ""}${word}, step ${position}${text ? `\n${text}` : ""}`;
    const button = make("button", { type: "button", className: `mark mark-${kind}`, title, tabIndex: -1 }, sign);
    button.setAttribute("aria-label", title.replace(/\n/g, ": "));
    button.style.left = `${this.share(position + 0.5)}%`;
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      this.onSeek(position);
    });
    button.addEventListener("pointerdown", (event) => event.stopPropagation());
    return button;
  }

  // Words that would lie over one another are left out; what they say stays as a tooltip.
  thin() {
    for (const row of [this.ticks, this.gaps]) {
      let end = -Infinity;
      const wide = this.track.clientWidth;
      for (const item of row.children) {
        const words = item.firstChild;
        words.classList.remove("flip");
        const at = (parseFloat(item.style.left) / 100) * wide;
        const room = words.offsetWidth;
        const flip = row === this.ticks && at + room > wide;
        words.classList.toggle("flip", flip);
        const from = flip ? at - room : row === this.gaps ? at - room / 2 : at;
        const free = from > end + 8;
        words.style.visibility = free ? "visible" : "hidden";
        if (free) end = from + room;
      }
    }
    for (const span of this.lanes.querySelectorAll(".band span")) {
      span.hidden = span.parentElement.clientWidth < 34;
    }
  }

  show(position, words) {
    this.cursor.style.left = `${this.share(position)}%`;
    this.cursor.style.width = `max(${this.share(1)}%, 2px)`;
    this.track.setAttribute("aria-valuenow", String(position));
    this.track.setAttribute("aria-valuetext", words);
  }

  positionAt(event) {
    const box = this.track.getBoundingClientRect();
    return clampTo(Math.floor(((event.clientX - box.left) / box.width) * (this.total + 1)), 0, this.total);
  }

  press(event) {
    if (event.button !== 0) return;
    this.dragging = true;
    this.track.setPointerCapture(event.pointerId);
    this.onSeek(this.positionAt(event));
  }

  move(event) {
    const position = this.positionAt(event);
    this.hover.hidden = false;
    this.hover.style.left = `${this.share(position + 0.5)}%`;
    this.hover.textContent = this.describe?.(position) ?? `step ${position}`;
    if (this.dragging) this.onSeek(position);
  }
}

const clampTo = (value, low, high) => Math.min(Math.max(value, low), high);
