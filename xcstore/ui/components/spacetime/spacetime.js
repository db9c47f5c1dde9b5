// A space-time diagram on a canvas: lanes beside one another, time or causal order downwards.
// Only what is in view is drawn. Text comes from Python made visible and cut; here it is only ever text.
// Streamlit calls the default export again on every change of data or theme; what lasts is kept by host element.

const views = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let view = views.get(parentElement);
  if (!view) {
    view = new View(parentElement);
    views.set(parentElement, view);
  }
  view.tell = (what, value) => setTriggerValue("did", { stamp: view.data.stamp, what, value });
  view.update(data ?? {});
  return () => {
    view.close();
    views.delete(parentElement);
  };
}

const AXIS = 92; // room for times
const HEAD = 42; // room for names of lanes
const STRIP = 12; // the whole picture in small, at the right
const NARROW = 150; // a lane is not narrower than this while it can be read
const BROAD = 340;
const TAIL = 64; // right of the last lane, for labels
const INSET = 30; // where in its lane the line stands: labels need the room right of it
const LEGIBLE = 0.7;
const CROWD = 2500; // above so many marks in view, lanes show how much happened, not what
const KINDS = ["event", "created", "timer", "run"];
const LINE = 13; // least distance between two labels of one lane
const ASIDE = 8; // how far above or below its mark a label stands that arrows would strike out
const PNG_SIDE = 16000;
const PNG_AREA = 120e6;

const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function button(name, content, action, className = "") {
  const made = make("button", { type: "button", title: name, className }, content);
  made.setAttribute("aria-label", name);
  made.addEventListener("click", action);
  return made;
}

function compact(n) {
  if (n < 1000) return String(n);
  return n < 10000 ? `${(n / 1000).toFixed(1)}k` : `${Math.round(n / 1000)}k`;
}

const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

class View {
  constructor(parent) {
    this.parent = parent;
    this.tell = () => {};
    this.zoom = 1;
    this.left = 0;
    this.top = 0;
    this.touched = false; // has the reader moved the picture? Then it stays where it is
    this.focus = -1; // the mark that the keyboard is at
    this.hover = null; // {mark} or {arrow} under the pointer
    this.selected = -1;
    this.cut = new Map(); // text cut to a width
    this.widths = new Map();
    this.stats = { draws: 0, last: 0, worst: 0, ready: 0 };
    this.build();
  }

  build() {
    this.paper = make("canvas", { className: "paper" });
    this.paper.setAttribute("aria-hidden", "true"); // the live line and the table beside it say the same
    this.box = make("div", { className: "view", tabIndex: 0 }, this.paper);
    this.box.setAttribute("role", "application");
    this.box.setAttribute("aria-roledescription", "space-time diagram");
    this.corner = make("div", { className: "corner" });
    this.heads = make("div", { className: "heads" });
    this.top_ = make("div", { className: "top" }, this.corner, this.heads);
    this.live = make("div", { className: "live" });
    this.live.setAttribute("aria-live", "polite");
    this.help = make("div", { className: "live", id: "spacetime-help", textContent: HELP });
    this.box.setAttribute("aria-describedby", this.help.id);
    this.tip = make("div", { className: "tip", hidden: true });
    this.tip.setAttribute("aria-hidden", "true");
    this.legend = make("ul", { className: "legend" });
    this.notice = make("div", { className: "said", hidden: true });
    this.notice.setAttribute("role", "status");
    const frame = make("div", { className: "frame" }, this.box, this.top_, this.notice);
    const foot = make("div", { className: "foot" }, this.legend, this.makeTools());
    this.root = make("div", { className: "canvas spacetime" }, frame, foot, this.tip, this.live, this.help);
    this.root.spacetime = this; // for tests and for measuring
    (this.parent.querySelector(".root") ?? this.parent).append(this.root);

    const on = (name, action, options) => this.box.addEventListener(name, action, options);
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", () => this.drop());
    on("pointercancel", () => this.drop());
    on("pointerleave", () => this.setHover(null));
    on("click", (event) => this.click(event));
    on("keydown", (event) => this.key(event));
    on("focus", () => this.focused());
    on("blur", () => this.schedule());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
  }

  makeTools() {
    const tools = make("div", { className: "tools" });
    tools.setAttribute("role", "toolbar");
    tools.setAttribute("aria-label", "Picture");
    this.showAll = button("Show all lanes", "", () => this.tell("hide", []), "words");
    this.fold = button("Fold the opened runs again", "Fold again", () => this.act("fold", null), "words");
    tools.append(
      this.showAll,
      this.fold,
      button("Zoom in (+, Ctrl and wheel)", icon("M3 8h10M8 3v10"), () => this.zoomCentre(1.4)),
      button("Zoom out (−)", icon("M3 8h10"), () => this.zoomCentre(1 / 1.4)),
      button("Fit to view (0)", icon("M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"), () => this.fit()),
      make("span", { className: "gap" }),
      button("Download PNG", "PNG", () => this.savePng()),
    );
    return tools;
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    this.root.remove();
  }

  // --- data -------------------------------------------------------------------------------------------------

  update(data) {
    this.began = performance.now();
    this.root.dataset.mode = "light";
    this.root.dataset.mode = isDark(this.root) ? "dark" : "light";
    this.box.setAttribute("aria-label", data.label ?? "space-time diagram");
    this.name = data.name || "space-time";
    this.limit = data.max_height ?? 680;
    this.inks = null;
    const anchor = this.anchor();
    const other = data.version !== this.data?.version;
    this.data = data;
    this.selected = data.selected ?? -1;
    if (other) {
      this.load();
      this.arrange();
      this.restore(anchor);
    }
    this.drawLegend();
    this.schedule();
  }

  load() {
    const { marks, arrows, texts, lanes } = this.data;
    this.texts = texts ?? [];
    this.lanes = lanes ?? [];
    this.lane = Int32Array.from(marks.lane);
    this.y = Int32Array.from(marks.y);
    this.kind = Uint8Array.from(marks.kind);
    this.size = this.y.length;
    this.from = Int32Array.from(arrows.source);
    this.to = Int32Array.from(arrows.target);
    this.arrowKind = Uint8Array.from(arrows.kind);
    this.looks = this.data.looks; // [kind, name of its colour, its dashes]
    this.column = this.lanes.map(() => []); // marks of each lane, from the top
    const order = [...this.y.keys()].sort((a, b) => this.y[a] - this.y[b] || a - b);
    this.sorted = Int32Array.from(order);
    for (const mark of order) this.column[this.lane[mark]].push(mark);
    this.rank = new Int32Array(this.size); // place of a mark in its column
    for (const column of this.column) column.forEach((mark, at) => (this.rank[mark] = at));
    this.causes = Array.from({ length: this.size }, () => []);
    this.effects = Array.from({ length: this.size }, () => []);
    for (let arrow = 0; arrow < this.to.length; arrow++) {
      this.causes[this.to[arrow]].push(arrow);
      if (this.from[arrow] >= 0) this.effects[this.from[arrow]].push(arrow);
    }
    this.lives = this.findLives();
    this.shift = Float32Array.from(arrows.shift);
    this.bow = Uint8Array.from(arrows.bow);
    this.hover = null;
    this.focus = -1;
    this.stripImage = null;
    this.ticks = null;
    this.root.classList.toggle("empty", !this.size);
  }

