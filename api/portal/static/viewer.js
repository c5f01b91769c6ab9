// Zooming and moving the pictures of a scan, all of them together. Without it they are there at their own size.
"use strict";

const [SMALLEST, LARGEST, STEP, MOVE] = [1, 8, 1.25, 0.1];

/** One place with pictures: `scale` as often as large, its middle moved by `x` and `y` of a picture's size. */
class Viewer {
  constructor(place) {
    this.place = place;
    this.panes = place.querySelector("[data-panes]");
    this.layers = [...place.querySelectorAll(".layers")];
    this.output = place.querySelector("[data-zoom-value]");
    this.percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
    this.pointers = new Map();
    for (const part of place.querySelectorAll("[data-with-script]")) part.hidden = false;
    this.panes.tabIndex = 0;
    this.panes.setAttribute("role", "group");
    this.panes.setAttribute("aria-label", this.panes.dataset.label);
    this.panes.setAttribute("aria-describedby", "viewer-help");
    this.listen();
    this.reset();
  }

  listen() {
    const acts = {
      in: () => this.zoom(STEP),
      out: () => this.zoom(1 / STEP),
      reset: () => this.reset(),
    };
    for (const button of this.place.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", acts[button.dataset.zoom]);
    }
    this.panes.addEventListener("keydown", (event) => this.pressed(event));
    for (const pane of this.place.querySelectorAll(".pane")) {
      pane.addEventListener("wheel", (event) => this.turned(event, pane), { passive: false });
      pane.addEventListener("pointerdown", (event) => this.grabbed(event, pane));
      pane.addEventListener("pointermove", (event) => this.dragged(event, pane));
      for (const end of ["pointerup", "pointercancel"]) {
        pane.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
      }
      pane.addEventListener("dblclick", (event) => this.zoom(STEP * STEP, this.within(event, pane)));
    }
  }

  reset() {
    [this.scale, this.x, this.y] = [1, 0, 0];
    this.show();
  }

  /** Zoom so that the spot `at`, as shares of the pane from its middle, stays where it is. */
  zoom(factor, at = { x: 0, y: 0 }) {
    const scale = Math.min(Math.max(this.scale * factor, SMALLEST), LARGEST);
    const change = scale / this.scale;
    this.x = at.x - (at.x - this.x) * change;
    this.y = at.y - (at.y - this.y) * change;
    this.scale = scale;
    this.show();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.show();
  }

  show() {
    const most = (this.scale - 1) / 2; // no edge of the picture comes inside its pane
    this.x = Math.min(Math.max(this.x, -most), most);
    this.y = Math.min(Math.max(this.y, -most), most);
    const transform = `translate(${this.x * 100}%, ${this.y * 100}%) scale(${this.scale})`;
    for (const layer of this.layers) layer.style.transform = transform;
    const shown = this.percent.format(this.scale);
    if (this.output.textContent !== shown) this.output.textContent = shown;
    this.panes.classList.toggle("zoomed", this.scale > SMALLEST);
  }

  pressed(event) {
    if (event.target !== this.panes || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowLeft: () => this.move(MOVE, 0),
      ArrowRight: () => this.move(-MOVE, 0),
      ArrowUp: () => this.move(0, MOVE),
      ArrowDown: () => this.move(0, -MOVE),
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      0: () => this.reset(),
    };
    const isMove = event.key.startsWith("Arrow");
    if (!(event.key in acts) || (isMove && this.scale === SMALLEST)) return; // then arrows scroll the page
    event.preventDefault();
    acts[event.key]();
  }

  /** The wheel scrolls the page until somebody has clicked into the pictures, or presses Ctrl. */
  turned(event, pane) {
    const isMeant = event.ctrlKey || document.activeElement === this.panes;
    if (!isMeant || (this.scale === SMALLEST && event.deltaY > 0 && !event.ctrlKey)) return;
    event.preventDefault();
    this.zoom(STEP ** (-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY) / 100, 1)), this.within(event, pane));
  }

  grabbed(event, pane) {
    pane.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
  }

  dragged(event, pane) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers.values()].filter((other) => other.pointerId !== event.pointerId);
    const { width, height } = pane.getBoundingClientRect();
    this.pointers.set(event.pointerId, event);
    if (others.length === 1) {
      this.zoom(apart(event, others[0]) / Math.max(apart(before, others[0]), 1), this.within(between(event, others[0]), pane));
    }
    const share = 1 / (others.length + 1);
    this.move(((event.clientX - before.clientX) / width) * share, ((event.clientY - before.clientY) / height) * share);
  }

  within(spot, pane) {
    const { left, top, width, height } = pane.getBoundingClientRect();
    return { x: (spot.clientX - left) / width - 0.5, y: (spot.clientY - top) / height - 0.5 };
  }
}

function apart(one, other) {
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
}

function between(one, other) {
  return { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 };
}

function connectViewers(within) {
  for (const place of within.querySelectorAll("[data-viewer]")) new Viewer(place);
}

connectViewers(document);
// The live region is put in anew when a job ends.
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node.id === "live") connectViewers(node);
  }
}).observe(document.getElementById("main"), { childList: true });
