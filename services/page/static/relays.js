import { actionButton } from './actions.js';
import { $, ago, arrange, commandLine, count, definitions, make, setText } from './dom.js';
import { remember, view } from './view.js';

// The table of relays.

const stateMarks = { active: '●', draining: '◐', disabled: '○', full: '▲', suspect: '?', gone: '✕' };
/** Of one set, unless all are asked for: the layout of a thousand rows takes long, and nobody reads them. */
const mostRows = 200;
const collator = new Intl.Collator('en', { numeric: true });
const expanded = new Set();
let data = { relays: [], gone: [], absent: [] };
/** The last event of each relay, by set and id. */
let lastEvents = new Map();

const keyOf = ({ set, id }) => `${set}/${id}`;

const isFull = ({ calls = 0, capacity }) => capacity > 0 && calls >= capacity;
const wordOf = (relay) => {
  if (relay.leftAt) {
    return 'gone';
  }
  return relay.suspect ? 'suspect' : relay.state === 'active' && isFull(relay) ? 'full' : relay.state;
};

function nameCell(relay) {
  const key = keyOf(relay);
  const button = make('button', { type: 'button' }, relay.id);
  button.setAttribute('aria-expanded', String(expanded.has(key)));
  button.addEventListener('click', () => {
    expanded.has(key) ? expanded.delete(key) : expanded.add(key);
    draw();
  });
  return [button];
}

function callsCell(relay) {
  const { calls, capacity, leftAt } = relay;
  if (leftAt) {
    return [calls === undefined ? '–' : `had ${count(calls)}`];
  }
  if (!capacity) {
    return [count(calls)];
  }
  const filled = make('span');
  filled.style.width = `${Math.min(100, (100 * (calls ?? 0)) / capacity)}%`;
  return [`${count(calls)} / ${count(capacity)}`, make('span', { className: 'bar' }, filled)];
}

/** Of the calls of its set, against that of its weight. */
function shareCell({ share, weightShare, leftAt }) {
  const percent = (part) => `${Math.round(100 * part)} %`;
  return [leftAt || share === undefined ? '–' : `${percent(share)} (${percent(weightShare)})`];
}

const packetsCell = ({ packetRate, leftAt }) => [
  leftAt || packetRate === undefined ? '–' : count(Math.round(packetRate)),
];

/** Through which the packets go, where the relay tells. */
function pathCell({ packetRate, kernelPacketRate, leftAt }) {
  if (leftAt || !packetRate || kernelPacketRate === undefined) {
    return ['–'];
  }
  const percent = Math.round((100 * kernelPacketRate) / packetRate);
  return [percent === 0 ? 'user space' : percent === 100 ? 'kernel' : `kernel ${percent} %`];
}

/** A relay node reports at least every 5 s: only what is overdue is worth a number. */
function reportCell({ leftAt, reportAgeSeconds }) {
  if (leftAt || reportAgeSeconds === undefined) {
    return ['–'];
  }
  return [reportAgeSeconds <= 6 ? 'in time' : `${reportAgeSeconds} s old`];
}

function reportAge({ reportAgeSeconds }) {
  return reportAgeSeconds ?? -1;
}

function lastChange(relay) {
  const event = lastEvents.get(keyOf(relay));
  if (event) {
    return {
      ms: new Date(event.at).getTime(),
      text: `${ago(event.at)}: ${event.text.replace(/^relay \S+ /, '')}`,
    };
  }
  return relay.leftAt
    ? { ms: new Date(relay.leftAt).getTime(), text: `${ago(relay.leftAt)}: left: ${relay.leftBecause}` }
    : { ms: 0, text: '–' };
}

const lastCell = (relay) => [lastChange(relay).text];

