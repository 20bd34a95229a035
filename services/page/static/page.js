import { actionButton } from './actions.js';
import {
  $,
  arrange,
  commandLine,
  count,
  definitions,
  make,
  marks,
  setText,
  shortTime,
  timeOfDay,
} from './dom.js';
import { drawHeadings, drawRelays } from './relays.js';
import { remember, sinceMs, view } from './view.js';

// What a replica tells, drawn as it comes.

/** Without a sign of life for so long, what is shown is stale. The replica gives one every 2 s. */
const staleAfterMs = 6000;
/** Many changes are drawn at once. */
const drawDelayMs = 200;
/** A replica renders its state at most twice a second: sooner, it might tell what was before the news. */
const newsDelayMs = 600;
const mostEvents = 10_000;
const mostShownEvents = 200;

let status;
let relays;
let events = [];
/** The last event of each relay, by set and id. */
const lastOf = new Map();

// The top.

let stale = '';
function drawStatus() {
  if (!status) {
    return;
  }
  const { level, summary, advice, problems, replica } = status;
  $('#summary').className = `card ${stale ? 'stale' : level}`;
  setText($('#summary .mark'), stale ? '…' : marks[level]);
  setText($('#summary .sentence'), stale ? `Stale. Last known: ${summary}` : summary);
  setText($('#summary .advice'), advice ?? '');
  setText($('#replica'), `${replica.name}, ${replica.version}`);
  setText($('#live'), stale || `live, ${timeOfDay(status.at)}`);
  document.title = `${stale ? '…' : marks[level]} Holdfast`;
  // A single one is at the top already.
  $('#problems').hidden = problems.length < 2;
  $('#problems ul').replaceChildren(
    ...problems.map((problem) =>
      make(
        'li',
        { className: problem.level },
        make('span', { className: 'mark', title: problem.level }, marks[problem.level]),
        make('div', {}, make('p', {}, problem.text), make('p', { className: 'quiet' }, problem.advice)),
      ),
    ),
  );
  drawReplicas(status);
}

function drawReplicas({ etcd, replicas }) {
  const answer = etcd.answers ? 'answers' : `is lost, for ${etcd.lostForSeconds} s: ${etcd.reason}`;
  const updates = etcd.updates ? '' : '; this replica gets no updates from it';
  $('#replicas').replaceChildren(
    make('li', {}, `${etcd.answers && etcd.updates ? marks.ok : marks.critical} etcd ${answer}${updates}`),
    ...replicas.map(({ name, isOwn, differing }) => {
      const difference = differing.length > 0 ? `, with different values for ${differing.join(', ')}` : '';
      const own = isOwn ? ' (this one)' : '';
      return make('li', {}, `${difference ? marks.warning : marks.ok} replica ${name}${own}${difference}`);
    }),
  );
}

// Events.

/** The place of the last one that was told. */
let lastSequence = 0;

/** They come in order, but for a console, which hears what was before from one replica after the other. */
function addEvent(event) {
  let place = events.length;
  while (place > 0 && events[place - 1].at > event.at) {
    place--;
  }
  events.splice(place, 0, event);
  const key = `${event.set}/${event.relay}`;
  if (event.relay && !event.type.startsWith('calls-') && !(lastOf.get(key)?.at > event.at)) {
    lastOf.set(key, event);
  }
}

/** Made once. */
const elements = new WeakMap();

function elementOf(event) {
  let element = elements.get(event);
  if (!element) {
    element = make(
      'li',
      { className: event.severity },
      make('time', { dateTime: event.at, title: event.at }, shortTime(event.at)),
      make('span', { className: 'mark', title: event.severity }, marks[event.severity] ?? ''),
      make('span', {}, event.text),
    );
    elements.set(event, element);
  }
  return element;
}

function drawEvents() {
  const fromMs = Date.now() - sinceMs[view.since];
  const shown = events.filter(({ at }) => new Date(at).getTime() >= fromMs);
  const latest = shown.slice(-mostShownEvents).reverse();
  arrange($('#events'), latest.map(elementOf));
  const more = shown.length - latest.length;
  $('#no-events').hidden = shown.length > 0 && more === 0;
  setText(
    $('#no-events'),
    more > 0
      ? `${count(more)} earlier ones: holdfast events --since ${view.since}`
      : 'Nothing happened in this time.',
  );
}

// A call.

async function findCall() {
  const id = view.call;
  const found = $('#found');
  if (!id) {
    found.replaceChildren();
    return;
  }
  try {
    const response = await fetch(`/api/v1/calls/${encodeURIComponent(id)}`);
    const call = await response.json();
    if (id === view.call) {
      found.replaceChildren(...(response.ok ? callElements(call) : [make('p', {}, call.error)]));
    }
  } catch {
    found.replaceChildren(make('p', {}, 'This replica does not answer.'));
  }
}

