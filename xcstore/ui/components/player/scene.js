// The machines' diagrams, each laid out once: what is lit, the tokens of the instances, and the way from a cause to its
// effect in another diagram. Nothing here is built anew from step to step: classes change and tokens glide.

const SCENE_GAP = 10;
const PANEL_HEAD = 27;
const PANEL_PAD = 12;
const SMALLEST = 0.64; // below this scale nobody reads a label: the panel scrolls instead
const LARGEST = 1.05;
const TRAIL = 5;
const MOST_TOKENS = 4; // of one state; the rest is a number

function svgMake(name, attributes = {}, ...children) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

class Panel {
  constructor(machine, letters) {
    this.number = machine.n;
    this.machine = machine;
    this.lit = new Map();
    this.tokens = new Map();
    this.name = make("span", { className: "panel-name", textContent: machine.name });
    this.where = make("span", { className: "panel-where", textContent: machine.component });
    this.who = make("span", { className: "panel-who", textContent: letters });
    const head = make("div", { className: `panel-head accent-${machine.accent % 8}` }, this.name, this.where, this.who);
    this.body = make("div", { className: "panel-body" });
    this.root = make("section", { className: "panel" }, head, this.body);
    this.root.setAttribute("aria-label", `States of ${machine.name}`);
    this.pictures = machine.pictures.map((text) => this.read(text)).filter(Boolean);
    this.chosen = -1;
    if (!this.pictures.length) this.body.append(make("p", { className: "notice", textContent: machine.why }));
  }

  read(text) {
    const svg = sanitise(text);
    if (!svg) return null;
    const [left, top, width, height] = (svg.getAttribute("viewBox") ?? "0 0 100 100").split(/[\s,]+/).map(Number);
    for (const title of [...svg.querySelectorAll("title")]) {
      if (title.parentElement === svg) title.remove();
    }
    const own = new Map();
    for (const [id, name] of Object.entries(this.machine.ids)) {
      const element = svg.querySelector(`#${CSS.escape(id)}`);
      if (element) own.set(name, element);
      element?.removeAttribute("id"); // several pictures share this page
    }
    for (const [name, other] of Object.entries(this.machine.aliases)) {
      if (own.has(other)) own.set(name, own.get(other));
    }
    // Tokens stick out above their state.
    svg.setAttribute("viewBox", `${left} ${top - 8} ${width} ${height + 8}`);
    svg.setAttribute("aria-hidden", "true"); // the words beside say the same, and the table below
    const layer = svgMake("g", { class: "tokens" });
    (svg.querySelector(".graph") ?? svg).append(layer);
    return { svg, own, layer, width, height: height + 8 };
  }

  get picture() {
    return this.pictures[this.chosen] ?? null;
  }

  size(chosen, width, height, scale) {
    const picture = this.pictures[chosen];
    if (chosen !== this.chosen) {
      this.chosen = chosen;
      this.lit.clear();
      this.tokens.clear();
      picture?.layer.replaceChildren();
      if (picture) this.body.replaceChildren(picture.svg);
    }
    this.root.style.width = `${width}px`;
    this.body.style.height = `${height}px`;
    if (picture) {
      picture.svg.style.width = `${picture.width * scale}px`;
      picture.svg.style.height = `${picture.height * scale}px`;
    }
  }

  state(id) {
    return this.picture?.own.get(id) ?? null;
  }

  light(wanted) {
    for (const [element, classes] of this.lit) element.classList.remove(...classes);
    this.lit = new Map();
    for (const [id, name] of wanted) {
      const element = this.state(id);
      if (!element) continue;
      element.classList.add(name);
      this.lit.set(element, [...(this.lit.get(element) ?? []), name]);
    }
  }

  // `here`: state -> instances in it, the most important first.
  place(here, focus, letters) {
    const seen = new Set();
    for (const [id, instances] of here) {
      const box = this.state(id)?.querySelector(".box")?.getBBox();
      if (!box) continue;
      let right = box.x + box.width - 8;
      const shown = instances.slice(0, instances.length > MOST_TOKENS ? MOST_TOKENS - 1 : MOST_TOKENS);
      const labels = shown.map((instance) => [instance, letters[instance] ?? "?"]);
      if (shown.length < instances.length) labels.push([`more ${id}`, `+${instances.length - shown.length}`]);
      for (const [key, label] of labels.reverse()) {
        const wide = Math.max(17, 8 + label.length * 7.2);
        right -= wide;
        this.token(key, label, wide, right, box.y - 8, key === focus);
        right -= 3;
        seen.add(key);
      }
    }
    for (const [key, token] of this.tokens) {
      if (!seen.has(key)) {
        token.remove();
        this.tokens.delete(key);
      }
    }
  }

