// Plays a history: everything that moves is here, and moves without asking the server. It holds a window of steps; the
// server is told where the cursor rests (for the address and the tables beside), and asked for the next window in time.

const players = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let player = players.get(parentElement);
  if (!player) {
    player = new Player(parentElement);
    players.set(parentElement, player);
  }
  player.tell = (value) => setTriggerValue("did", value);
  player.update(data);
  return () => {
    player.close();
    players.delete(parentElement);
  };
}

const REST_MS = 400;
const IDLE_MS = 1500; // a longer wait is cut to this where idle time is skipped
const SOONEST_MS = 30;
const SPEEDS = [
  ["original", "Original speed", { factor: 1 }],
  ["x10", "10 × as fast", { factor: 10 }],
  ["x100", "100 × as fast", { factor: 100 }],
  ["1", "1 step a second", { rate: 1 }],
  ["2", "2 steps a second", { rate: 2 }],
  ["5", "5 steps a second", { rate: 5 }],
  ["10", "10 steps a second", { rate: 10 }],
];
const ICONS = {
  first: "M3.5 3v10M12.5 3L6 8l6.5 5Z",
  back: "M11 3L4.5 8 11 13Z",
  play: "M4 2.5L13 8L4 13.5Z",
  pause: "M4.5 3v10M11.5 3v10",
  step: "M5 3l6.5 5L5 13Z",
  last: "M12.5 3v10M3.5 3L10 8l-6.5 5Z",
  break: "M3 3l5 5-5 5ZM13 8a2.5 2.5 0 1 1-5 0a2.5 2.5 0 1 1 5 0",
};

class Player {
  constructor(parent) {
    this.position = 0;
    this.sent = 0;
    this.told = null;
    this.speed = SPEEDS[4];
    this.skip = true;
    this.timer = null;
    this.tell = () => {};
    this.scene = new Scene();
    this.strip = new Strip((position) => this.seek(position));
    this.side = new Side((position) => this.seek(position));
    this.strip.describe = (position) => this.words(position, true);
    this.live = make("div", { className: "live" });
    this.live.setAttribute("aria-live", "polite");
    this.status = make("span", { className: "status" });
    this.note = make("span", { className: "strip-note" });
    this.foot = make("div", { className: "foot" }, this.strip.legend, this.note);
    this.top = make("div", { className: "stage-row" }, this.scene.root, this.side.root);
    this.root = make("div", { className: "canvas player" }, this.makeControls(), this.strip.root, this.foot, this.top, this.live);
    this.root.setAttribute("role", "group");
    (parent.querySelector(".root") ?? parent).append(this.root);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.anywhere = (event) => document.activeElement === document.body && this.key(event);
    document.addEventListener("keydown", this.anywhere);
  }

  close() {
    this.pause();
    clearTimeout(this.resting);
    document.removeEventListener("keydown", this.anywhere);
    this.scene.close();
    this.strip.close();
    this.root.remove();
  }