function callElements(call) {
  const gone = call.registered ? '' : ', which is not registered';
  return [
    make('h3', {}, call.callId),
    definitions([
      ['relay', `${call.set}/${call.relay}${gone}`],
      ['state', `${call.state} (${call.freshness})`],
      ['generation', count(call.generation)],
      ['control', call.registered?.controlUrl ?? '–'],
      ['lives', `until ${shortTime(call.expiresAt)} at least`],
    ]),
    make(
      'div',
      { className: 'scroll' },
      make(
        'table',
        {},
        make(
          'thead',
          {},
          make(
            'tr',
            {},
            ...['since', 'generation', 'relay', 'why', 'by'].map((name) => make('th', {}, name)),
          ),
        ),
        make(
          'tbody',
          {},
          ...call.stays.map(({ since, generation, relay, reason, by }) =>
            make(
              'tr',
              {},
              ...[since ? shortTime(since) : '–', count(generation), relay, reason, by].map((text) =>
                make('td', {}, text),
              ),
            ),
          ),
        ),
      ),
    ),
    ...[
      actionButton(
        'Move',
        'move',
        { callId: call.callId, set: call.set, branch: call.branch, generation: call.generation },
        `The call leaves ${call.set}/${call.relay}. Its media follow with the next offer of its proxy.`,
      ),
    ].filter(Boolean),
    ...call.commands.map(commandLine),
  ];
}

// News.

let drawing = false;

function drawSoon() {
  if (!drawing) {
    drawing = true;
    setTimeout(() => {
      drawing = false;
      drawRelays(relays, lastOf);
      drawEvents();
    }, drawDelayMs);
  }
}

let reading;

/** One request at a time, and one more if there was news meanwhile. */
async function refresh() {
  if (reading) {
    reading.again = true;
    return;
  }
  reading = { again: false };
  try {
    const answers = await Promise.all(['status', 'relays'].map((name) => fetch(`/api/v1/${name}`)));
    if (!answers.every(({ ok }) => ok)) {
      throw new Error('refused');
    }
    const [next, nextRelays] = await Promise.all(answers.map((answer) => answer.json()));
    status = next;
    relays = nextRelays;
    alive();
    drawSoon();
  } catch {
    setStale();
  }
  const { again } = reading;
  reading = undefined;
  if (again) {
    await refresh();
  }
}

let staleTimer;

function alive() {
  clearTimeout(staleTimer);
  staleTimer = setTimeout(setStale, staleAfterMs);
  stale = '';
  drawStatus();
}

function setStale() {
  stale ||= `stale since ${timeOfDay(status?.at ?? Date.now())}; trying again`;
  setText($('#live'), stale);
  drawStatus();
}

let life;
/** It will be asked what has changed. */
let hasNews = false;

function listen() {
  const source = new EventSource('/api/v1/events?since=86400');
  source.addEventListener('beat', ({ data }) => {
    if (data !== life) {
      // Another replica, or this one after a restart: it tells anew what it knows.
      life = data;
      events = [];
      lastSequence = 0;
      lastOf.clear();
    }
    void refresh();
  });
  source.addEventListener('message', ({ data }) => {
    const event = JSON.parse(data);
    if (event.sequence <= lastSequence) {
      return;
    }
    lastSequence = event.sequence;
    addEvent(event);
    if (events.length > mostEvents) {
      events = events.slice(-mostEvents / 2);
    }
    drawSoon();
    if (!hasNews && Date.now() - new Date(event.at).getTime() < staleAfterMs) {
      hasNews = true;
      setTimeout(() => {
        hasNews = false;
        void refresh();
      }, newsDelayMs);
    }
  });
  source.addEventListener('error', () => {
    setStale();
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      setTimeout(listen, 3000);
    }
  });
}

// Controls.

function changed() {
  remember();
  drawHeadings(changed);
  drawRelays();
  drawEvents();
}

function bindControls() {
  $('#filter').value = view.filter;
  $('#trouble').checked = view.trouble;
  $('#call').value = view.call;
  $(`#since input[value="${view.since}"]`).checked = true;
  $('#filters').addEventListener('submit', (event) => event.preventDefault());
  $('#filter').addEventListener('input', ({ target }) => {
    view.filter = target.value;
    changed();
  });
  $('#set').addEventListener('change', ({ target }) => {
    view.set = target.value;
    changed();
  });
  $('#trouble').addEventListener('change', ({ target }) => {
    view.trouble = target.checked;
    changed();
  });
  $('#since').addEventListener('change', ({ target }) => {
    view.since = target.value;
    changed();
  });
  $('#find').addEventListener('submit', (event) => {
    event.preventDefault();
    view.call = $('#call').value.trim();
    remember();
    void findCall();
  });
}

bindControls();
drawHeadings(changed);
drawRelays();
drawEvents();
listen();
void findCall();
setInterval(drawSoon, 10_000);
