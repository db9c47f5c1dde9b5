// Shows an SVG that may hold stored (hostile) text: sanitised, with pan, zoom, keyboard, tooltips and clicks.
// Streamlit calls the default export again on every change of data or theme; what lasts is kept by host element.

const views = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let view = views.get(parentElement);
  if (!view) {
    view = new View(parentElement);
    views.set(parentElement, view);
  }
  view.onPick = (own) => setTriggerValue("clicked", own);
  view.update(data ?? {});
  return () => {
    view.close();
    views.delete(parentElement);
  };
}

// --- small helpers ------------------------------------------------------------------------------------------

const LEGIBLE = 0.66; // below this scale, labels cannot be read
const MARGIN = 10;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// --- one viewer ---------------------------------------------------------------------------------------------

class View {
  constructor(parent) {
    this.parent = parent;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.touched = false; // has the reader moved the picture? Then it stays where it is
    this.selected = null;
    this.onPick = () => {};

    this.box = make("div", { className: "view", tabIndex: 0 });
    this.box.setAttribute("role", "group");
    this.items = [];
    this.tip = make("div", { className: "tip", hidden: true });
    this.tip.setAttribute("aria-hidden", "true"); // the same text is each element's accessible name
    this.legend = make("ul", { className: "legend" });
    this.tools = this.makeTools();
    const foot = make("div", { className: "foot" }, this.legend, this.tools);
    // Says that there is more than one sees. Over the picture: the foot must not grow and change the room there is.
    this.more = make("button", { type: "button", className: "more-button", textContent: "Show all", hidden: true });
    this.more.addEventListener("click", () => this.fit(true));
    const frame = make("div", { className: "frame" }, this.box, this.more);
    this.canvas = make("div", { className: "canvas" }, frame, foot, this.tip);
    (parent.querySelector(".root") ?? parent).append(this.canvas);

    this.box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.box.addEventListener("pointerdown", (event) => this.press(event));
    this.box.addEventListener("pointermove", (event) => this.move(event));
    this.box.addEventListener("pointerup", () => this.drop());
    this.box.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("pointercancel", () => this.drop());
    this.box.addEventListener("pointerleave", () => this.hideTip());
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("focusin", (event) => this.focused(event));
    this.box.addEventListener("focusout", () => this.hideTip());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
  }

  close() {
    this.observer.disconnect();
    this.canvas.remove();
  }

  makeTools() {
    const tools = make("div", { className: "tools" });
    tools.setAttribute("role", "toolbar");
    tools.setAttribute("aria-label", "Picture");
    const add = (name, content, action) => {
      const button = make("button", { type: "button", title: name }, content);
      button.setAttribute("aria-label", name);
      button.addEventListener("click", action);
      tools.append(button);
    };
    add("Zoom in (+, Ctrl and wheel)", icon("M3 8h10M8 3v10"), () => this.zoomCentre(1.25));
    add("Zoom out (−)", icon("M3 8h10"), () => this.zoomCentre(0.8));
    add("Fit to view (0)", icon("M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"), () => this.fit(true));
    tools.append(make("span", { className: "gap" }));
    add("Download SVG", "SVG", () => this.download("svg"));
    add("Download PNG", "PNG", () => this.download("png"));
    return tools;
  }

  update(data) {
    this.height = data.height ?? null;
    this.canvas.dataset.mode = "light";
    this.canvas.dataset.mode = isDark(this.canvas) ? "dark" : "light";
    this.box.setAttribute("aria-label", data.label ?? "picture");
    this.name = data.name || "picture";
    this.fitting = data.fit ?? "contain";
    this.drawLegend(data.legend ?? []);
    const source = JSON.stringify([data.pictures, data.ids]);
    if (source !== this.source) {
      this.source = source;
      this.ids = data.ids ?? {};
      this.load(data.pictures ?? []);
    }
    this.select(data.selected ?? null);
  }

