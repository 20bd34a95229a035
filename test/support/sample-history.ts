import { check } from '../chaos/check/check.js';
import type { CheckName } from '../chaos/check/violation.js';
import type { Answer, HistoryRecord, LogRecord, Method, ReturnRecord } from '../chaos/record/records.js';

export interface BindingFields {
  readonly relay?: string;
  readonly instance?: string;
  readonly generation?: number;
  readonly request?: string;
  /** Identifies the binding: a call that begins again has another value. */
  readonly createdAtMs?: number;
  readonly expiresAtMs?: number;
  readonly state?: 'setup' | 'answered' | 'released';
  /** The request that began the call; `q1`, if not said. */
  readonly begun?: string;
}

export interface RequestFields {
  readonly replica?: string;
  readonly life?: number;
  readonly request?: string;
  readonly generation?: number;
  /** How long it took, ms. */
  readonly tookMs?: number;
}

export type ReplyFields = Partial<Omit<ReturnRecord, 'answer'>> & {
  readonly answer?: BindingFields & Partial<Answer>;
};

/** When a history begins, ms since 1970. */
const beginMs = 1_800_000_000_000;
const tickPeriodMs = 250;

/** A hand-written history of one call, and etcd's log of it, for the checker. */
export class SampleHistory {
  readonly #history: HistoryRecord[] = [
    {
      type: 'run',
      atMs: beginMs,
      seed: 0,
      setupTtlSeconds: 15,
      callTtlSeconds: 30,
      lingerSeconds: 20,
      replicas: ['s1'],
      relays: ['r1'],
    },
  ];
  readonly #log: LogRecord[] = [{ type: 'start', atMs: beginMs, revision: 1 }];
  #versions = new Map<string, number>();
  #snapshot = { revision: 0, versions: new Map<string, number>() };
  #nowMs = beginMs;
  #revision = 1;
  #operations = 0;

  /** Lets time pass, in which etcd answers the periodic reads at once. */
  pass(seconds: number): this {
    for (let left = seconds * 1000; left > 0; left -= tickPeriodMs) {
      this.#nowMs += Math.min(left, tickPeriodMs);
      this.#tick();
    }
    return this;
  }

  register(relay: string, instance: string): this {
    return this.#put(`relays/default/${relay}`, { instance });
  }

  unregister(relay: string): this {
    return this.#delete(`relays/default/${relay}`);
  }

  /** Writes a binding of the call to etcd. If `unpublished`, without the key that tells caches of a move or another beginning. */
  bind(fields: BindingFields = {}, { unpublished = false } = {}): this {
    const { generation = 1, expiresAtMs = this.#nowMs + 22_500, createdAtMs = 0 } = fields;
    const { state = 'setup', begun = 'q1' } = fields;
    this.#put('calls/c/default', {
      relay: fields.relay ?? 'r1',
      instance: fields.instance ?? 'i1',
      state,
      generation,
      request: fields.request ?? 'q1',
      begun,
      createdAt: new Date(beginMs + createdAtMs).toISOString(),
      ttlSeconds: 15,
      expiresAt: new Date(expiresAtMs).toISOString(),
    });
    if ((generation > 1 || begun !== 'q1') && !unpublished) {
      this.#revision--;
      this.#put('moves/c/default', { generation });
    }
    return this;
  }

  unbind(): this {
    return this.#delete('calls/c/default');
  }

  /** Saves what etcd has, for `restore`. */
  save(): this {
    this.#snapshot = { revision: this.#revision, versions: new Map(this.#versions) };
    return this;
  }

  /** etcd comes back empty. */
  wipe(): this {
    return this.#lose(0, new Map());
  }

  /** etcd comes back as it was when it was saved. */
  restore(): this {
    return this.#lose(this.#snapshot.revision, this.#snapshot.versions);
  }

  /** The last fault is healed. */
  heal(): this {
    this.#history.push({ type: 'healed', atMs: this.#nowMs });
    return this;
  }

  /** The replica lists these relays. */
  probe(relays: readonly string[], fresh = true): this {
    this.#history.push({ type: 'probe', atMs: this.#nowMs, replica: 's1', fresh, relays });
    return this;
  }

  /** The relay says that it carries the call. */
  carry(relay: string): this {
    const askedAtMs = this.#nowMs;
    this.#nowMs += 10;
    this.#history.push({ type: 'census', askedAtMs, atMs: this.#nowMs, relay, calls: ['c'] });
    return this;
  }

  /** A fault for this long. */
  fault(kind: string, subject: string, seconds: number, stepMs = 0): this {
    const id = this.#history.length;
    this.#history.push({ type: 'fault', id, kind, subject, phase: 'begin', atMs: this.#nowMs, stepMs });
    this.pass(seconds);
    this.#history.push({ type: 'fault', id, kind, subject, phase: 'end', atMs: this.#nowMs });
    return this;
  }

  /** An operation and its outcome. */
  ask(method: Method, sent: RequestFields, received: ReplyFields = {}): this {
    const { replica = 's1', life = 1, request, generation, tookMs = 10 } = sent;
    const op = ++this.#operations;
    this.#history.push({
      type: 'invoke',
      op,
      atMs: this.#nowMs,
      method,
      callId: 'c',
      replica,
      life,
      ...(request === undefined ? {} : { requestId: request }),
      ...(generation === undefined ? {} : { generation }),
    });
    this.#nowMs += tookMs;
    const { answer, ...rest } = received;
    this.#history.push({
      type: 'return',
      op,
      atMs: this.#nowMs,
      life,
      outcome: 'ok',
      ...rest,
      ...(answer ? { answer: whole(answer) } : {}),
    });
    this.#nowMs += 10;
    return this;
  }

  /** The checks that the history violates. */
  get violations(): CheckName[] {
    return [...new Set(this.verdict.violations.map(({ check: name }) => name))];
  }

  get verdict() {
    this.pass(60);
    return check(this.#history, this.#log);
  }

  /** Removes the last put from the watch log. */
  lose(): this {
    this.#log.splice(
      this.#log.findLastIndex(({ type }) => type === 'put'),
      1,
    );
    return this;
  }

  #lose(restoredFrom: number, versions: ReadonlyMap<string, number>): this {
    this.#tick();
    this.#versions = new Map(versions);
    this.#log.push({ type: 'epoch', revision: ++this.#revision, atMs: this.#nowMs + 1, restoredFrom });
    this.#nowMs += 2;
    return this;
  }

  #put(key: string, value: object): this {
    const version = (this.#versions.get(key) ?? 0) + 1;
    return this.#event({ type: 'put', key, value: JSON.stringify(value), version });
  }

  #delete(key: string): this {
    return this.#event({ type: 'delete', key, version: 0 });
  }

  #event(event: { type: 'put' | 'delete'; key: string; value?: string; version: number }): this {
    this.#tick();
    this.#versions.set(event.key, event.version);
    this.#log.push({ ...event, revision: ++this.#revision, atMs: this.#nowMs + 1 });
    this.#nowMs += 2;
    return this;
  }

  #tick(): void {
    const atMs = this.#nowMs;
    this.#log.push({ type: 'tick', askedAtMs: atMs, atMs, revision: this.#revision });
  }
}

function whole({ createdAtMs = 0, ...answer }: BindingFields & Partial<Answer>): Answer {
  return {
    relay: 'r1',
    instance: 'i1',
    generation: 1,
    expiresAtMs: 0,
    released: false,
    freshness: 'fresh',
    ...answer,
    createdAtMs: beginMs + createdAtMs,
  };
}
