import { type Relay, RelayEvent, type WatchRelaysResponse } from '../client/index.js';
import { causeText } from '../domain/cause.js';
import { counted, timeOfDay } from './output.js';
import { relayTable, stateOf } from './relay-table.js';
import { cut, printable, type Terminal, terminalOf } from './terminal.js';

/** A burst of changes is drawn once, ms. */
const drawDelayMs = 100;
/** Times go on without changes, ms. */
const redrawMs = 1000;
const mostChanges = 10;
const usualHeight = 24;

const toTop = '\x1b[H';
const clearRestOfLine = '\x1b[K';
const clearBelow = '\x1b[J';

/** The relays of a watch, and their last changes, on a terminal: drawn again as they change. */
export class RelayScreen {
  readonly #out: NodeJS.WriteStream;
  readonly #view = new RelayView();
  #pending: NodeJS.Timeout | undefined;
  #clock: NodeJS.Timeout | undefined;
  readonly #onResize = () => this.#draw();

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  start(): void {
    this.#clock = setInterval(() => this.#draw(), redrawMs);
    this.#out.on('resize', this.#onResize);
  }

  /** What was drawn last stays on the terminal. */
  stop(): void {
    clearInterval(this.#clock);
    clearTimeout(this.#pending);
    this.#out.off('resize', this.#onResize);
  }

  /** Whether it has ever had all relays. */
  get hasSynced(): boolean {
    return this.#view.hasSynced;
  }

  show(event: WatchRelaysResponse): void {
    this.#view.apply(event, new Date());
    this.#pending ??= setTimeout(() => this.#draw(), drawDelayMs);
  }

  /** The watch has ended; another one will tell of all relays again. */
  lost(reason: string): void {
    this.#view.lost(reason, new Date());
    this.#draw();
  }

  #draw(): void {
    clearTimeout(this.#pending);
    this.#pending = undefined;
    const lines = this.#view.lines(terminalOf(this.#out), this.#out.rows || usualHeight);
    this.#out.write(toTop + lines.map((line) => `${line}${clearRestOfLine}`).join('\n') + clearBelow);
  }
}

/** What there is to see of a watch. */
export class RelayView {
  readonly #relays = new Map<string, Relay>();
  /** The latest last. */
  readonly #changes: string[] = [];
  /** Relays that the watch has told of; undefined once it has told of all that are there. */
  #snapshot: Set<string> | undefined = new Set();
  #stale = '';
  hasSynced = false;

  lost(reason: string, at: Date): void {
    this.#snapshot = new Set();
    this.#stale ||= printable(`stale since ${timeOfDay(at)}, trying again: ${reason}`);
  }

  apply({ type, relay }: WatchRelaysResponse, at: Date): void {
    if (type === RelayEvent.SYNCED) {
      this.#synced(at);
    }
    if (!relay) {
      return;
    }
    this.#snapshot?.add(`${relay.set}/${relay.id}`);
    const name = `${relay.set}/${relay.id}`;
    this.#note(at, name, changeOf(type, this.#relays.get(name), relay));
    if (type === RelayEvent.LEFT) {
      this.#relays.delete(name);
    } else {
      this.#relays.set(name, relay);
    }
  }

  #synced(at: Date): void {
    for (const [name, relay] of this.#relays) {
      if (this.#snapshot && !this.#snapshot.has(name)) {
        this.#note(at, name, changeOf(RelayEvent.LEFT, relay, relay));
        this.#relays.delete(name);
      }
    }
    this.#snapshot = undefined;
    this.#stale = '';
    this.hasSynced = true;
  }

  #note(at: Date, name: string, change: string | undefined): void {
    if (change !== undefined) {
      this.#changes.push(printable(`${timeOfDay(at)}  ${name} ${change}`));
      this.#changes.splice(0, this.#changes.length - mostChanges);
    }
  }

  /** No more lines than the terminal has, and none that is longer: one that wraps would push the first one out. */
  lines(terminal: Terminal, height: number): string[] {
    const { width = Number.POSITIVE_INFINITY } = terminal;
    const relays = [...this.#relays.values()].sort(bySetAndId);
    const title = cut(`${counted(relays.length, 'relay')}, ${stateCounts(relays)} (Ctrl-C ends)`, width);
    // The title, a line for what is wrong, and the last line, where the cursor stays.
    const room = Math.max(1, height - 3);
    const rows = relays.length > 0 ? relayTable(relays, terminal) : [];
    const shown =
      rows.length <= room ? rows : [...rows.slice(0, room - 1), `… ${rows.length - room + 1} more`];
    const left = room - shown.length - 1;
    const changes = left > 0 ? this.#changes.slice(-left).map((line) => cut(line, width)) : [];
    return [title, cut(this.#stale, width), ...shown, ...(changes.length > 0 ? ['', ...changes] : []), ''];
  }
}

/** Undefined for a load report. */
function changeOf(type: RelayEvent, before: Relay | undefined, relay: Relay): string | undefined {
  if (type === RelayEvent.JOINED) {
    return `joined, ${stateOf(relay)}`;
  }
  if (type === RelayEvent.LEFT) {
    return `left, with ${counted(relay.load?.calls, 'call')}`;
  }
  if (!before) {
    return undefined;
  }
  const state = stateOf(before) === stateOf(relay) ? '' : `is ${stateOf(relay)}: ${why(relay)}`;
  const changes = [
    state.replace(/: $/, ''),
    before.weight === relay.weight ? '' : `now has weight ${relay.weight} instead of ${before.weight}`,
    before.instance === relay.instance ? '' : 'has a new instance: it was restarted',
  ];
  return changes.filter(Boolean).join('; ') || undefined;
}

function why({ reason, actor }: Relay): string {
  return causeText(reason, actor);
}

function stateCounts(relays: readonly Relay[]): string {
  const counts = new Map<string, number>();
  for (const relay of relays) {
    counts.set(stateOf(relay), (counts.get(stateOf(relay)) ?? 0) + 1);
  }
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ') || 'none registered';
}

function bySetAndId(a: Relay, b: Relay): number {
  return a.set === b.set ? compare(a.id, b.id) : compare(a.set, b.set);
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