/** Columns: heading, what is sorted by, and what a cell holds. */
const columns = [
  { name: 'relay', by: ({ id }) => id, cell: nameCell, className: 'name' },
  {
    name: 'state',
    by: wordOf,
    cell: (relay) => [`${stateMarks[wordOf(relay)]} ${wordOf(relay)}`],
    className: 'state',
  },
  { name: 'calls', by: ({ calls }) => calls ?? -1, cell: callsCell, className: 'number' },
  {
    name: 'share (due)',
    by: ({ share }) => share ?? -1,
    cell: shareCell,
    className: 'number minor share',
  },
  {
    name: 'new/s',
    by: ({ newPerSecond }) => newPerSecond ?? -1,
    cell: ({ newPerSecond, leftAt }) => [leftAt ? '–' : count(newPerSecond)],
    className: 'number minor narrow',
  },
  {
    name: 'ping',
    by: ({ pingMs }) => pingMs ?? -1,
    cell: ({ pingMs, leftAt }) => [leftAt || pingMs === undefined ? '–' : `${pingMs.toFixed(1)} ms`],
    className: 'number minor narrow',
  },
  {
    name: 'packets/s',
    by: ({ packetRate }) => packetRate ?? -1,
    cell: packetsCell,
    className: 'number minor',
  },
  { name: 'path', by: (relay) => pathCell(relay)[0], cell: pathCell, className: 'minor path' },
  { name: 'zone', by: ({ zone }) => zone, cell: ({ zone }) => [zone || '–'], className: 'minor zone' },
  { name: 'report', by: reportAge, cell: reportCell, className: 'number minor' },
  { name: 'last change', by: (relay) => -lastChange(relay).ms, cell: lastCell, className: 'last' },
];

function withShares(all) {
  const sums = new Map();
  for (const { set, calls = 0, weight, state } of all) {
    const sum = sums.get(set) ?? { calls: 0, weight: 0 };
    sums.set(set, { calls: sum.calls + calls, weight: sum.weight + (state === 'active' ? weight : 0) });
  }
  return all.map((relay) => {
    const { calls, weight } = sums.get(relay.set);
    const weightShare = weight > 0 && relay.state === 'active' ? relay.weight / weight : 0;
    return { ...relay, weightShare, share: calls > 0 ? (relay.calls ?? 0) / calls : undefined };
  });
}

const isTrouble = (relay) => wordOf(relay) !== 'active' || relay.reportAgeSeconds > 15;

function shownRelays() {
  const words = view.filter.toLowerCase();
  const matches = ({ set, id, zone, kind }) => `${set}/${id} ${zone} ${kind}`.toLowerCase().includes(words);
  const [descending, name] = view.sort.startsWith('-') ? [-1, view.sort.slice(1)] : [1, view.sort];
  const by = columns.find((column) => column.name === name)?.by ?? (({ id }) => id);
  const compare = (a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0);
  // As long as nobody has chosen an order, trouble comes first: a long set is not shown as a whole.
  const order = view.sort
    ? (a, b) => descending * compare(a, b)
    : (a, b) => Number(isTrouble(b)) - Number(isTrouble(a));
  return [...withShares(data.relays), ...data.gone]
    .filter(
      (relay) =>
        (!view.set || relay.set === view.set) && matches(relay) && (!view.trouble || isTrouble(relay)),
    )
    .sort((a, b) => collator.compare(a.set, b.set) || order(a, b) || collator.compare(a.id, b.id));
}

/** @param onSort called when the order was changed */
export function drawHeadings(onSort) {
  $('#relays thead tr').replaceChildren(
    ...columns.map(({ name, className = '' }) => {
      const isSorted = view.sort === name || view.sort === `-${name}`;
      const arrow = view.sort === name ? ' ↑' : isSorted ? ' ↓' : '';
      const button = make('button', { type: 'button' }, `${name}${arrow}`);
      button.addEventListener('click', () => {
        view.sort = view.sort === name ? `-${name}` : name;
        onSort();
        [...document.querySelectorAll('#relays thead button')][
          columns.findIndex((c) => c.name === name)
        ].focus();
      });
      const heading = make('th', { className, scope: 'col' }, button);
      if (isSorted) {
        heading.setAttribute('aria-sort', arrow === ' ↑' ? 'ascending' : 'descending');
      }
      return heading;
    }),
  );
}

/** Rows by key, with what they show: a row is made anew only where that has changed. */
let rows = new Map();

/** @param next what the API tells of relays @param last the last event of each, by set and id */
export function drawRelays(next = data, last = lastEvents) {
  data = next;
  lastEvents = last;
  draw();
}