  load(texts) {
    const wasOwn = (this.items ?? []).map((item) => item.dataset.own);
    const kept = Object.values(this.ids).filter((own) => wasOwn.includes(own)).length;
    if (kept * 2 < wasOwn.length) this.touched = false; // another picture: where one was looking means nothing
    this.pictures = texts.map(sanitise).filter(Boolean).map((svg) => {
      const [left, top, width, height] = (svg.getAttribute("viewBox") ?? "0 0 100 100").split(/[\s,]+/).map(Number);
      for (const name of ["viewBox", "width", "height"]) svg.removeAttribute(name);
      return { svg, bounds: { left, top, width, height } };
    });
    this.chosen = clamp(this.chosen ?? 0, 0, Math.max(this.pictures.length - 1, 0));
    this.svg = null;
    this.stage = null;
    this.items = [];
    this.box.replaceChildren();
    if (!this.pictures.length) {
      this.canvas.style.height = "120px";
      this.box.append(make("p", { className: "notice", textContent: "The picture could not be drawn." }));
      return;
    }
    this.arrange();
  }

  // Which picture, and how high: the first of these, from wide to narrow, that can be read in the width there is.
  arrange() {
    const wide = this.box.clientWidth;
    if (!wide || !this.pictures?.length) return;
    const foot = this.canvas.querySelector(".foot").offsetHeight + 2;
    const most = this.height ?? 680;
    const sizes = this.pictures.map(({ bounds }) => {
      const byWidth = Math.min((wide - 2 * MARGIN) / bounds.width, this.largest());
      const byHeight = this.fitting === "width" ? Infinity : (most - foot - 2 * MARGIN) / bounds.height;
      return Math.min(byWidth, byHeight);
    });
    const readable = sizes.findIndex((size) => size > 0.88);
    const best = this.touched ? this.chosen : readable >= 0 ? readable : sizes.indexOf(Math.max(...sizes));
    const { svg, bounds } = this.pictures[best];
    const needed = Math.ceil(bounds.height * Math.max(sizes[best], LEGIBLE) + 2 * MARGIN + foot);
    this.canvas.style.height = `${clamp(needed, Math.min(120, most), most)}px`;
    if (svg !== this.svg) {
      this.chosen = best;
      this.bounds = bounds;
      this.mount(svg);
    }
    if (this.touched) this.place();
    else this.fit(false);
  }

  largest() {
    return this.fitting === "width" ? 1.25 : 1.1;
  }

  mount(svg) {
    const focusedId = this.parent.activeElement?.id;
    this.hideTip();
    this.items = [];
    if (!svg.querySelector(".stage")) {
      const stage = document.createElementNS(NS, "g");
      stage.setAttribute("class", "stage");
      stage.append(...svg.childNodes);
      svg.append(stage);
    }
    this.stage = svg.querySelector(".stage");
    this.svg = svg;
    this.box.replaceChildren(svg);
    for (const title of [...svg.querySelectorAll("title")]) {
      // Our own tooltip shows the text, at once and on focus too; the browser's would come on top of it.
      if (title.parentElement !== this.stage) title.parentElement.dataset.title = title.textContent;
      title.remove();
    }
    for (const line of svg.querySelectorAll(".edge .line")) {
      if (line.previousElementSibling?.classList.contains("reach")) continue;
      const reach = line.cloneNode(); // a broad invisible twin: a thin line is hard to hit
      reach.setAttribute("class", "reach");
      line.before(reach);
    }
    for (const [id, own] of Object.entries(this.ids)) {
      const item = svg.querySelector(`#${CSS.escape(id)}`);
      if (!item) continue;
      item.dataset.own = own;
      item.setAttribute("role", "button");
      item.setAttribute("aria-label", (item.dataset.title ?? own).replace(/\n+/g, ", "));
      item.setAttribute("tabindex", "-1");
      this.items.push(item);
    }
    this.items[0]?.setAttribute("tabindex", "0"); // one stop for Tab; arrows walk from there
    if (focusedId) svg.querySelector(`#${CSS.escape(focusedId)}`)?.focus({ preventScroll: true });
    this.markSelected();
  }

  drawLegend(items) {
    this.legend.replaceChildren(
      ...items.map(([shape, name, word]) => make("li", {}, legendMark(shape, name), make("span", { textContent: word }))),
    );
  }

  select(own) {
    if (own === this.selected) return;
    this.selected = own;
    const chosen = this.markSelected();
    if (chosen) this.bringIntoView(chosen);
  }

  markSelected() {
    let chosen = null;
    for (const item of this.items) {
      const here = this.selected !== null && item.dataset.own === this.selected;
      item.classList.toggle("selected", here);
      if (here) item.setAttribute("aria-pressed", "true");
      else item.removeAttribute("aria-pressed");
      if (here) chosen = item;
    }
    return chosen;
  }

