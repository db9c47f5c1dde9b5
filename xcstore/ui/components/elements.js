// What the pictures share; read before the script of each.

const NS = "http://www.w3.org/2000/svg";

function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function icon(d) {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(NS, "path");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

function isDark(element) {
  const paper = getComputedStyle(element).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [255, 255, 255];
  const scale = Math.max(...paper.slice(0, 3)) <= 1 ? 255 : 1; // color(srgb …) counts from 0 to 1
  const [r, g, b] = paper.map((part) => part * scale);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 128;
}