  makeControls() {
    const button = (name, title, action, keys) => {
      const made = make("button", { type: "button", title: `${title} (${keys})` }, icon(ICONS[name]));
      made.setAttribute("aria-label", title);
      made.setAttribute("aria-keyshortcuts", keys);
      made.addEventListener("click", action);
      return made;
    };
    this.toggle = button("play", "Play", () => this.playOrPause(), "Space");
    this.toggle.classList.add("main");
    this.nextBreak = button("break", "Next breakpoint", () => this.toBreak(1), "B");
    const buttons = make(
      "div",
      { className: "buttons" },
      button("first", "To the start", () => this.seek(0), "Home"),
      button("back", "One step back", () => this.seek(this.position - 1), "Left"),
      this.toggle,
      button("step", "One step on", () => this.seek(this.position + 1), "Right"),
      button("last", "To the end", () => this.seek(this.total), "End"),
      this.nextBreak,
    );
    this.place = make("input", { type: "text", inputMode: "numeric", className: "place" });
    this.place.setAttribute("aria-label", "Go to step");
    this.place.addEventListener("change", () => {
      const wanted = Number.parseInt(this.place.value.replace(/\D/g, ""), 10);
      if (Number.isFinite(wanted)) this.seek(wanted);
      this.render();
    });
    this.of = make("span", { className: "of" });
    const where = make("label", { className: "where" }, make("span", { textContent: "Step" }), this.place, this.of);
    const speeds = make("select", { title: "Speed" }, ...SPEEDS.map(([value, text]) => make("option", { value, textContent: text })));
    speeds.setAttribute("aria-label", "Speed");
    speeds.value = this.speed[0];
    speeds.addEventListener("change", () => {
      this.speed = SPEEDS.find(([value]) => value === speeds.value) ?? SPEEDS[4];
      idle.hidden = !this.speed[2].factor;
      if (this.playing) this.wait();
    });
    const box = make("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      this.skip = box.checked;
      if (this.playing) this.wait();
    });
    const idle = make("label", { className: "idle", title: "Wait at most 1.5 s for a step, however long it took", hidden: true }, box, make("span", { textContent: "skip idle time" }));
    return make("div", { className: "controls" }, buttons, where, this.status, make("span", { className: "spring" }), idle, speeds);
  }

  // data

  update(data) {
    if (!data) return;
    this.root.dataset.mode = "light";
    this.root.dataset.mode = isDark(this.root) ? "dark" : "light";
    const another = data.stamp !== this.stamp;
    this.data = data;
    if (another) {
      this.pause();
      this.stamp = data.stamp;
      this.total = data.total;
      this.told = null;
      this.sent = data.heard;
      this.asked = null;
      this.root.setAttribute("aria-label", data.label);
      this.root.style.setProperty("--digits", Math.max(String(data.total).length, 2));
      this.of.textContent = `of ${data.total.toLocaleString("en")}`;
      this.note.textContent = data.strip.note;
    }
    if (another || data.window.key !== this.window?.key) {
      this.window = data.window;
      this.asked = null;
    }
    if (another || data.picture !== this.picture) {
      this.picture = data.picture;
      this.top.classList.toggle("many", data.machines.length > 1);
      this.scene.load(data);
    }
    if (another || data.marked !== this.marked) {
      this.marked = data.marked;
      this.strip.load(data);
      this.foot.hidden = !this.strip.legend.children.length && !this.note.textContent;
    }
    // What the server says counts where it has heard the last of us: the address or a table moved the cursor.
    if (another || (data.heard >= this.sent && data.position !== this.told)) {
      this.position = data.position;
      this.told = data.position;
    }
    this.nextBreak.disabled = !data.breaks;
    this.render();
    if (this.playing && !this.timer) this.wait();
  }

  step(position = this.position) {
    return this.window?.steps[position - this.window.start] ?? null;
  }

  text(number) {
    return this.window.texts[number] ?? "";
  }

  // moving

  seek(position, byHand = true) {
    const wanted = clampTo(position, 0, this.total);
    if (byHand && this.playing) this.pause();
    if (wanted !== this.position) {
      this.position = wanted;
      this.render();
    }
    if (byHand) this.live.textContent = this.words(wanted);
    this.ask();
    if (!this.playing) this.rest();
  }

  // The next window, in time: the server cuts history into blocks, and sends those around the cursor.
  ask() {
    const block = Math.floor(this.position / this.data.block);
    if (block === this.window.block || block === this.asked) return;
    this.asked = block;
    this.say("window");
  }

  rest() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (this.position !== this.told) this.say("rest");
    }, REST_MS);
  }

  say(what) {
    clearTimeout(this.resting);
    this.sent = Math.max(this.sent, this.data.heard) + 1;
    this.told = this.position;
    this.tell({ stamp: this.stamp, n: this.sent, what, position: this.position });
  }

  toBreak(sign) {
    const { start, steps } = this.window;
    for (let p = this.position + sign; p >= start && p < start + steps.length; p += sign) {
      if (steps[p - start].b !== undefined) {
        this.seek(p);
        return;
      }
    }
    const far = sign > 0 ? this.window.next_break : this.window.previous_break;
    if (far && (far - this.position) * sign > 0) this.seek(far);
    else this.live.textContent = this.status.textContent = sign > 0 ? "No further breakpoint" : "No earlier breakpoint";
  }

  // playing

  playOrPause() {
    if (this.playing) {
      this.pause();
      this.live.textContent = `Paused. ${this.words(this.position)}`;
      this.rest();
    } else {
      if (this.position >= this.total) this.seek(0);
      clearTimeout(this.resting);
      this.playing = true;
      this.live.textContent = "Playing";
      this.render();
      this.wait();
    }
  }

  pause() {
    this.playing = false;
    clearTimeout(this.timer);
    clearInterval(this.counting);
    this.timer = null;
    if (this.data) this.render();
  }

  wait() {
    clearTimeout(this.timer);
    clearInterval(this.counting);
    this.timer = null;
    if (this.position >= this.total) {
      this.pause();
      this.rest();
      return;
    }
    const next = this.step(this.position + 1);
    if (!next) {
      this.status.textContent = "Loading …";
      return; // goes on when the window comes
    }
    const { factor, rate } = this.speed[2];
    const here = this.step()?.at;
    let wait = rate ? 1000 / rate : here === undefined ? 500 : (next.at - here) / factor;
    if (this.skip && !rate) wait = Math.min(wait, IDLE_MS);
    wait = Math.max(wait, SOONEST_MS);
    const until = performance.now() + wait;
    const count = () => {
      this.status.textContent = wait > 2500 ? `next step in ${lengthOf(until - performance.now())}` : "";
    };
    count();
    if (wait > 2500) this.counting = setInterval(count, 500);
    this.timer = setTimeout(() => {
      clearInterval(this.counting);
      this.timer = null;
      this.seek(this.position + 1, false);
      if (this.step()?.b !== undefined) {
        this.pause();
        this.live.textContent = `Stopped at a breakpoint. ${this.words(this.position)}`;
        this.rest();
      } else this.wait();
    }, Math.min(wait, 2 ** 31 - 1));
  }

  // Its machine, letter and name; those that no diagram shows are told by the step.
  actor(step) {
    return step.a ?? this.data.instances[step.i];
  }

  // what is seen

  words(position, short = false) {
    const step = this.step(position);
    if (!position) return "Before the first step";
    if (!step || step.i === undefined) return `Step ${position} of ${this.total}`;
    const [cast] = this.actor(step);
    if (short) return `${position} · ${this.text(step.e)} · ${this.text(step.w)}`;
    const name = this.data.casts[cast].name;
    return `Step ${position} of ${this.total}: ${this.text(step.e)}, ${name} goes from ${this.text(step.fw)} to ${this.text(step.tw)}`;
  }

  render() {
    const step = this.step();
    this.root.classList.toggle("playing", Boolean(this.playing));
    this.toggle.replaceChildren(icon(ICONS[this.playing ? "pause" : "play"]));
    this.toggle.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.toggle.title = `${this.playing ? "Pause" : "Play"} (Space)`;
    if (!this.playing) this.status.textContent = "";
    this.place.value = this.position.toLocaleString("en");
    this.strip.show(this.position, this.words(this.position));
    this.root.dataset.step = this.position;
    this.root.classList.toggle("waiting", !step);
    this.root.setAttribute("aria-busy", step ? "false" : "true");
    if (!step) return; // the last picture stays, faded, until the steps are here
    this.side.show(step, this);
    this.scene.show(this.look(step));
    this.root.dataset.shown = this.position;
  }

  // Who is where at this step, from the beginning of the window on.
  look(step) {
    const { base, steps, texts, start } = this.window;
    const states = new Map(base.map(([instance, state]) => [instance, texts[state]]));
    const trail = [];
    for (let n = 0; n <= this.position - start; n += 1) {
      const one = steps[n];
      for (const [instance, state] of one.s ?? []) states.set(instance, texts[state]);
      if (one.i === undefined) continue;
      if (one.i === step.i && n < this.position - start) trail.push({ state: texts[one.t], arrow: texts[one.r] });
      states.set(one.i, texts[one.t]);
    }
    const state = texts[step.t];
    const from = step.f >= 0 ? texts[step.f] : null;
    if (from && trail.at(-1)?.state !== from) trail.push({ state: from, arrow: null });
    const cause = (step.ca ?? []).find(([, , instance]) => instance >= 0 && instance !== step.i);
    return {
      states,
      focus: step.i ?? null,
      state: state ?? null,
      arrow: step.r === undefined ? null : texts[step.r],
      trail: trail.slice(-TRAIL).reverse().filter((one) => one.state !== state || one.arrow),
      cause: cause ? { instance: cause[2], state: texts[cause[3]], standing: cause[4] } : null,
      castOf: (instance) => this.data.instances[instance]?.[0],
    };
  }

  // keyboard

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.data) return;
    const within = event.composedPath()[0];
    if (within.matches?.("input[type=text], select")) return;
    const far = event.shiftKey ? 10 : 1;
    if (event.key === "ArrowRight") this.seek(this.position + far);
    else if (event.key === "ArrowLeft") this.seek(this.position - far);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.total);
    else if (event.key === " " && !within.matches?.("button, summary, input")) this.playOrPause();
    else if (event.key === "b" || event.key === "B") this.toBreak(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
  }
}

function lengthOf(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}
