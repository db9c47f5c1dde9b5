// What may be in a picture: its text can hold anything that is stored. Read after elements.js.

const ELEMENTS = new Set(
  "svg g path rect circle ellipse line polyline polygon text tspan title desc defs marker clipPath".split(" "),
);
const ATTRIBUTES = new Set(
  (
    "id class d points x y x1 y1 x2 y2 cx cy r rx ry dx dy width height viewBox transform role opacity " +
    "fill fill-opacity fill-rule stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin stroke-opacity " +
    "font-family font-size font-weight font-style text-anchor dominant-baseline text-decoration " +
    "marker-start marker-mid marker-end markerWidth markerHeight orient refX refY clip-path preserveAspectRatio"
  ).split(" "),
);
const LOCAL_URL = /^url\(#[\w-]+\)$/;

function sanitise(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = parsed.documentElement;
  if (parsed.querySelector("parsererror") || root.namespaceURI !== NS || root.localName !== "svg") return null;
  return copyOf(root);
}

function copyOf(source) {
  const target = document.createElementNS(NS, source.localName);
  for (const { name, value } of source.attributes) {
    if (ATTRIBUTES.has(name) && (!/url\(/i.test(value) || LOCAL_URL.test(value.trim()))) {
      target.setAttribute(name, value);
    }
  }
  for (const child of source.childNodes) append(target, child);
  return target;
}

function append(target, child) {
  if (child.nodeType === Node.TEXT_NODE) {
    target.append(document.createTextNode(child.data));
  } else if (child.nodeType === Node.ELEMENT_NODE && child.namespaceURI === NS) {
    if (ELEMENTS.has(child.localName)) target.append(copyOf(child));
    else if (child.localName === "a") for (const inner of child.childNodes) append(target, inner);
  }
}
