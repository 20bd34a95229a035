import {
  type ResponseHeader,
  type WatchCreateRequest,
  WatchCreateRequest_Filter,
  type WatchRequest,
  WatchResponse,
} from '../../proto/generated/etcd/rpc.js';
import { type KeyRange, keyRange } from './key-range.js';
import type { Keyspace } from './keyspace.js';
import type { Version } from './version.js';
import { fragments } from './watch-fragments.js';
import type { WatchHub } from './watch-hub.js';
import { type Watcher, wants } from './watcher.js';
import { toEvent } from './wire.js';

/** The client of a watch stream. */
export interface WatchSink {
  /** Whether the client takes more now; if not, `drained` is called later. */
  readonly writable: boolean;
  write(response: WatchResponse): void;
}

/** Bounds of one response to a lagging watcher, and of the log entries read for it before others get a turn. */
const catchUp = { maxRevisions: 1000, maxBytes: 1 << 20, maxScanned: 20_000 };
/** etcd's limit for requests plus half a MiB of overhead, bytes. */
const fragmentBytes = 2 * 1024 * 1024;
const maxWatchers = 10_000;
const emptyResponse = WatchResponse.create();
/** The id in answers that concern no watcher, or all of them. */
const noWatcher = -1;

/**
 * The watchers of one stream. What the client is slow to read stays in the shared log, never in a buffer of its own: its
 * watchers fall out of step, continue when it drains, and are canceled when compaction overtakes them.
 */
export class WatchStream {
  readonly #keyspace: Keyspace;
  readonly #hub: WatchHub;
  readonly #sink: WatchSink;
  readonly #header: (revision: number) => ResponseHeader;
  readonly #watchers = new Map<number, Watcher>();
  readonly #lagging = new Set<Watcher>();
  #nextId = 0;
  #progressWanted = false;
  #turn: NodeJS.Immediate | undefined;

  constructor(
    keyspace: Keyspace,
    hub: WatchHub,
    sink: WatchSink,
    header: (revision: number) => ResponseHeader,
  ) {
    this.#keyspace = keyspace;
    this.#hub = hub;
    this.#sink = sink;
    this.#header = header;
  }

  handle({ request }: WatchRequest): void {
    switch (request?.$case) {
      case 'create':
        this.#create(request.value);
        break;
      case 'cancel':
        this.#cancel(Number(request.value.watchId));
        break;
      case 'progress':
        this.#progressWanted = true;
        this.#answerProgress();
        break;
    }
  }

  /** Called by the hub with the events of a commit that this in-step watcher wants. */
  deliver(watcher: Watcher, events: readonly Version[]): void {
    if (this.#sink.writable) {
      this.#send(watcher, events);
      return;
    }
    watcher.inStep = false;
    watcher.nextRevision = events[0]?.modRevision ?? watcher.nextRevision;
    this.#lagging.add(watcher);
  }

  /** To be called when the client takes more again. */
  drained(): void {
    this.#continue();
  }

  /** Sends a progress notice to the watchers that requested them and received nothing since the last one. */
  notifyProgress(): void {
    for (const watcher of this.#watchers.values()) {
      if (watcher.progressNotify && watcher.inStep && !watcher.busy && this.#sink.writable) {
        this.#reply(watcher.id, {});
      }
      watcher.busy = false;
    }
  }

  close(): void {
    if (this.#turn) {
      clearImmediate(this.#turn);
    }
    for (const watcher of this.#watchers.values()) {
      this.#hub.remove(watcher);
    }
    this.#watchers.clear();
    this.#lagging.clear();
  }

  #create(request: WatchCreateRequest): void {
    // etcd reads a missing key as '\0', the smallest key possible.
    const key = request.key.length > 0 ? request.key : Buffer.of(0);
    const keys = keyRange(key, request.rangeEnd);
    const wantedId = Number(request.watchId);
    const refusal = this.#refusal(keys, wantedId);
    if (refusal !== undefined) {
      this.#reply(noWatcher, { created: true, canceled: true, cancelReason: refusal });
      return;
    }
    const startRevision = Number(request.startRevision);
    const nextRevision = startRevision === 0 ? this.#keyspace.revision + 1 : startRevision;
    const watcher: Watcher = {
      id: wantedId === 0 ? this.#chooseId() : wantedId,
      keys,
      withPuts: !request.filters.includes(WatchCreateRequest_Filter.NO_PUT),
      withDeletes: !request.filters.includes(WatchCreateRequest_Filter.NO_DELETE),
      withPrevious: request.prevKv,
      fragment: request.fragment,
      progressNotify: request.progressNotify,
      nextRevision,
      inStep: nextRevision > this.#keyspace.revision,
      busy: false,
    };
    this.#watchers.set(watcher.id, watcher);
    this.#hub.add(watcher, this);
    this.#reply(watcher.id, { created: true });
    if (watcher.inStep) {
      return;
    }
    this.#lagging.add(watcher);
    this.#continue();
  }