  // From where to where each instance acts, as [lane, top, bottom].
  findLives() {
    const found = new Map();
    this.data.marks.instance.forEach((instance, mark) => {
      const key = `${this.lane[mark]} ${instance}`;
      const life = found.get(key);
      if (!life) found.set(key, [this.lane[mark], this.y[mark], this.y[mark]]);
      else {
        life[1] = Math.min(life[1], this.y[mark]);
        life[2] = Math.max(life[2], this.y[mark]);
      }
    });
    return [...found.values()].filter(([, top, bottom]) => bottom > top);
  }

  // What the reader looks at now, to find it again in the next picture.
  anchor() {
    if (!this.size) return null;
    const middle = this.acted ?? (this.focus >= 0 && this.visible(this.focus) ? this.focus : this.nearestToMiddle());
    this.acted = null;
    if (middle < 0) return null;
    return { key: this.keyOf(middle), y: this.Y(this.y[middle]), focused: this.focus >= 0 ? this.keyOf(this.focus) : null };
  }

  keyOf(mark) {
    const lines = this.data.marks.lines[mark].map((line) => this.texts[line]);
    // A run and its first event begin at the same moment of the same instance.
    return `${lines.find((line) => line.startsWith("instance "))} ${this.texts[this.data.marks.at[mark]]}`;
  }

  nearestToMiddle() {
    const y = (this.top + this.tall / 2) / this.zoom;
    let best = -1;
    for (let mark = 0; mark < this.size; mark++) {
      if (best < 0 || Math.abs(this.y[mark] - y) < Math.abs(this.y[best] - y)) best = mark;
    }
    return best;
  }

  restore(anchor) {
    if (!this.wide) return; // not laid out yet: `resized` does it
    const find = (key) => (key ? this.data.marks.at.findIndex((_, mark) => this.keyOf(mark) === key) : -1);
    const again = anchor && this.touched ? find(anchor.key) : -1;
    if (anchor?.focused) this.focus = find(anchor.focused);
    if (again >= 0) {
      this.top = this.y[again] * this.zoom - anchor.y;
      this.keepInside();
    } else this.begin();
  }

  // --- where things are -------------------------------------------------------------------------------------

  arrange() {
    const foot = this.root.querySelector(".foot").offsetHeight + 2;
    const needed = (this.data.height ?? 0) + HEAD + foot;
    this.root.style.height = `${clamp(needed, 180, this.limit)}px`;
    this.wide = this.box.clientWidth;
    this.tall = this.box.clientHeight - HEAD;
  }

  get room() {
    return Math.max(this.wide - AXIS - STRIP, 50);
  }

  // The width of a lane where all of them fill the room; right of the last one its labels go on.
  spread() {
    return Math.max(this.room - TAIL, 50) / Math.max(this.lanes.length, 1);
  }

  natural() {
    return clamp(this.spread(), NARROW, BROAD);
  }

  laneWidth(zoom = this.zoom) {
    const natural = this.natural();
    return Math.max(Math.min(natural * zoom, natural), Math.min(natural, this.spread()));
  }

  X(lane) {
    const wide = this.laneWidth();
    return AXIS + lane * wide + Math.min(INSET, wide / 2) - this.left;
  }

  Y(y) {
    return HEAD + y * this.zoom - this.top;
  }

  visible(mark) {
    const x = this.X(this.lane[mark]);
    const y = this.Y(this.y[mark]);
    return x > AXIS && x < this.wide - STRIP && y > HEAD && y < HEAD + this.tall;
  }

  whole() {
    return clamp(this.tall / Math.max(this.data.height, 1), 0.0005, 1.25);
  }

  // At first never so small that nothing can be read: rather the event asked for, and room to drag.
  begin() {
    this.touched = false;
    this.zoom = clamp(this.whole(), LEGIBLE, 1);
    this.left = this.top = 0;
    const mark = this.selected >= 0 ? this.selected : this.data.root;
    if (mark >= 0 && !this.visible(mark)) {
      this.top = this.y[mark] * this.zoom - this.tall / 2;
      this.left = (this.lane[mark] + 0.5) * this.laneWidth() - this.room / 2;
    }
    this.keepInside();
  }

  keepInside() {
    this.left = clamp(this.left, 0, this.lanes.length * this.laneWidth() + TAIL - this.room);
    this.top = clamp(this.top, 0, this.data.height * this.zoom - this.tall);
    this.schedule();
  }

  fit() {
    this.glide({ zoom: Math.min(this.whole(), 1), left: 0, top: 0 });
    this.touched = false;
  }

  zoomAt(factor, x, y) {
    const zoom = clamp(this.zoom * factor, Math.min(this.whole(), 0.5), 6);
    const wide = this.laneWidth();
    const next = this.laneWidth(zoom);
    this.left = ((x - AXIS + this.left) / wide) * next - (x - AXIS);
    this.top = ((y - HEAD + this.top) / this.zoom) * zoom - (y - HEAD);
    this.zoom = zoom;
    this.ticks = null;
    this.touched = true;
    this.keepInside();
  }

