// Making and filling elements. Texts come from outside and are set as text, never as markup.

export const $ = (selector) => document.querySelector(selector);
export const marks = { ok: '✓', info: '·', warning: '!', critical: '✕' };

/** @returns an element with these properties and children; children that are text stay text */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== undefined && child !== ''));
  return element;
}

/** Writes only what has changed: a text that is selected stays selected. */
export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Makes these the children. Those that stay are not touched: to move them would cost their layout, and what is selected in them. */
export function arrange(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children].filter((each) => !kept.has(each))) {
    child.remove();
  }
  let at = parent.firstChild;
  for (const child of children) {
    if (child === at) {
      at = at.nextSibling;
    } else {
      parent.insertBefore(child, at);
    }
  }
}

const grouped = new Intl.NumberFormat('en-US');
export const count = (number) => (number === undefined ? '?' : grouped.format(number));
export const timeOfDay = (at) => new Date(at).toLocaleTimeString('en-GB');

/** With the day of the week, where it is not today. */
export function shortTime(at) {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return isToday
    ? timeOfDay(at)
    : `${new Date(at).toLocaleDateString('en-GB', { weekday: 'short' })} ${timeOfDay(at)}`;
}

export function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(at).getTime()) / 1000));
  const [size, unit] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'm'],
    [1, 's'],
  ].find(([least]) => seconds >= least) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** A list of names and values. */
export const definitions = (list) =>
  make('dl', {}, ...list.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)]));

/** A command with a button that copies it, or selects it where the browser keeps the clipboard to itself. */
export function commandLine(command) {
  const copy = make('button', { type: 'button' }, 'copy');
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(command);
      setText(copy, 'copied');
    } catch {
      getSelection().selectAllChildren(copy.previousSibling);
      setText(copy, 'selected');
    }
  });
  return make('div', { className: 'command' }, make('code', {}, command), copy);
}
