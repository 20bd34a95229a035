import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { json, text } from 'node:stream/consumers';
import { apiServer } from './addresses.js';
import { authority, certificate, key } from './pki.js';

/** As much of an object as every one has. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

const timeoutMs = 10_000;

/** The API of the cluster, as its administrator. It is asked often, and `kubectl` takes a quarter of a second each time. */
export class KubernetesApi {
  readonly #agent = new Agent({
    keepAlive: true,
    ca: readFileSync(authority),
    cert: readFileSync(certificate('admin')),
    key: readFileSync(key('admin')),
  });

  async isReady(): Promise<boolean> {
    return (await this.#ask('GET', '/readyz')).status === 200;
  }

  /** @param path such as `/api/v1/namespaces/sip/pods/x` @throws Error with the reason of the API server */
  async get<T>(path: string): Promise<T> {
    return (await this.#object('GET', path)) as T;
  }

  /** The objects of a list, such as `/api/v1/pods`. */
  async list<T>(path: string): Promise<T[]> {
    const { items } = await this.get<{ readonly items: T[] }>(path);
    return items;
  }

  /** Creates an object, or changes the fields that it names. @param path of the object itself */
  async apply(path: string, object: unknown): Promise<void> {
    await this.#object('PATCH', `${path}?fieldManager=cluster&force=true`, object);
  }

  async delete(path: string): Promise<void> {
    await this.#object('DELETE', path);
  }

  async #object(method: string, path: string, body?: unknown): Promise<unknown> {
    const { status, content } = await this.#ask(method, path, body);
    if (status >= 300) {
      const { message } = content as { readonly message?: string };
      throw new Error(`${method} ${path}: ${status} ${message}`);
    }
    return content;
  }

  #ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly content: unknown }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/apply-patch+yaml', accept: 'application/json' };
      const signal = AbortSignal.timeout(timeoutMs);
      const sent = request(`${apiServer}${path}`, { method, agent: this.#agent, headers, signal });
      sent.once('error', reject);
      sent.once('response', (response) => {
        const isJson = response.headers['content-type']?.startsWith('application/json');
        (isJson ? json(response) : text(response)).then(
          (content) => resolve({ status: response.statusCode ?? 0, content }),
          reject,
        );
      });
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