  pick(item) {
    const own = item.dataset.own;
    this.selected = own; // at once; the next data from Python confirms or corrects it
    this.markSelected();
    this.onPick(own);
  }

  // where the picture is

  place() {
    if (!this.stage) return;
    this.stage.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
    const { left, top, width, height } = this.bounds;
    const cut =
      this.x + left * this.scale < -1 ||
      this.y + top * this.scale < -1 ||
      this.x + (left + width) * this.scale > this.box.clientWidth + 1 ||
      this.y + (top + height) * this.scale > this.box.clientHeight + 1;
    this.more.hidden = !cut;
  }

  fit(byHand) {
    if (!this.svg) return;
    if (byHand) {
      this.touched = false;
      this.glide();
    }
    const { clientWidth: wide, clientHeight: tall } = this.box;
    if (!wide || !tall) return;
    const { left, top, width, height } = this.bounds;
    const byWidth = (wide - 2 * MARGIN) / width;
    const byHeight = (tall - 2 * MARGIN) / height;
    const whole = this.fitting === "width" ? byWidth : Math.min(byWidth, byHeight);
    // At first never so small that nothing can be read: rather the beginning, or what is chosen, and room to drag.
    this.scale = clamp(whole, byHand ? 0.02 : LEGIBLE, this.largest());
    const free = (room, size) => (size * this.scale > room - MARGIN ? MARGIN : (room - size * this.scale) / 2);
    this.x = free(wide, width) - left * this.scale;
    this.y = (this.fitting === "width" ? MARGIN : free(tall, height)) - top * this.scale;
    this.place();
    const chosen = this.items.find((item) => item.classList.contains("selected") || item.classList.contains("current"));
    if (chosen && whole < this.scale) this.bringIntoView(chosen);
  }

  resized() {
    if (this.box.clientWidth === this.width) return; // our own change of height
    this.width = this.box.clientWidth;
    this.arrange();
  }

  glide() {
    this.box.classList.add("gliding");
    clearTimeout(this.gliding);
    this.gliding = setTimeout(() => this.box.classList.remove("gliding"), 180);
  }

  zoom(factor, atX, atY) {
    const scale = clamp(this.scale * factor, 0.05, 8);
    const real = scale / this.scale;
    this.x = atX - (atX - this.x) * real;
    this.y = atY - (atY - this.y) * real;
    this.scale = scale;
    this.touched = true;
    this.place();
  }

  zoomCentre(factor) {
    this.glide();
    this.zoom(factor, this.box.clientWidth / 2, this.box.clientHeight / 2);
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.touched = true;
    this.place();
  }

  bringIntoView(item) {
    const box = this.box.getBoundingClientRect();
    const at = item.getBoundingClientRect();
    if (!box.width || !at.width) return;
    const touched = this.touched;
    const dx = at.right < box.left + 20 || at.left > box.right - 20 ? box.left + box.width / 2 - at.left - at.width / 2 : 0;
    const dy = at.bottom < box.top + 20 || at.top > box.bottom - 20 ? box.top + box.height / 2 - at.top - at.height / 2 : 0;
    if (dx || dy) {
      this.glide();
      this.pan(dx, dy);
      this.touched = touched; // the reader did not do that
    }
  }

