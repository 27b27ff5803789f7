const svgNS = 'http://www.w3.org/2000/svg';

/**
 * Makes an element. Properties whose name starts with "on" become listeners,
 * the rest attributes; false and null leave an attribute out.
 * @param {string} tag
 * @param {Record<string, any> | null} [attrs]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function h(tag, attrs, ...children) {
  const el = document.createElement(tag);
  apply(el, attrs);
  el.append(...children.filter((c) => c != null).map((c) => c ?? ''));
  return el;
}

/**
 * Makes an SVG element.
 * @param {string} tag
 * @param {Record<string, any> | null} [attrs]
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function s(tag, attrs, ...children) {
  const el = document.createElementNS(svgNS, tag);
  apply(el, attrs);
  el.append(...children);
  return el;
}

/** @param {Element} el @param {Record<string, any> | null} [attrs] */
function apply(el, attrs) {
  for (const [key, value] of Object.entries(attrs ?? {})) {
    if (value === false || value == null) continue;
    if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? '' : String(value));
  }
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const el = document.getElementById(id);
  if (!el) throw new Error(`page has no #${id}`);
  return el;
}

/**
 * Sets text only where it differs, so that polling disturbs neither selections
 * nor screen readers.
 * @param {Element} el
 * @param {string} text
 */
export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}