  #refusal(keys: KeyRange, id: number): string | undefined {
    if (keys.to !== undefined && keys.to !== '' && keys.from >= keys.to) {
      return 'mvcc: watcher range is empty';
    }
    if (id !== 0 && this.#watchers.has(id)) {
      return 'mvcc: duplicate watch ID provided on the WatchStream';
    }
    if (this.#watchers.size >= maxWatchers) {
      return `more than ${maxWatchers} watchers on one stream`;
    }
    return undefined;
  }

  #chooseId(): number {
    while (this.#watchers.has(this.#nextId)) {
      this.#nextId++;
    }
    return this.#nextId++;
  }

  /** A watcher that does not exist is not answered, as in etcd. */
  #cancel(id: number): void {
    const watcher = this.#watchers.get(id);
    if (!watcher) {
      return;
    }
    this.#forget(watcher);
    this.#reply(id, { canceled: true });
  }

  #forget(watcher: Watcher): void {
    this.#watchers.delete(watcher.id);
    this.#lagging.delete(watcher);
    this.#hub.remove(watcher);
  }

  /** Progress promises that everything up to the header's revision was sent, so it waits for lagging watchers. */
  #answerProgress(): void {
    if (!this.#progressWanted || this.#lagging.size > 0) {
      return;
    }
    this.#progressWanted = false;
    this.#reply(noWatcher, {});
  }

  #continue(): void {
    if (this.#turn || this.#lagging.size === 0) {
      return;
    }
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      let scanned = 0;
      for (const watcher of [...this.#lagging]) {
        if (!this.#sink.writable || scanned >= catchUp.maxScanned) {
          break;
        }
        scanned += this.#readOn(watcher);
      }
      this.#answerProgress();
      if (this.#sink.writable) {
        this.#continue();
      }
    });
  }

  /**
   * Sends a lagging watcher the next part of the log; puts it in step when it has reached the end. Returns how many log
   * entries it read.
   */
  #readOn(watcher: Watcher): number {
    const { log, revision, compactRevision } = this.#keyspace;
    if (watcher.nextRevision < compactRevision) {
      this.#forget(watcher);
      // The header's revision is 0 here, as etcd has read nothing for it.
      const header = this.#header(0);
      this.#reply(watcher.id, { header, canceled: true, compactRevision: BigInt(compactRevision) });
      return 0;
    }
    const events: Version[] = [];
    let bytes = 0;
    let revisions = 0;
    let lastRevision = 0;
    let next = revision + 1;
    const first = log.indexOf(watcher.nextRevision);
    let index = first;
    for (; index < log.length; index++) {
      const event = log.at(index) as Version;
      if (event.modRevision !== lastRevision) {
        // Only between revisions: events of one transaction are sent together.
        const full = revisions >= catchUp.maxRevisions || bytes >= catchUp.maxBytes;
        if (full || index - first >= catchUp.maxScanned) {
          next = event.modRevision;
          break;
        }
        lastRevision = event.modRevision;
        revisions++;
      }
      if (!wants(watcher, event)) {
        continue;
      }
      events.push(event);
      bytes += event.key.length + event.value.length;
    }
    watcher.nextRevision = next;
    // To the end of the queue, so that a watcher far behind does not keep the others waiting.
    this.#lagging.delete(watcher);
    watcher.inStep = next > revision;
    if (!watcher.inStep) {
      this.#lagging.add(watcher);
    }
    if (events.length > 0) {
      this.#send(watcher, events);
    }
    return index - first;
  }

  #send(watcher: Watcher, versions: readonly Version[]): void {
    watcher.busy = true;
    const events = versions.map((version) => toEvent(version, watcher.withPrevious));
    const parts = watcher.fragment ? fragments(events, fragmentBytes) : [{ events }];
    for (const part of parts) {
      this.#reply(watcher.id, part);
    }
  }

  #reply(id: number, fields: Partial<WatchResponse>): void {
    const header = this.#header(this.#keyspace.revision);
    this.#sink.write({ ...emptyResponse, header, watchId: BigInt(id), ...fields });
  }
}