  // pointer

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page, as everywhere
    event.preventDefault();
    const box = this.box.getBoundingClientRect();
    this.zoom(Math.exp(-clamp(event.deltaY, -60, 60) * 0.005), event.clientX - box.left, event.clientY - box.top);
  }

  press(event) {
    if (event.button !== 0 || !this.svg) return;
    this.drag = { x: event.clientX, y: event.clientY, far: false };
    this.dragged = false;
  }

  move(event) {
    if (!this.drag) {
      this.hover(event);
      return;
    }
    const dx = event.clientX - this.drag.x;
    const dy = event.clientY - this.drag.y;
    if (!this.drag.far && Math.hypot(dx, dy) < 4) return;
    if (!this.drag.far) {
      this.box.setPointerCapture(event.pointerId); // only now: captured earlier, it would hide the click's target
      this.box.classList.add("dragging");
      this.hideTip();
    }
    this.drag = { x: event.clientX, y: event.clientY, far: true };
    this.dragged = true;
    this.pan(dx, dy);
  }

  // 'click', not 'pointerup': assistive software sends clicks alone.
  click(event) {
    const item = event.target.closest?.("[data-own]");
    if (item && !this.dragged) this.pick(item);
    this.dragged = false;
  }

  drop() {
    this.drag = null;
    this.box.classList.remove("dragging");
  }

  hover(event) {
    const owner = event.target.closest?.("[data-title]");
    if (!owner) this.hideTip();
    else this.showTip(owner.dataset.title, event.clientX, event.clientY);
  }

  showTip(text, clientX, clientY) {
    const [first, ...more] = text.split("\n");
    this.tip.replaceChildren(make("div", { textContent: first }));
    if (more.length) this.tip.append(make("div", { className: "more", textContent: more.join("\n") }));
    this.tip.hidden = false;
    const canvas = this.canvas.getBoundingClientRect();
    const { offsetWidth: wide, offsetHeight: tall } = this.tip;
    let left = clientX - canvas.left + 14;
    let top = clientY - canvas.top + 16;
    if (left + wide > canvas.width - 6) left = clientX - canvas.left - wide - 10;
    if (top + tall > canvas.height - 6) top = clientY - canvas.top - tall - 10;
    this.tip.style.left = `${Math.max(6, left)}px`;
    this.tip.style.top = `${Math.max(6, top)}px`;
  }

  hideTip() {
    this.tip.hidden = true;
  }

  // keyboard

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = event.target.closest?.("[data-own]");
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (item && (event.key === "Enter" || event.key === " ")) this.pick(item);
    else if (event.key === "+" || event.key === "=") this.zoomCentre(1.25);
    else if (event.key === "-" || event.key === "_") this.zoomCentre(0.8);
    else if (event.key === "0") this.fit(true);
    else if (arrow && item) this.step(item, arrow);
    else if (arrow) this.pan(-60 * arrow[0], -60 * arrow[1]);
    else if (event.key === "Escape" && item) this.box.focus();
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
  }

  // The nearest item in the direction of the arrow; straight ahead counts as nearer than aside.
  step(item, [dx, dy]) {
    const centre = (element) => {
      const { left, top, width, height } = element.getBoundingClientRect();
      return [left + width / 2, top + height / 2];
    };
    const [x, y] = centre(item);
    let best = null;
    let least = Infinity;
    for (const other of this.items) {
      const [ox, oy] = centre(other);
      const ahead = (ox - x) * dx + (oy - y) * dy;
      const aside = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
      const cost = ahead + 2 * aside;
      if (other !== item && ahead > 1 && cost < least) [best, least] = [other, cost];
    }
    best?.focus({ preventScroll: true });
  }

  focused(event) {
    const item = event.target.closest?.("[data-own]");
    if (!item) return;
    for (const other of this.items) other.setAttribute("tabindex", other === item ? "0" : "-1");
    if (!this.drag && item.matches(":focus-visible")) {
      this.bringIntoView(item);
      const at = item.getBoundingClientRect();
      if (item.dataset.title) this.showTip(item.dataset.title, at.left + at.width / 2, at.bottom - 12);
    }
  }

  // files

  async download(kind) {
    if (!this.svg) return;
    const text = this.standalone();
    const blob = new Blob([text], { type: "image/svg+xml" });
    save(kind === "svg" ? blob : await this.raster(text), `${this.name}.${kind}`);
  }

  // The picture with the colours it has now written into it, so that it needs no style sheet.
  standalone() {
    const { left, top, width, height } = this.bounds;
    const copy = this.svg.cloneNode(true);
    const from = this.stage.querySelectorAll("*");
    const to = copy.querySelector(".stage").querySelectorAll("*");
    const kept =
      "fill fill-opacity stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin opacity paint-order " +
      "font-family font-size font-weight text-anchor";
    const titles = [];
    from.forEach((element, index) => {
      const style = getComputedStyle(element);
      for (const name of kept.split(" ")) {
        const value = style.getPropertyValue(name);
        if (value) to[index].setAttribute(name, value);
      }
      if (element.dataset.title) {
        const title = document.createElementNS(NS, "title");
        title.textContent = element.dataset.title;
        titles.push([to[index], title]);
      }
      for (const name of ["data-own", "data-title", "tabindex", "role", "aria-label"]) to[index].removeAttribute(name);
    });
    for (const [element, title] of titles) element.prepend(title);
    copy.querySelectorAll(".reach, .hit").forEach((element) => element.remove());
    const stage = copy.querySelector(".stage");
    stage.removeAttribute("transform");
    const paper = document.createElementNS(NS, "rect");
    const attributes = { x: left, y: top, width, height, fill: getComputedStyle(this.canvas).backgroundColor };
    for (const [name, value] of Object.entries(attributes)) paper.setAttribute(name, value);
    stage.prepend(paper);
    copy.setAttribute("xmlns", NS);
    copy.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    return new XMLSerializer().serializeToString(copy);
  }

  raster(text) {
    const { width, height } = this.bounds;
    const scale = clamp(Math.min(2, 8000 / Math.max(width, height)), 0.1, 2); // canvases have a largest size
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => {
        const canvas = make("canvas", { width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no PNG"))), "image/png");
      };
      image.onerror = () => reject(new Error("the picture could not be drawn"));
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    });
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make("a", { href: url, download: name.replace(/[^\w.-]+/g, "_") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The legend repeats the shapes of render/drawing.py in small.
function legendMark(shape, name) {
  const part = (tag, attributes) => {
    const element = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const svg = part("svg", { viewBox: shape === "edge" ? "-8 0 32 14" : "0 0 24 14", "aria-hidden": "true" });
  if (shape === "edge") {
    const group = part("g", { class: `edge edge-${name}` });
    svg.setAttribute("class", "long");
    group.append(part("path", { class: "line", d: "M-7 7H18" }), part("polygon", { class: "head", points: "17,4 23,7 17,10" }));
    svg.append(group);
  } else if (shape === "accent") {
    const group = part("g", { class: `node accented accent-${name}` });
    group.append(part("rect", { class: "stripe", x: 8, y: 2, width: 10, height: 10, rx: 2 }));
    svg.append(group);
  } else if (shape === "note") {
    if (name === "taken") {
      const group = part("g", { class: "edge edge-declared taken" });
      group.append(part("path", { class: "line", d: "M1 7H18" }), part("polygon", { class: "head", points: "17,4 23,7 17,10" }));
      svg.append(group);
    } else if (name === "current") {
      const group = part("g", { class: "node state-regular current" });
      group.append(
        part("rect", { class: "ring", x: 1, y: 0, width: 22, height: 14, rx: 5 }),
        part("rect", { class: "box", x: 3.5, y: 2.5, width: 17, height: 9, rx: 3 }),
      );
      svg.append(group);
    } else if (name === "gap") {
      svg.append(
        part("rect", { class: "gap-band", x: 5, y: 0, width: 14, height: 14 }),
        part("path", { class: "gap-edge", d: "M5 0L7 4L3 9L5 14M19 0L21 4L17 9L19 14" }),
      );
    } else if (name === "snapshot") {
      const group = part("g", { class: "snapshot" });
      group.append(part("path", { d: "M12 1L17 7L12 13L7 7Z" }));
      svg.append(group);
    } else {
      svg.append(part("circle", { class: "dot", cx: 12, cy: 7, r: 4.5 }));
    }
  } else {
    const group = part("g", { class: `node state-${name}` });
    const outline =
      name === "error"
        ? part("polygon", { class: "box", points: "5,1 19,1 22,4 22,10 19,13 5,13 2,10 2,4" })
        : part("rect", { class: "box", x: 2, y: 1, width: 20, height: 12, rx: name === "entry" ? 6 : 3 });
    group.append(outline);
    if (name === "final") group.append(part("rect", { class: "inner", x: 4.5, y: 3.5, width: 15, height: 7, rx: 1.5 }));
    if (name === "entry") group.append(part("circle", { class: "mark-fill", cx: 12, cy: 7, r: 3 }));
    if (name === "error") group.append(part("path", { class: "mark-line bold", d: "M9.5 4.5L14.5 9.5M14.5 4.5L9.5 9.5" }));
    if (name === "event") group.append(part("path", { class: "mark-fill", d: "M12 3L16 7L12 11L8 7Z" }));
    if (name === "unknown") {
      const mark = part("text", { class: "mark-text", x: 12, y: 11 });
      mark.textContent = "?";
      group.append(mark);
    }
    svg.append(group);
  }
  return svg;
}
