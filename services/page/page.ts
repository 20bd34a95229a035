import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { parseCall } from '../domain/call.js';
import { type ErrorCode, HoldfastError } from '../domain/error.js';
import { parseName } from '../domain/name.js';
import type { HttpAnswer, HttpRequest, HttpRoutes } from '../runtime/http-server.js';
import type { Selector } from '../selection/selector.js';
import { EventStreams } from './event-streams.js';
import { callShape, relaysShape, statusShape } from './shapes.js';
import type { ShownState } from './state.js';

export interface PageDeps {
  readonly state: ShownState;
  readonly selector: Pick<Selector, 'lookup'>;
  /** Random id of this run of the replica. */
  readonly life: string;
  /**
   * Requests are served whatever name they are for. Without it only `localhost` and addresses are: a site that has its name
   * point to this host would else read the page in its visitors' browsers.
   */
  readonly anyHost: boolean;
  /** What actions have to be sent with, where there are any: the page has buttons then. */
  readonly token?: string;
}

/** Files of the page by path, with their types. */
const files: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html'],
  ...Object.fromEntries(
    ['page.js', 'relays.js', 'view.js', 'dom.js', 'actions.js'].map(
      (name) => [`/${name}`, [name, 'text/javascript']] as const,
    ),
  ),
  '/page.css': ['page.css', 'text/css'],
};

const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** In index.html: nothing can be done from the page of a replica. */
const noToken = '<meta name="holdfast-token" content="">';

/** Status and relays are read anew at most this often, ms, however many readers there are. */
const renderPeriodMs = 500;
/** Of calls, at a time: each may read from etcd. */
const mostLookups = 16;

const httpStatusOf: Partial<Record<ErrorCode, number>> = { 'invalid-argument': 400, 'not-found': 404 };

/** The read-only page of a replica, and the JSON API that it is made from. Nothing here writes, moves or adopts a call. */
export class Page {
  readonly #deps: PageDeps;
  readonly #streams: EventStreams;
  readonly #files = new Map<string, Promise<Buffer>>();
  readonly #status: () => HttpAnswer;
  readonly #relays: () => HttpAnswer;
  #lookups = 0;

  constructor(deps: PageDeps) {
    const { state, life } = deps;
    const { clock, feed } = state;
    this.#deps = deps;
    this.#streams = new EventStreams({ clock, feed, life });
    this.#status = this.#rendered(() => statusShape(state.status()));
    this.#relays = this.#rendered(() => relaysShape(state));
  }

  readonly routes: HttpRoutes = (request) => {
    const answer = this.#answer(request);
    return answer && secured(answer);
  };

  #answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> | undefined {
    const { path, headers } = request;
    const file = Object.hasOwn(files, path) ? files[path] : undefined;
    if (!file && !path.startsWith('/api/v1/')) {
      return undefined;
    }
    if (!this.#deps.anyHost && !isLocal(headers.host)) {
      const body =
        'this page is served to localhost and to addresses; HOLDFAST_PAGE=on serves it under any name\n';
      return { status: 421, body };
    }
    if (file) {
      return this.#file(...file);
    }
    switch (path) {
      case '/api/v1/status':
        return this.#status();
      case '/api/v1/relays':
        return this.#relays();
      case '/api/v1/events':
        return this.#streams.answer(request);
      default:
        return path.startsWith(callsPath)
          ? this.#call(request)
          : json(404, { error: 'there is no such path' });
    }
  }

  async #file(name: string, type: string): Promise<HttpAnswer> {
    let content = this.#files.get(name);
    if (!content) {
      const { token } = this.#deps;
      content = readFile(new URL(`static/${name}`, import.meta.url)).then((bytes) =>
        token !== undefined && name === 'index.html'
          ? Buffer.from(String(bytes).replace(noToken, noToken.replace('""', `"${token}"`)))
          : bytes,
      );
      this.#files.set(name, content);
    }
    return { status: 200, body: await content, headers: { 'content-type': `${type}; charset=utf-8` } };
  }

  /** Rendered once for all that ask within a moment. */
  #rendered(shape: () => unknown): () => HttpAnswer {
    const { clock } = this.#deps.state;
    let last: { readonly answer: HttpAnswer; readonly atMs: number } | undefined;
    return () => {
      const nowMs = clock.monotonicMs();
      if (!last || nowMs - last.atMs >= renderPeriodMs) {
        last = { answer: json(200, shape()), atMs: nowMs };
      }
      return last.answer;
    };
  }

  async #call({ path, query }: HttpRequest): Promise<HttpAnswer> {
    const { selector, state } = this.#deps;
    if (this.#lookups >= mostLookups) {
      return json(503, { error: `${mostLookups} calls are being looked up already, which is the most` });
    }
    this.#lookups++;
    try {
      const reason = state.notReady();
      if (reason !== undefined) {
        throw new HoldfastError('not-ready', reason);
      }
      const set = query.get('set') || undefined;
      const call = parseCall(
        decoded(path.slice(callsPath.length)),
        query.get('branch') ?? '',
        set && parseName('set', set),
      );
      const answer = await selector.lookup(call);
      return answer ? json(200, callShape(answer)) : json(404, { error: 'this call has no binding' });
    } catch (error) {
      if (error instanceof HoldfastError) {
        return json(httpStatusOf[error.code] ?? 503, { error: error.message });
      }
      throw error;
    } finally {
      this.#lookups--;
    }
  }
}

const callsPath = '/api/v1/calls/';

/** A Call-ID is any bytes. What is no escape stands for itself. */
function decoded(text: string): Buffer {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1');
}

export function json(status: number, value: unknown): HttpAnswer {
  return {
    status,
    body: Buffer.from(JSON.stringify(value)),
    headers: { 'content-type': 'application/json; charset=utf-8' },
  };
}

/** With the headers that keep a browser from running or sending anything else. */
export async function secured(answer: HttpAnswer | Promise<HttpAnswer>): Promise<HttpAnswer> {
  const { headers, ...rest } = await answer;
  return { ...rest, headers: { ...securityHeaders, ...headers } };
}

/** `localhost` or an address: no name that somebody else could point here. */
export function isLocal(host = ''): boolean {
  const name = host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
  return name.toLowerCase() === 'localhost' || isIP(name) !== 0;
}