function draw() {
  const before = rows;
  rows = new Map();
  const put = (key, shape, elementsOf) => {
    const known = before.get(key);
    rows.set(key, known?.shape === shape ? known : { shape, elements: elementsOf() });
  };
  const shown = shownRelays();
  const sizes = new Map();
  for (const { set } of shown) {
    sizes.set(set, (sizes.get(set) ?? 0) + 1);
  }
  const drawn = new Map();
  for (const relay of shown) {
    const { set } = relay;
    if (!rows.has(set)) {
      const more = view.all ? 0 : Math.max(0, sizes.get(set) - mostRows);
      const text = textOfSet(set);
      put(set, `${text} ${more}`, () => [setRow(text, more)]);
    }
    const place = drawn.get(set) ?? 0;
    drawn.set(set, place + 1);
    if (place >= mostRows && !view.all) {
      continue;
    }
    const key = keyOf(relay);
    const shape = { ...relay, cpu: undefined, bindings: undefined, reportAgeSeconds: reportCell(relay) };
    put(key, JSON.stringify([shape, lastChange(relay).text, expanded.has(key)]), () => relayRows(relay));
  }
  replaceRows([...rows.values()].flatMap(({ elements }) => elements));
  $('#no-relays').hidden = shown.length > 0;
  const isEmpty = data.relays.length + data.gone.length === 0;
  const none = view.trouble ? 'No relay is in trouble.' : 'No relay matches.';
  setText($('#no-relays'), isEmpty ? 'No relay is registered.' : none);
  drawSets();
}

function replaceRows(next) {
  const body = $('#relays tbody');
  const focused = document.activeElement?.closest('tr[data-key]')?.dataset.key;
  arrange(body, next);
  if (focused && !body.contains(document.activeElement)) {
    rows.get(focused)?.elements[0]?.querySelector('button')?.focus();
  }
}

function textOfSet(set) {
  const ofSet = data.relays.filter((relay) => relay.set === set);
  const calls = ofSet.reduce((sum, relay) => sum + (relay.calls ?? 0), 0);
  return `set ${set}: ${count(ofSet.length)} registered, ${count(calls)} calls`;
}

/** @param more relays that are not shown */
function setRow(text, more) {
  const heading = make('th', { colSpan: columns.length, scope: 'colgroup' }, text);
  if (more > 0) {
    const all = make('button', { type: 'button', className: 'all' }, 'show all');
    all.addEventListener('click', () => {
      view.all = true;
      remember();
      draw();
    });
    heading.append(`; ${count(more)} of them not shown: filter, or `, all);
  }
  return make('tr', { className: 'set' }, heading);
}

function relayRows(relay) {
  const key = keyOf(relay);
  const cells = columns.map(({ name, cell, className = '' }) =>
    make('td', { className: name === 'state' ? `state ${wordOf(relay)}` : className }, ...cell(relay)),
  );
  const row = make('tr', { className: wordOf(relay) }, ...cells);
  row.dataset.key = key;
  return expanded.has(key)
    ? [row, make('tr', {}, make('td', { colSpan: columns.length }, ...details(relay)))]
    : [row];
}

function details(relay) {
  const { intent } = relay;
  const list = [
    ['instance', relay.instance],
    ['kind', `${relay.kind} ${relay.version}`],
    ['control', [relay.controlUrl, relay.rtpproxyUrl].filter(Boolean).join(', ')],
    [
      'media',
      Object.entries(relay.media)
        .map(([name, address]) => `${name} ${address}`)
        .join(', '),
    ],
    ['last change', lastChange(relay).text],
    ['weight', count(relay.weight)],
    ['features', relay.features.join(', ')],
    [
      'labels',
      Object.entries(relay.labels)
        .map((pair) => pair.join('='))
        .join(', '),
    ],
    [
      'intent',
      intent &&
        [intent.state, intent.reason, intent.by && `by ${intent.by}`, ago(intent.at)]
          .filter(Boolean)
          .join(', '),
    ],
    ['left', relay.leftAt && `${relay.leftAt}: ${relay.leftBecause}`],
  ].filter(([, value]) => value);
  return [
    definitions(list),
    ...(relay.leftAt ? [] : [actionOf(relay), ...relay.commands.map(commandLine)].filter(Boolean)),
  ];
}

function actionOf({ set, id, state, calls }) {
  return state === 'active'
    ? actionButton(
        'Drain',
        'drain',
        { set, id },
        `${set}/${id} gets no new calls; its ${count(calls)} calls go on.`,
      )
    : actionButton('Resume', 'resume', { set, id }, `${set}/${id} takes new calls again.`);
}

function drawSets() {
  const names = [...new Set([...data.relays, ...data.gone].map(({ set }) => set))].sort();
  const wanted = ['', ...new Set([...names, view.set].filter(Boolean))];
  const select = $('#set');
  if ([...select.options].map(({ value }) => value).join('\n') !== wanted.join('\n')) {
    select.replaceChildren(...wanted.map((value) => make('option', { value }, value || 'all')));
  }
  select.value = view.set;
}