  token(key, label, wide, x, y, focused) {
    let token = this.tokens.get(key);
    if (!token) {
      token = svgMake("g", { class: "token" }, svgMake("rect", { height: 16, rx: 8 }), svgMake("text", { y: 11.8 }));
      this.tokens.set(key, token);
      this.picture.layer.append(token);
    }
    token.style.transform = `translate(${x}px, ${y}px)`;
    token.classList.toggle("focused", focused);
    if (token.dataset.label !== label) {
      token.dataset.label = label;
      token.firstChild.setAttribute("width", wide);
      token.lastChild.setAttribute("x", wide / 2);
      token.lastChild.textContent = label;
    }
  }

  // A picture larger than its panel scrolls; what happens is kept in view.
  follow(id) {
    const element = this.state(id)?.querySelector(".box");
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = this.body;
    if (!element || (scrollWidth <= clientWidth + 1 && scrollHeight <= clientHeight + 1)) return;
    const box = this.body.getBoundingClientRect();
    const at = element.getBoundingClientRect();
    if (at.left < box.left + 8 || at.right > box.right - 8) this.body.scrollLeft += at.left + at.width / 2 - box.left - box.width / 2;
    if (at.top < box.top + 12 || at.bottom > box.bottom - 8) this.body.scrollTop += at.top + at.height / 2 - box.top - box.height / 2;
  }
}

