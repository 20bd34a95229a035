import type { EventFeed } from '../domain/recorded-event.js';
import type { Clock } from '../runtime/clock.js';
import type { HttpAnswer, HttpRequest, HttpStream } from '../runtime/http-server.js';
import { eventShape } from './shapes.js';

export interface EventStreamsDeps {
  readonly clock: Clock;
  readonly feed: EventFeed;
  /** Of this run of the replica: positions of another one mean nothing here. */
  readonly life: string;
}

/** Each holds a connection: most of those that the server has are left to probes, scrapes and pages. */
const mostStreams = 32;
/** The client hears at least this often that the stream is alive, ms. */
const beatMs = 2000;
/** Events written at a time. */
const batch = 100;
const maxSinceSeconds = 86_400;

/**
 * `/api/v1/events`: events as server-sent events. A reader that goes on after its connection was lost names the last one that it
 * has. One that reads slowly is not waited for: it hears how many events it has missed.
 */
export class EventStreams {
  readonly #deps: EventStreamsDeps;
  #open = 0;

  constructor(deps: EventStreamsDeps) {
    this.#deps = deps;
  }

  answer({ query, headers }: HttpRequest): HttpAnswer {
    const since = query.get('since') ?? '0';
    if (!/^\d{1,5}$/.test(since) || Number(since) > maxSinceSeconds) {
      return { status: 400, body: `since: allowed: 0-${maxSinceSeconds}, in seconds\n` };
    }
    if (this.#open >= mostStreams) {
      const body = `${mostStreams} streams are open already, which is the most\n`;
      return { status: 503, body, headers: { 'retry-after': '5' } };
    }
    const { feed, life } = this.#deps;
    const [lifeBefore, last = ''] = String(headers['last-event-id'] ?? '').split('-');
    const position =
      lifeBefore === life && /^\d{1,15}$/.test(last)
        ? Number(last)
        : feed.positionBefore(Number(since) * 1000);
    return {
      status: 200,
      // How soon a browser tries again, ms.
      body: 'retry: 1000\n\n',
      headers: { 'content-type': 'text/event-stream; charset=utf-8' },
      stream: (out) => this.#follow(out, position),
    };
  }

  /** @returns what ends it */
  #follow(out: HttpStream, from: number): () => void {
    const { clock, feed, life } = this.#deps;
    // Others may have come between the answer and its stream.
    if (this.#open >= mostStreams) {
      out.end();
      return () => {};
    }
    let position = from;
    this.#open++;
    const send = () => {
      while (out.isReady) {
        const { events, missed, position: next } = feed.read(position, batch);
        if (events.length === 0 && missed === 0) {
          return;
        }
        position = next;
        const gap = missed > 0 ? `event: missed\ndata: ${missed}\n\n` : '';
        const told = events.map((event) => {
          return `id: ${life}-${event.sequence}\ndata: ${JSON.stringify(eventShape(event))}\n\n`;
        });
        out.write(gap + told.join(''));
      }
    };
    let cancelBeat = () => {};
    const beat = () => {
      if (out.isReady) {
        out.write(`event: beat\ndata: ${life}\n\n`);
      }
      cancelBeat = clock.after(beatMs, beat);
    };
    const unsubscribe = feed.subscribe(send);
    out.onReady(send);
    beat();
    send();
    return () => {
      this.#open--;
      unsubscribe();
      cancelBeat();
    };
  }
}