  zoomCentre(factor) {
    const mark = this.focus >= 0 && this.visible(this.focus) ? this.focus : -1;
    const x = mark >= 0 ? this.X(this.lane[mark]) : AXIS + this.room / 2;
    this.zoomAt(factor, x, mark >= 0 ? this.Y(this.y[mark]) : HEAD + this.tall / 2);
  }

  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.touched = true;
    this.keepInside();
  }

  glide(target) {
    cancelAnimationFrame(this.gliding);
    const end = { zoom: this.zoom, left: this.left, top: this.top, ...target };
    const start = { zoom: this.zoom, left: this.left, top: this.top };
    const began = performance.now();
    const step = (now) => {
      const part = still() ? 1 : clamp((now - began) / 150, 0, 1);
      const eased = 1 - (1 - part) ** 3;
      for (const name of ["zoom", "left", "top"]) this[name] = start[name] + (end[name] - start[name]) * eased;
      this.ticks = null;
      this.keepInside();
      if (part < 1) this.gliding = requestAnimationFrame(step);
    };
    step(began);
  }

  bringIntoView(mark) {
    const margin = 40;
    const x = this.X(this.lane[mark]);
    const y = this.Y(this.y[mark]);
    const wide = this.laneWidth();
    let { left, top } = this;
    if (y < HEAD + margin || y > HEAD + this.tall - margin) top += y - HEAD - this.tall / 2;
    if (x < AXIS + 8) left -= AXIS + INSET - x;
    else if (x + Math.min(wide - INSET, 120) > this.wide - STRIP) left += x + wide - this.wide + STRIP;
    if (left !== this.left || top !== this.top) this.glide({ left, top });
  }

  resized() {
    const wide = this.box.clientWidth;
    const tall = this.box.clientHeight - HEAD;
    if (!this.data || !wide || (wide === this.wide && tall === this.tall)) return;
    const first = !this.wide || !this.touched;
    this.arrange();
    this.stripImage = null;
    if (first) this.begin();
    else this.keepInside();
  }

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  // --- drawing ----------------------------------------------------------------------------------------------

  readInks() {
    const probe = make("i", { className: "probe" });
    this.root.append(probe);
    const ink = (value) => {
      probe.style.color = value;
      return getComputedStyle(probe).color;
    };
    const names = "ink paper muted rule soft focus blue green vermilion amber purple slate cyan indigo olive".split(" ");
    this.inks = Object.fromEntries(names.map((name) => [name, ink(`var(--${name})`)]));
    this.inks.line = ink("color-mix(in srgb, var(--ink) 24%, var(--paper))");
    this.inks.accents = Array.from({ length: 8 }, (_, number) => {
      probe.className = `probe accent-${number}`;
      return ink("var(--accent)");
    });
    this.font = getComputedStyle(this.root).fontFamily || "sans-serif";
    probe.remove();
  }

  paint() {
    if (!this.data || !this.wide) return;
    const began = performance.now();
    if (!this.inks) this.readInks();
    const ratio = window.devicePixelRatio || 1;
    const tall = this.tall + HEAD;
    if (this.paper.width !== Math.round(this.wide * ratio) || this.paper.height !== Math.round(tall * ratio)) {
      this.paper.width = Math.round(this.wide * ratio);
      this.paper.height = Math.round(tall * ratio);
    }
    const pen = this.paper.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw(pen, this.wide, tall);
    this.drawStrip(pen, tall);
    this.placeHeads();
    const took = performance.now() - began;
    const stats = this.stats;
    stats.draws += 1;
    stats.last = took;
    stats.worst = Math.max(stats.worst, took);
    if (this.began) {
      stats.ready = performance.now() - this.began;
      this.began = 0;
      this.root.dataset.ready = this.data.stamp;
    }
  }

  // Everything but the strip, into any canvas: the page's, or that of a file.
  draw(pen, wide, tall) {
    const { inks } = this;
    pen.clearRect(0, 0, wide, tall);
    pen.fillStyle = inks.paper;
    pen.fillRect(0, 0, wide, tall);
    const lane = this.laneWidth();
    const seen = {
      top: HEAD - 12,
      bottom: tall + 12,
      first: clamp(Math.floor(this.left / lane) - 1, 0, this.lanes.length - 1),
      last: clamp(Math.ceil((this.left + wide - AXIS) / lane) + 1, 0, this.lanes.length - 1),
    };
    this.shown = [];
    for (let at = this.firstBelow(seen.top); at < this.size; at++) {
      const mark = this.sorted[at];
      if (this.Y(this.y[mark]) > seen.bottom) break;
      if (this.lane[mark] >= seen.first && this.lane[mark] <= seen.last) this.shown.push(mark);
    }
    this.crowded = this.shown.length > CROWD || (this.shown.length > 200 && this.zoom < 0.16);
    pen.save();
    pen.beginPath();
    pen.rect(AXIS, HEAD, wide - AXIS, tall - HEAD);
    pen.clip();
    this.drawLanes(pen, seen, tall);
    this.drawBreaks(pen, wide);
    this.drawLives(pen, seen);
    this.drawArrows(pen, seen);
    if (this.crowded) this.drawBands(pen, lane);
    else this.drawMarks(pen);
    this.drawActive(pen);
    if (!this.crowded) this.drawLabels(pen, lane);
    pen.restore();
    this.drawAxis(pen, tall);
  }

  firstBelow(edge) {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.Y(this.y[this.sorted[middle]]) < edge) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  accent(lane) {
    const number = this.lanes[lane][3];
    return number === null ? this.inks.slate : this.inks.accents[number];
  }

  drawLanes(pen, seen, tall) {
    const lane = this.laneWidth();
    pen.lineWidth = 1;
    if (lane < 4) return; // so close, they would only be grey
    pen.strokeStyle = this.inks.rule;
    pen.beginPath();
    for (let number = seen.first; number <= seen.last; number++) {
      const x = Math.round(this.X(number)) + 0.5;
      pen.moveTo(x, HEAD);
      pen.lineTo(x, tall);
    }
    pen.stroke();
  }

  drawBreaks(pen, wide) {
    const { inks } = this;
    let last = -Infinity;
    for (const [top, bottom, label] of this.data.breaks) {
      const y = this.Y(top);
      const height = (bottom - top) * this.zoom;
      if (y + height < HEAD || y > HEAD + this.tall + 20) continue;
      if (height < 3 && y - last < 3) continue;
      last = y;
      pen.fillStyle = inks.paper;
      pen.fillRect(AXIS, y + height * 0.12, wide, height * 0.76);
      pen.fillStyle = inks.soft;
      pen.fillRect(AXIS, y + height * 0.12, wide, height * 0.76);
      if (height < 14) continue;
      pen.strokeStyle = inks.line;
      pen.lineWidth = 1;
      pen.beginPath();
      for (const edge of [0.12, 0.88]) {
        const at = Math.round(y + height * edge) + 0.5;
        pen.moveTo(AXIS, at - 2);
        for (let x = AXIS + 6; x <= wide; x += 6) pen.lineTo(x, at + (((x - AXIS) / 6) % 2 ? 2 : -2));
      }
      pen.stroke();
      pen.font = `500 11px ${this.font}`;
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillStyle = inks.muted;
      pen.fillText(label, AXIS + INSET + 14, y + height / 2 + 0.5);
    }
  }

  // A thicker line for as long as an instance acts.
  drawLives(pen, seen) {
    const lane = this.laneWidth();
    if (lane < 6) return;
    pen.lineWidth = 3;
    pen.globalAlpha = 0.28;
    for (const [number, top, bottom] of this.lives) {
      if (number < seen.first || number > seen.last) continue;
      const y1 = Math.max(this.Y(top), seen.top);
      const y2 = Math.min(this.Y(bottom), seen.bottom);
      if (y2 <= y1) continue;
      pen.strokeStyle = this.accent(number);
      pen.beginPath();
      pen.moveTo(this.X(number), y1);
      pen.lineTo(this.X(number), y2);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  arrowEnds(arrow) {
    const to = this.to[arrow];
    const from = this.from[arrow];
    const x2 = this.X(this.lane[to]);
    const y2 = this.Y(this.y[to]);
    const shift = this.shift[arrow];
    if (from < 0) return [x2 - 17, y2 - 12 + 2 * shift, x2, y2];
    const x1 = this.X(this.lane[from]);
    const y1 = this.Y(this.y[from]);
    if (!shift) return [x1, y1, x2, y2];
    const far = Math.hypot(x2 - x1, y2 - y1) || 1;
    const dx = (-(y2 - y1) / far) * shift;
    const dy = ((x2 - x1) / far) * shift;
    return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
  }

  hueOf(arrow) {
    return this.inks[this.looks[this.arrowKind[arrow]][1]];
  }

  dashOf(arrow) {
    return this.looks[this.arrowKind[arrow]][2];
  }

  // Straight between lanes; in one lane straight to the next mark, else round what lies between, on the left.
  trace(pen, arrow, heads) {
    const [x1, y1, x2, y2] = this.arrowEnds(arrow);
    const from = this.from[arrow];
    const to = this.to[arrow];
    const near = this.radius(to) + 2;
    if (from >= 0 && this.lane[from] === this.lane[to]) {
      if (from === to) {
        pen.moveTo(x1 - 3, y1 - near + 1);
        pen.bezierCurveTo(x1 - 20, y1 - 16, x1 - 22, y1 + 14, x1 - 4, y1 + near - 1);
        heads?.push([x1 - 4, y1 + near - 1, -0.6]);
        return;
      }
      const beside = Math.abs(this.rank[from] - this.rank[to]) === 1;
      const down = Math.sign(y2 - y1) || 1;
      if (beside) {
        pen.moveTo(x1, y1 + this.radius(from) * down);
        pen.lineTo(x2, y2 - near * down);
        heads?.push([x2, y2 - near * down, (Math.PI / 2) * down]);
        return;
      }
      const bend = Math.min(8 + Math.abs(y2 - y1) * 0.06, Math.min(INSET, this.laneWidth() / 2) - 5);
      pen.moveTo(x1 - 3, y1 + 3 * down);
      pen.bezierCurveTo(x1 - bend * 1.3, y1 + 14 * down, x2 - bend * 1.3, y2 - 14 * down, x2 - near * 0.75, y2 - near * 0.6 * down);
      heads?.push([x2 - near * 0.75, y2 - near * 0.6 * down, Math.atan2(9 * down, bend * 0.8)]);
      return;
    }
    const bow = this.bow[arrow];
    if (bow) {
      const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2 + 2 * bow];
      const end = Math.atan2(y2 - y, x2 - x);
      const tip = [x2 - Math.cos(end) * near, y2 - Math.sin(end) * near];
      pen.moveTo(x1, y1);
      pen.quadraticCurveTo(x, y, ...tip);
      heads?.push([...tip, end]);
      return;
    }
    const angle = Math.atan2(y2 - y1, x2 - x1);
    const away = from < 0 ? 4 : this.radius(from);
    pen.moveTo(x1 + Math.cos(angle) * away, y1 + Math.sin(angle) * away);
    const x = x2 - Math.cos(angle) * near;
    const y = y2 - Math.sin(angle) * near;
    pen.lineTo(x, y);
    heads?.push([x, y, angle]);
  }

  arrowVisible(arrow, seen) {
    const to = this.to[arrow];
    const from = this.from[arrow] < 0 ? to : this.from[arrow];
    const low = Math.min(this.lane[from], this.lane[to]);
    if (low > seen.last || Math.max(this.lane[from], this.lane[to]) < seen.first) return false;
    const y1 = this.Y(this.y[from]);
    const y2 = this.Y(this.y[to]);
    return Math.max(y1, y2) >= seen.top && Math.min(y1, y2) <= seen.bottom;
  }

  drawArrows(pen, seen) {
    const groups = this.looks.map(() => []);
    const drawn = new Set();
    let total = 0;
    for (let arrow = 0; arrow < this.to.length; arrow++) {
      if (!this.arrowVisible(arrow, seen)) continue;
      total += 1;
      if (this.crowded) {
        const [x1, y1, x2, y2] = this.arrowEnds(arrow);
        if (Math.abs(x1 - x2) < 2) continue;
        // Arrows that would cover one another are drawn once.
        const key = (((x1 >> 1) * 8191 + (y1 >> 1)) * 8191 + (x2 >> 1)) * 8191 + (y2 >> 1);
        if (drawn.has(key)) continue;
        drawn.add(key);
      }
      groups[this.arrowKind[arrow]].push(arrow);
    }
    this.arrowsShown = groups;
    const some = groups.reduce((sum, arrows) => sum + arrows.length, 0);
    const plain = this.crowded || some > 1500;
    groups.forEach((arrows, kind) => {
      if (!arrows.length) return;
      const [name, hue, dash] = this.looks[kind];
      const weak = name === "followed";
      const heads = plain ? null : [];
      pen.strokeStyle = pen.fillStyle = this.inks[hue];
      pen.globalAlpha = plain ? clamp(300 / some, 0.05, 0.5) : weak ? 0.6 : 0.85;
      pen.lineWidth = plain ? 1 : 1.25;
      pen.setLineDash(plain ? [] : dash);
      pen.beginPath();
      if (plain) {
        for (const arrow of arrows) {
          const [x1, y1, x2, y2] = this.arrowEnds(arrow);
          pen.moveTo(x1, y1);
          pen.lineTo(x2, y2);
        }
      } else for (const arrow of arrows) this.trace(pen, arrow, heads);
      pen.stroke();
      pen.setLineDash([]);
      if (heads) fillHeads(pen, heads);
    });
    pen.globalAlpha = 1;
    if (plain) return;
    for (const arrows of groups) for (const arrow of arrows) if (this.from[arrow] < 0) this.drawGhost(pen, arrow);
    this.total = total;
  }

  drawGhost(pen, arrow) {
    const [x, y] = this.arrowEnds(arrow);
    pen.fillStyle = this.inks.paper;
    pen.strokeStyle = this.hueOf(arrow);
    pen.lineWidth = 1.2;
    pen.setLineDash([2, 2]);
    pen.beginPath();
    pen.arc(x, y, 4, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.setLineDash([]);
  }

  radius(mark) {
    if (this.kind[mark] === 3) return this.zoom < 0.5 ? 5 : 8;
    return clamp(5.2 * Math.sqrt(this.zoom), 2, 5.2);
  }

  drawMarks(pen) {
    for (const mark of this.shown) {
      const hue = this.accent(this.lane[mark]);
      drawMark(pen, KINDS[this.kind[mark]], this.X(this.lane[mark]), this.Y(this.y[mark]), this.radius(mark), hue, this.inks.paper);
      if (this.kind[mark] === 3 && this.zoom >= 0.5) this.drawCount(pen, mark);
    }
  }

  drawCount(pen, mark) {
    pen.font = `600 10px ${this.font}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = this.inks.ink;
    pen.fillText(`×${compact(this.data.marks.count[mark])}`, this.X(this.lane[mark]), this.Y(this.y[mark]) + 0.5);
  }

  // Too many to tell apart: how much happened in each lane, by depth of colour.
  drawBands(pen, lane) {
    const bins = new Map();
    for (const mark of this.shown) {
      const key = this.lane[mark] * 4096 + ((this.Y(this.y[mark]) / 2) | 0);
      bins.set(key, (bins.get(key) ?? 0) + this.data.marks.count[mark]);
    }
    const most = Math.log2(1 + Math.max(1, ...bins.values()));
    const wide = clamp(lane * 0.36, 1, 2 * INSET - 12);
    for (const [key, events] of bins) {
      const number = Math.floor(key / 4096);
      pen.globalAlpha = 0.3 + 0.7 * (Math.log2(1 + events) / most);
      pen.fillStyle = this.accent(number);
      pen.fillRect(this.X(number) - wide / 2, (key % 4096) * 2, wide, 2);
    }
    pen.globalAlpha = 1;
  }

  active() {
    const typing = this.parent.activeElement === this.box || this.box.matches(":focus");
    if (this.hover?.mark >= 0) return this.hover.mark;
    return typing && this.focus >= 0 ? this.focus : this.selected;
  }

  drawActive(pen) {
    const mark = this.active();
    const arrows = this.hover?.arrow >= 0 ? [this.hover.arrow] : mark >= 0 ? [...this.causes[mark], ...this.effects[mark]] : [];
    for (const arrow of arrows.slice(0, 400)) {
      const heads = [];
      pen.strokeStyle = pen.fillStyle = this.inks.focus;
      pen.lineWidth = 2;
      pen.setLineDash(this.dashOf(arrow));
      pen.beginPath();
      this.trace(pen, arrow, heads);
      pen.stroke();
      pen.setLineDash([]);
      fillHeads(pen, heads);
    }
    const ring = (number, colour, more, width) => {
      if (number < 0) return;
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      const radius = this.radius(number) + more;
      const wide = this.kind[number] === 3 ? radius + 5 : radius;
      pen.ellipse(this.X(this.lane[number]), this.Y(this.y[number]), wide, radius, 0, 0, 2 * Math.PI);
      pen.stroke();
    };
    ring(this.data.root, this.inks.ink, 3.5, 1.5);
    if (this.selected !== this.data.root) ring(this.selected, this.inks.focus, 3.5, 2);
    if (this.box.matches(":focus")) ring(this.focus, this.inks.focus, 6, 2.5);
    if (this.hover?.mark >= 0) ring(this.hover.mark, this.inks.focus, 3.5, 1.5);
  }

  // Labels stand right of their marks, a little higher or lower where arrows would strike them out. In the way of
  // others they are left out; where the next lanes are free they may run on into them.
  drawLabels(pen, lane) {
    const room = lane - Math.min(INSET, lane / 2) - 16;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    this.labels = [];
    if (room >= 44) {
      const marks = this.lanes.map(() => []); // heights of what is in each lane, to find out whether it is free
      const texts = this.lanes.map(() => []);
      for (const mark of this.shown) marks[this.lane[mark]].push(this.Y(this.y[mark]));
      const important = new Set([this.data.root, this.selected, this.box.matches(":focus") ? this.focus : -1]);
      for (const mark of this.shown) {
        const number = this.lane[mark];
        const y = this.Y(this.y[mark]);
        const last = texts[number].at(-1) ?? -99;
        const places = this.asides(mark).map((aside) => y + aside);
        const place = places.find((at) => at - last >= LINE) ?? (important.has(mark) ? y : null);
        if (place === null) continue;
        texts[number].push(place);
        this.labels.push({ mark, y: place });
      }
      for (const label of this.labels) {
        const number = this.lane[label.mark];
        label.left = this.X(number) + (this.kind[label.mark] === 3 ? 18 : 11);
        let next = number + 1;
        while (next < this.lanes.length && free(marks[next], label.y, 9) && free(texts[next], label.y, LINE)) next += 1;
        const end = next < this.lanes.length ? this.X(next) - 14 : this.wide - STRIP - 4;
        this.drawLabel(pen, label, room, Math.max(end - label.left, room));
      }
    }
    if (this.zoom < 0.6 || lane < 60) return;
    pen.font = `500 10.5px ${this.font}`;
    for (const arrows of this.arrowsShown) {
      for (const arrow of arrows) {
        const via = this.data.arrows.via[arrow];
        if (!via) continue;
        const [x1, y1, x2, y2] = this.arrowEnds(arrow);
        const same = this.from[arrow] >= 0 && this.lane[this.from[arrow]] === this.lane[this.to[arrow]];
        pen.textAlign = same ? "left" : "center";
        const x = same ? this.X(this.lane[this.to[arrow]]) + 11 : (x1 + x2) / 2;
        this.halo(pen, this.data.via[via], x, (y1 + y2) / 2 + this.bow[arrow], this.hueOf(arrow));
      }
    }
  }

  // Where a label may stand, best first, in px from its mark.
  asides(mark) {
    return [this.data.marks.aside[mark] * ASIDE, ASIDE];
  }

  // Its name may run on as far as `most`; the states stay within its lane.
  drawLabel(pen, label, room, most) {
    const { mark, left: x, y } = label;
    const bold = mark === this.data.root;
    const font = bold ? "b" : "n";
    pen.font = `${bold ? 650 : 500} 12px ${this.font}`;
    const whole = this.texts[this.data.marks.label[mark]];
    // A creation is told from the rest by its mark; a name that says no more gives way to a shorter one.
    const short = KINDS[this.kind[mark]] === "created" && this.width(pen, whole, font) > most;
    const name = this.fitted(pen, short ? "created" : whole, most, font);
    label.right = x + this.width(pen, name, font);
    const after = label.right + 8;
    if (x + room - after >= 50) {
      pen.font = `400 11px ${this.font}`;
      const states = this.fitted(pen, this.texts[this.data.marks.states[mark]], x + room - after, "s");
      label.right = after + this.width(pen, states, "s");
      // Nothing of an arrow is left between the two words.
      pen.fillStyle = this.inks.paper;
      pen.fillRect(x - 2, y - 7, label.right - x + 4, 14);
      this.halo(pen, states, after, y + 0.5, this.inks.muted);
      pen.font = `${bold ? 650 : 500} 12px ${this.font}`;
    }
    this.halo(pen, name, x, y, this.inks.ink);
  }

  halo(pen, text, x, y, colour) {
    pen.strokeStyle = this.inks.paper;
    pen.lineWidth = 5;
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  width(pen, text, font) {
    const key = font + text;
    let found = this.widths.get(key);
    if (found === undefined) {
      if (this.widths.size > 20000) this.widths.clear();
      found = pen.measureText(text).width;
      this.widths.set(key, found);
    }
    return found;
  }

  fitted(pen, text, room, font) {
    const key = `${font}${Math.round(room)} ${text}`;
    let found = this.cut.get(key);
    if (found === undefined) {
      if (this.cut.size > 20000) this.cut.clear();
      found = text;
      if (this.width(pen, text, font) > room) {
        let low = 0;
        let high = text.length;
        while (low < high) {
          const middle = (low + high + 1) >> 1;
          if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
          else high = middle - 1;
        }
        found = `${text.slice(0, low).trimEnd()}…`;
      }
      this.cut.set(key, found);
    }
    return found;
  }

  // Which marks name their time: from the top, as many as there is room for; the same while one scrolls.
  findTicks() {
    const ticks = [];
    let last = -Infinity;
    let day = "";
    for (const mark of this.sorted) {
      const y = this.y[mark] * this.zoom;
      const text = this.data.order === "causal" ? `step ${this.data.steps[mark]}` : this.texts[this.data.marks.at[mark]];
      const dated = /^-?\d+-\d\d-\d\d \d\d:/.test(text);
      const today = dated ? text.split(" ")[0] : "";
      const fresh = today !== day && dated;
      if (y - last < (fresh ? 44 : 30)) continue;
      // The day stands above the time; at the very top there is no room, so both stand lower.
      const below = fresh && y < 20;
      const down = Math.max(0, 8 - y); // what stands at the very edge is written a little lower
      ticks.push({ y: this.y[mark], text: dated ? text.split(" ")[1] : text, day: fresh ? today : "", below, down });
      last = (below ? y + 14 : y) + down;
      day = today;
    }
    const minute = (tick) => tick?.text.slice(0, 5);
    ticks.forEach((tick, at) => {
      const near = minute(ticks[at - 1]) === minute(tick) || minute(ticks[at + 1]) === minute(tick);
      tick.shown = near || ticks.length < 3 ? tick.text : tick.text.replace(/\.\d{3}$/, "");
    });
    return ticks;
  }

  drawAxis(pen, tall) {
    const { inks } = this;
    this.ticks ??= this.findTicks();
    pen.fillStyle = inks.rule;
    pen.fillRect(AXIS - 1, HEAD, 1, tall - HEAD);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.save();
    pen.beginPath();
    pen.rect(0, HEAD, AXIS, tall - HEAD);
    pen.clip();
    for (const tick of this.ticks) {
      const y = this.Y(tick.y);
      if (y < HEAD - 20) continue;
      if (y > tall + 20) break;
      pen.fillStyle = inks.rule;
      pen.fillRect(AXIS - 5, Math.round(y), 5, 1);
      pen.font = `400 11px ${this.font}`;
      pen.fillStyle = inks.muted;
      pen.fillText(tick.shown.length > 16 ? `${tick.shown.slice(0, 15)}…` : tick.shown, AXIS - 9, y + tick.down + (tick.below ? 13.5 : 0.5));
      if (tick.day) {
        pen.font = `600 11px ${this.font}`;
        pen.fillStyle = inks.ink;
        pen.fillText(tick.day, AXIS - 9, y + tick.down - (tick.below ? 0 : 12.5));
      }
    }
    pen.restore();
  }

  // The whole picture in small, and what part of it is in view.
  drawStrip(pen, tall) {
    const left = this.wide - STRIP;
    const high = tall - HEAD;
    pen.fillStyle = this.inks.paper;
    pen.fillRect(left, HEAD, STRIP, high);
    this.scrolls = this.data.height * this.zoom > this.tall + 2;
    if (!this.scrolls) return;
    pen.fillStyle = this.inks.soft;
    pen.fillRect(left, HEAD, STRIP, high);
    this.stripImage ??= this.countStrip(high);
    for (const [y, alpha] of this.stripImage) {
      pen.globalAlpha = alpha;
      pen.fillStyle = this.inks.slate;
      pen.fillRect(left + 3, HEAD + y, STRIP - 6, 2);
    }
    pen.globalAlpha = 1;
    const scale = high / (this.data.height * this.zoom);
    pen.strokeStyle = this.inks.focus;
    pen.lineWidth = 1.5;
    const size = Math.max(this.tall * scale, 10);
    pen.strokeRect(left + 1.5, HEAD + clamp(this.top * scale, 1, high - size - 1), STRIP - 3, size);
  }

  countStrip(high) {
    const bins = new Map();
    for (let mark = 0; mark < this.size; mark++) {
      const y = Math.floor(((this.y[mark] / this.data.height) * high) / 2) * 2;
      bins.set(y, (bins.get(y) ?? 0) + 1);
    }
    const most = Math.log2(1 + Math.max(1, ...bins.values()));
    return [...bins].map(([y, events]) => [y, 0.25 + 0.6 * (Math.log2(1 + events) / most)]);
  }

  // --- lanes' names, legend ---------------------------------------------------------------------------------

  placeHeads() {
    const wide = this.laneWidth();
    const key = [this.left, wide, this.wide, this.data.stamp, this.root.dataset.mode].join(" ");
    if (key === this.headKey) return;
    this.headKey = key;
    const zone = this.data.order === "causal" ? "Causal order" : `Time (${this.data.zone})`;
    if (this.corner.textContent !== zone) this.corner.textContent = zone;
    this.corner.title =
      this.data.order === "causal"
        ? "Every event stands below its causes; distances say nothing about time"
        : "Longer gaps take more room, but not to scale; idle time is cut";
    const kept = new Map([...this.heads.children].map((head) => [head.dataset.lane, head]));
    const first = Math.max(0, Math.floor(this.left / wide));
    const last = Math.min(this.lanes.length - 1, Math.floor((this.left + this.room) / wide));
    if (wide >= 38) {
      for (let number = first; number <= last; number++) {
        const name = `${this.data.stamp} ${number}`;
        let head = kept.get(name);
        kept.delete(name);
        if (!head) {
          head = this.makeHead(number);
          head.dataset.lane = name;
          this.heads.append(head);
        }
        head.style.transform = `translateX(${number * wide - this.left}px)`;
        head.style.width = `${wide}px`;
      }
    }
    // Not the one whose button has the focus: where would the focus go?
    for (const head of kept.values()) if (!head.contains(this.parent.activeElement)) head.remove();
    const hidden = this.data.hidden.length;
    this.showAll.hidden = !hidden;
    this.showAll.textContent = `Show all (${hidden} hidden)`;
    this.fold.hidden = !this.data.opened;
  }

  makeHead(number) {
    const [id, label, sublabel, accent, events] = this.lanes[number];
    const words = [label, sublabel, count(events, "event")].filter(Boolean);
    const name = make("div", { className: "name", textContent: label });
    const sub = make("div", { className: "sub", textContent: sublabel || count(events, "event") });
    const hide = button(`Hide lane ${label}`, icon("M4 4l8 8M12 4l-8 8"), () => {
      this.tell("hide", [...this.data.hidden, id]);
      this.box.focus({ preventScroll: true }); // its own button goes
    });
    hide.hidden = this.lanes.length < 2;
    const head = make("div", { className: `head accent-${accent ?? "none"}`, title: words.join("\n") }, make("div", { className: "names" }, name, sub), hide);
    return head;
  }

  drawLegend() {
    this.legend.replaceChildren(
      ...(this.data.legend ?? []).map(([shape, kind, word]) => {
        const mark = make("canvas", { className: "sample", width: 64, height: 32 });
        const item = make("li", {}, mark, make("span", { textContent: word }));
        return Object.assign(item, { sample: [shape, kind] });
      }),
    );
    if (!this.inks) this.readInks();
    for (const item of this.legend.children) this.drawSample(item.firstChild.getContext("2d"), ...item.sample);
  }

  drawSample(pen, shape, kind) {
    const { inks } = this;
    pen.setTransform(2, 0, 0, 2, 0, 0);
    if (shape === "mark") {
      drawMark(pen, kind, 20, 8, kind === "run" ? 7 : 5, inks.slate, inks.paper);
    } else if (shape === "idle") {
      pen.fillStyle = inks.soft;
      pen.fillRect(4, 3, 26, 10);
      pen.strokeStyle = inks.line;
      for (const y of [3, 13]) {
        pen.beginPath();
        for (let x = 4; x <= 30; x += 4) pen.lineTo(x, y + (x % 8 ? 1.5 : -1.5));
        pen.stroke();
      }
    } else {
      const [, hue, dash] = this.looks.find(([name]) => name === kind) ?? this.looks[0];
      pen.strokeStyle = pen.fillStyle = inks[hue];
      pen.lineWidth = 1.25;
      pen.setLineDash(dash);
      pen.beginPath();
      pen.moveTo(shape === "missing" ? 10 : 2, 8);
      pen.lineTo(29, 8);
      pen.stroke();
      pen.setLineDash([]);
      fillHeads(pen, [[30, 8, 0]]);
      if (shape === "missing") {
        pen.setLineDash([2, 2]);
        pen.beginPath();
        pen.arc(7, 8, 4, 0, 2 * Math.PI);
        pen.stroke();
        pen.setLineDash([]);
      }
    }
  }

  // --- pointer ----------------------------------------------------------------------------------------------

  at(event) {
    const box = this.box.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // The mark, or else the arrow, under the pointer.
  under(x, y) {
    if (x < AXIS || y < HEAD || x > this.wide - STRIP || !this.shown) return null;
    let best = null;
    let least = 11;
    for (const mark of this.shown) {
      const dx = Math.abs(this.X(this.lane[mark]) - x);
      const dy = Math.abs(this.Y(this.y[mark]) - y);
      const far = Math.hypot(this.kind[mark] === 3 ? Math.max(0, dx - 6) : dx, dy);
      if (far < least) [best, least] = [{ mark, arrow: -1 }, far];
    }
    if (best) return best;
    if (this.crowded) return null;
    const label = this.labels.find((one) => Math.abs(one.y - y) < 7 && x >= one.left && x <= one.right); // counts too
    if (label) return { mark: label.mark, arrow: -1 };
    least = 5;
    for (const arrows of this.arrowsShown) {
      for (const arrow of arrows) {
        const [x1, y1, x2, y2] = this.arrowEnds(arrow);
        const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2 + this.bow[arrow]];
        const far = Math.min(distance(x, y, x1, y1, mx, my), distance(x, y, mx, my, x2, y2));
        if (far < least) [best, least] = [{ mark: -1, arrow }, far];
      }
    }
    return best;
  }

  setHover(found, x, y) {
    const same = found?.mark === this.hover?.mark && found?.arrow === this.hover?.arrow;
    this.hover = found;
    if (!same) this.schedule();
    this.box.classList.toggle("pointing", (found?.mark ?? -1) >= 0);
    if (!found) {
      this.tip.hidden = true;
      return;
    }
    const lines = found.mark >= 0 ? this.data.marks.lines[found.mark] : this.data.arrows.lines[found.arrow];
    const opens = found.mark >= 0 && this.kind[found.mark] === 3 ? ["click to show each of them"] : [];
    this.showTip([...lines.map((line) => this.texts[line]), ...opens], x, y);
  }

  showTip([first, ...more], x, y) {
    this.tip.replaceChildren(make("div", { textContent: first ?? "" }));
    if (more.length) this.tip.append(make("div", { className: "more", textContent: more.join("\n") }));
    this.tip.hidden = false;
    const { offsetWidth: wide, offsetHeight: tall } = this.tip;
    let left = x + 14;
    let top = y + 16;
    if (left + wide > this.root.clientWidth - 6) left = x - wide - 10;
    if (top + tall > this.root.clientHeight - 6) top = y - tall - 10;
    this.tip.style.left = `${Math.max(6, left)}px`;
    this.tip.style.top = `${Math.max(6, top)}px`;
  }

  wheel(event) {
    const [x, y] = this.at(event);
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoomAt(Math.exp(-clamp(event.deltaY, -60, 60) * 0.006), x, y);
      return;
    }
    // A plain wheel scrolls the page, as everywhere, until the reader is in the picture; at its ends the page again.
    if (!this.box.matches(":focus") && !event.shiftKey) return;
    const scale = event.deltaMode === 1 ? 20 : 1;
    const [dx, dy] = event.shiftKey ? [event.deltaY || event.deltaX, 0] : [event.deltaX, event.deltaY];
    const { left, top } = this;
    this.pan(dx * scale, dy * scale);
    if (left !== this.left || top !== this.top) event.preventDefault();
  }

  press(event) {
    if (event.button !== 0) return;
    const [x, y] = this.at(event);
    this.dragged = false;
    this.drag = { x: event.clientX, y: event.clientY, far: false, strip: this.scrolls && x > this.wide - STRIP };
    if (this.drag.strip) {
      this.drag.far = this.dragged = true;
      this.box.setPointerCapture(event.pointerId);
      this.toStrip(y);
    }
  }

  toStrip(y) {
    this.top = ((y - HEAD) / this.tall) * this.data.height * this.zoom - this.tall / 2;
    this.touched = true;
    this.keepInside();
  }

  move(event) {
    const [x, y] = this.at(event);
    if (!this.drag) {
      this.setHover(this.under(x, y), x, y);
      return;
    }
    if (this.drag.strip) {
      this.toStrip(y);
      return;
    }
    const dx = event.clientX - this.drag.x;
    const dy = event.clientY - this.drag.y;
    if (!this.drag.far && Math.hypot(dx, dy) < 4) return;
    if (!this.drag.far) {
      this.box.setPointerCapture(event.pointerId);
      this.box.classList.add("dragging");
      this.setHover(null);
    }
    this.drag = { ...this.drag, x: event.clientX, y: event.clientY, far: true };
    this.dragged = true;
    this.pan(-dx, -dy);
  }

  drop() {
    this.drag = null;
    this.box.classList.remove("dragging");
  }

  click(event) {
    const found = this.dragged ? null : this.under(...this.at(event));
    this.dragged = false;
    if (found?.mark >= 0) this.pick(found.mark);
  }

  pick(mark) {
    this.focus = mark;
    this.say(mark);
    if (this.kind[mark] === 3) this.act("open", mark);
    else {
      this.selected = mark; // at once; the next data from Python confirms or corrects it
      this.act("pick", mark);
    }
    this.schedule();
  }

  act(what, value) {
    this.acted = value ?? null;
    this.touched = true; // the next picture is to stand where this one does
    this.tell(what, value);
  }

  // --- keyboard ---------------------------------------------------------------------------------------------

  focused() {
    if (this.focus < 0 && this.box.matches(":focus-visible")) {
      const first = [this.selected, this.data.root].find((mark) => mark >= 0 && this.visible(mark));
      this.goTo(first ?? this.shown?.[0] ?? -1);
    }
    this.schedule();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.size) return;
    const at = this.focus >= 0 ? this.focus : (this.data.root >= 0 ? this.data.root : this.sorted[0]);
    const column = this.column[this.lane[at]];
    const known = {
      ArrowUp: () => this.goTo(column[this.rank[at] - 1] ?? at),
      ArrowDown: () => this.goTo(column[this.rank[at] + 1] ?? at),
      ArrowLeft: () => this.goTo(this.neighbour(at, -1)),
      ArrowRight: () => this.goTo(this.neighbour(at, 1)),
      PageUp: () => this.pan(0, -this.tall * 0.9),
      PageDown: () => this.pan(0, this.tall * 0.9),
      Home: () => this.goTo(this.sorted[0]),
      End: () => this.goTo(this.sorted[this.size - 1]),
      c: () => this.follow(at, this.causes[at], this.from, "cause"),
      e: () => this.follow(at, this.effects[at], this.to, "effect"),
      h: () => this.lanes.length > 1 && this.tell("hide", [...this.data.hidden, this.lanes[this.lane[at]][0]]),
      Enter: () => this.pick(at),
      " ": () => this.pick(at),
      "+": () => this.zoomCentre(1.4),
      "=": () => this.zoomCentre(1.4),
      "-": () => this.zoomCentre(1 / 1.4),
      _: () => this.zoomCentre(1 / 1.4),
      0: () => this.fit(),
      Escape: () => this.setHover(null),
    };
    const action = known[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || event.shiftKey && event.key.startsWith("Arrow")) return;
    action();
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
  }

  // The event nearest in time in the next lane on that side.
  neighbour(mark, side) {
    const column = this.column[this.lane[mark] + side];
    if (!column) return mark;
    const y = this.y[mark];
    return column.reduce((best, other) => (Math.abs(this.y[other] - y) < Math.abs(this.y[best] - y) ? other : best));
  }

  // To a cause or an effect; the same key goes on to the next one of the same event.
  follow(mark, arrows, ends, word) {
    const there = [...new Set(arrows.map((arrow) => ends[arrow]).filter((other) => other >= 0 && other !== mark))];
    const trail = this.trail;
    const on = trail && trail.word === word && trail.to === mark && trail.all.length > 1 && !there.length;
    if (on) {
      const next = (trail.all.indexOf(mark) + 1) % trail.all.length;
      this.trail = { ...trail, to: trail.all[next] };
      this.goTo(trail.all[next], `${word} ${next + 1} of ${trail.all.length}: `);
    } else if (there.length) {
      this.trail = { word, all: there, to: there[0] };
      this.goTo(there[0], there.length > 1 ? `${word} 1 of ${there.length}: ` : `${word}: `);
    } else {
      const missing = arrows.some((arrow) => ends[arrow] < 0);
      this.live.textContent = missing ? "Its cause is not in this store" : `No ${word} in this picture`;
    }
  }

  goTo(mark, before = "") {
    if (mark < 0) return;
    this.focus = mark;
    this.bringIntoView(mark);
    this.say(mark, before);
    this.schedule();
    const told = this.data.marks.lines[mark].map((line) => this.texts[line]);
    this.showTip(told, this.X(this.lane[mark]), this.Y(this.y[mark]));
  }

  say(mark, before = "") {
    const told = this.data.marks.lines[mark].map((line) => this.texts[line]).join(", ");
    const links = `${count(this.causes[mark].length, "cause")}, ${count(this.effects[mark].length, "effect")}`;
    const place = `${this.rank[mark] + 1} of ${this.column[this.lane[mark]].length} in lane ${this.lanes[this.lane[mark]][1]}`;
    this.live.textContent = `${before}${told}; ${links}; ${place}`;
  }

  // --- files ------------------------------------------------------------------------------------------------

  savePng() {
    const wide = Math.ceil(AXIS + this.lanes.length * this.natural() + TAIL);
    const tall = Math.ceil(this.data.height + HEAD + 8);
    const scale = Math.min(2, PNG_SIDE / Math.max(wide, tall), Math.sqrt(PNG_AREA / (wide * tall)));
    if (scale < 0.5) {
      this.announce("Too large for one PNG. Take the SVG, or hide lanes first.");
      return;
    }
    const file = make("canvas", { width: Math.ceil(wide * scale), height: Math.ceil(tall * scale) });
    const pen = file.getContext("2d");
    pen.scale(scale, scale);
    const kept = ["wide", "tall", "zoom", "left", "top", "ticks", "hover", "focus"].map((name) => [name, this[name]]);
    Object.assign(this, { wide: wide + STRIP, tall: tall - HEAD, zoom: 1, left: 0, top: 0, ticks: null, hover: null, focus: -1 });
    const { natural, laneWidth } = this;
    const lane = (wide - AXIS - TAIL) / Math.max(this.lanes.length, 1);
    this.natural = this.laneWidth = () => lane;
    try {
      this.draw(pen, wide, tall);
      this.drawNames(pen, wide);
    } finally {
      Object.assign(this, Object.fromEntries(kept), { natural, laneWidth });
      this.schedule();
    }
    file.toBlob((blob) => (blob ? save(blob, `${this.name}.png`) : this.announce("The PNG could not be made.")), "image/png");
  }

  drawNames(pen, wide) {
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = this.inks.paper;
    pen.fillRect(0, 0, wide, HEAD);
    pen.fillStyle = this.inks.rule;
    pen.fillRect(0, HEAD - 1, wide, 1);
    const room = this.laneWidth() - 16;
    this.lanes.forEach(([, label, sublabel], number) => {
      const x = AXIS + number * this.laneWidth() + 10;
      pen.fillStyle = this.accent(number);
      pen.fillRect(x - 10, HEAD - 3, this.laneWidth() - 4, 2);
      pen.font = `600 12px ${this.font}`;
      pen.fillStyle = this.inks.ink;
      pen.fillText(this.fitted(pen, label, room, "b"), x, 14);
      pen.font = `400 11px ${this.font}`;
      pen.fillStyle = this.inks.muted;
      pen.fillText(this.fitted(pen, sublabel, room, "s"), x, 29);
    });
  }

  announce(words) {
    this.notice.textContent = words;
    this.notice.hidden = false;
    clearTimeout(this.noticing);
    this.noticing = setTimeout(() => (this.notice.hidden = true), 6000);
  }
}

const HELP =
  "Arrow keys walk from event to event, C goes to the cause, E to the effect, Enter selects or opens, " +
  "H hides the lane, plus and minus zoom, 0 fits, Home and End go to the first and the last event.";

function drawMark(pen, kind, x, y, radius, hue, paper) {
  pen.beginPath();
  if (kind === "run") {
    pen.roundRect(x - radius - 5, y - radius, 2 * radius + 10, 2 * radius, radius);
    pen.fillStyle = paper;
    pen.fill();
    pen.globalAlpha = 0.16;
    pen.fillStyle = hue;
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = hue;
    pen.lineWidth = 1.4;
    pen.stroke();
    return;
  }
  if (kind === "event") {
    const reach = radius * 1.12;
    pen.moveTo(x, y - reach);
    pen.lineTo(x + reach, y);
    pen.lineTo(x, y + reach);
    pen.lineTo(x - reach, y);
    pen.closePath();
    pen.fillStyle = hue;
    pen.fill();
    return;
  }
  pen.arc(x, y, radius * 0.96, 0, 2 * Math.PI);
  pen.fillStyle = kind === "timer" ? paper : hue;
  pen.fill();
  if (kind !== "timer") return;
  pen.strokeStyle = hue;
  pen.lineWidth = 1.5;
  pen.stroke();
  if (radius < 4) return;
  pen.beginPath();
  pen.moveTo(x, y - radius * 0.6);
  pen.lineTo(x, y);
  pen.lineTo(x + radius * 0.5, y);
  pen.lineWidth = 1.2;
  pen.stroke();
}

function fillHeads(pen, heads) {
  pen.beginPath();
  for (const [x, y, angle] of heads) {
    const point = (back, side) => [
      x - back * Math.cos(angle) + side * Math.sin(angle),
      y - back * Math.sin(angle) - side * Math.cos(angle),
    ];
    pen.moveTo(x, y);
    pen.lineTo(...point(7, 3));
    pen.lineTo(...point(7, -3));
    pen.closePath();
  }
  pen.fill();
}

// Is none of the sorted `heights` nearer to `y` than `room`?
function free(heights, y, room) {
  let low = 0;
  let high = heights.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (heights[middle] <= y - room) low = middle + 1;
    else high = middle;
  }
  return !(heights[low] < y + room);
}

function distance(x, y, x1, y1, x2, y2) {
  const dx = x2 - x1;
  const dy = y2 - y1;
  const part = clamp(((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(x - x1 - part * dx, y - y1 - part * dy);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make("a", { href: url, download: name.replace(/[^\w.-]+/g, "_") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