class Scene {
  constructor() {
    this.root = make("div", { className: "scene" });
    this.overlay = svgMake("svg", { class: "crossings", "aria-hidden": "true" });
    this.panels = [];
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.root);
    this.root.addEventListener("scroll", () => this.cross(), true);
  }

  close() {
    this.observer.disconnect();
  }

  load(data) {
    this.letters = data.instances.map(([, letter]) => letter);
    this.alone = data.instances.length === 1;
    this.panels = data.machines.map((machine) => {
      const members = data.instances.filter(([cast]) => cast === machine.n).map(([, letter]) => letter);
      const listed = members.slice(0, 6).join(" ") + (machine.instances > 6 ? ` … ${machine.instances} instances` : "");
      return new Panel(machine, this.alone ? "" : listed);
    });
    this.root.replaceChildren(...this.panels.map((panel) => panel.root), this.overlay);
    this.byNumber = new Map(this.panels.map((panel) => [panel.number, panel]));
    this.width = 0;
    this.arrange();
  }

  resized() {
    if (this.root.clientWidth === this.width) return;
    this.arrange();
    if (this.last) this.show(this.last);
  }

  // The rows, and of each picture the shape, in which everything is drawn as large as can be.
  arrange() {
    const wide = this.root.clientWidth;
    this.width = wide;
    const count = this.panels.length;
    if (!wide || !count) return;
    const most = count === 1 ? 620 : 600;
    let best = null;
    for (let shape = 0; shape < 2 ** count; shape += 1) {
      const chosen = this.panels.map((panel, n) => ((shape >> n) & 1 ? 1 : 0));
      if (chosen.some((which, n) => which >= Math.max(this.panels[n].pictures.length, 1))) continue;
      for (let cuts = 0; cuts < 2 ** (count - 1); cuts += 1) {
        const plan = this.plan(chosen, cuts, wide, most);
        if (!best || plan.score > best.score + 1e-6) best = plan;
      }
    }
    for (const row of best.rows) {
      for (const item of row) item.panel.size(item.chosen, item.width, item.height, item.scale);
    }
  }

  plan(chosen, cuts, wide, most) {
    const rows = [[]];
    this.panels.forEach((panel, n) => {
      const picture = panel.pictures[chosen[n]] ?? { width: 240, height: 60 };
      rows.at(-1).push({ panel, chosen: chosen[n], picture });
      if ((cuts >> n) & 1 && n < this.panels.length - 1) rows.push([]);
    });
    for (const row of rows) {
      const room = wide - SCENE_GAP * (row.length - 1) - (2 * PANEL_PAD + 2) * row.length;
      row.widest = Math.min(LARGEST, room / row.reduce((sum, item) => sum + item.picture.width, 0));
      row.tall = Math.max(...row.map((item) => item.picture.height));
    }
    const heads = rows.length * (PANEL_HEAD + 2 * PANEL_PAD + 2) + SCENE_GAP * (rows.length - 1);
    const scale = levelOf(rows, Math.max(most - heads, 120));
    let least = LARGEST;
    let total = 0;
    for (const row of rows) {
      const own = Math.min(row.widest, scale);
      // Several are drawn whole, and higher rather than unreadable; one alone scrolls.
      const alone = this.panels.length === 1;
      const shown = alone ? Math.max(own, SMALLEST) : Math.min(row.widest, Math.max(scale, SMALLEST));
      const room = wide - SCENE_GAP * (row.length - 1);
      const needs = row.map((item) => item.picture.width * (alone ? own : shown) + 2 * PANEL_PAD + 2);
      const spare = (room - needs.reduce((sum, need) => sum + need, 0)) / row.length;
      least = Math.min(least, own);
      total += own * row.length;
      row.forEach((item, n) => {
        item.width = Math.floor(needs[n] + spare);
        item.height = Math.ceil(row.tall * (alone ? own : shown) + 2 * PANEL_PAD);
        item.scale = shown;
      });
    }
    return { rows, score: 3 * least + total / this.panels.length - rows.length * 0.01 };
  }

  // at: {states: instance -> state id, focus, step, trail: [[state, arrow]…], castOf, texts}
  show(at) {
    this.last = at;
    const here = new Map(this.panels.map((panel) => [panel.number, new Map()]));
    for (const [instance, state] of at.states) {
      const states = here.get(at.castOf(instance));
      if (!states || state === undefined) continue;
      if (!states.has(state)) states.set(state, []);
      if (instance === at.focus) states.get(state).unshift(instance);
      else states.get(state).push(instance);
    }
    const own = at.focus === null ? null : at.castOf(at.focus);
    for (const panel of this.panels) {
      const wanted = [];
      for (const state of here.get(panel.number).keys()) wanted.push([state, "here"]);
      if (panel.number === own) {
        at.trail.forEach(({ state, arrow }, age) => {
          if (state) wanted.push([state, `trail-${age + 1}`]);
          if (arrow) wanted.push([arrow, `trail-${age + 1}`]);
        });
        if (at.arrow) wanted.push([at.arrow, "just"]);
        if (at.state) wanted.push([at.state, "current"]);
      }
      panel.light(wanted);
      panel.place(this.alone ? new Map() : here.get(panel.number), at.focus, this.letters);
      panel.root.classList.toggle("acting", panel.number === own);
      if (panel.number === own && at.state) panel.follow(at.state);
    }
    this.cross();
  }

  // From where the cause led, to where this event led: over the diagrams.
  cross() {
    this.overlay.replaceChildren();
    const at = this.last;
    if (!at?.cause) return;
    const from = this.byNumber.get(at.castOf(at.cause.instance))?.state(at.cause.state)?.querySelector(".box");
    const to = this.byNumber.get(at.castOf(at.focus))?.state(at.state)?.querySelector(".box");
    if (!from || !to || from === to) return;
    const frame = this.root.getBoundingClientRect();
    const [one, two] = [from, to].map((element) => {
      const box = element.getBoundingClientRect();
      return { x: box.left - frame.left + box.width / 2, y: box.top - frame.top + box.height / 2, w: box.width / 2, h: box.height / 2 };
    });
    const distance = Math.hypot(two.x - one.x, two.y - one.y);
    if (distance < 8) return;
    const middle = { x: (one.x + two.x) / 2, y: Math.min(one.y, two.y) + Math.abs(one.y - two.y) / 2 - Math.min(60, distance * 0.2) };
    const start = edgeOf(one, middle, 3);
    const end = edgeOf(two, middle, 7);
    const d = `M${start.x} ${start.y}Q${middle.x} ${middle.y} ${end.x} ${end.y}`;
    const angle = (Math.atan2(end.y - middle.y, end.x - middle.x) * 180) / Math.PI;
    const kind = ["recorded", "inferred", "followed", "doubtful"].includes(at.cause.standing) ? at.cause.standing : "recorded";
    const group = svgMake(
      "g",
      { class: `crossing edge edge-${kind}` },
      svgMake("path", { class: "under", d }),
      svgMake("path", { class: "line", d, pathLength: 100 }),
      svgMake("polygon", { class: "head", points: "0,0 -9,-4.5 -9,4.5", transform: `translate(${end.x} ${end.y}) rotate(${angle})` }),
      svgMake("circle", { class: "start", cx: start.x, cy: start.y, r: 3.5 }),
    );
    const spark = svgMake("circle", { class: "spark", r: 5 });
    spark.style.offsetPath = `path("${d}")`;
    group.append(spark);
    this.overlay.append(group);
  }
}

// The largest scale for all at which the rows are not higher together than there is room; a row that is too wide for it
// is smaller anyway.
function levelOf(rows, room) {
  let [low, high] = [0.05, LARGEST];
  for (let n = 0; n < 12; n += 1) {
    const middle = (low + high) / 2;
    const height = rows.reduce((sum, row) => sum + row.tall * Math.min(row.widest, middle), 0);
    if (height <= room) low = middle;
    else high = middle;
  }
  return low;
}

// Where the way from a box towards a point leaves the box.
function edgeOf(box, towards, margin) {
  const dx = towards.x - box.x;
  const dy = towards.y - box.y;
  const out = 1 / Math.max(Math.abs(dx) / (box.w + margin), Math.abs(dy) / (box.h + margin), 1e-6);
  return { x: box.x + dx * Math.min(out, 1), y: box.y + dy * Math.min(out, 1) };
}
