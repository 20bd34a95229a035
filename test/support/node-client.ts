import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { clientFiles } from './kemi.js';
import type { Scope } from './process.js';
import { repository } from './repository.js';

interface Answer {
  readonly binding: {
    readonly callId: string;
    readonly relay: { readonly id: string; readonly controlUrl: string };
    readonly generation: number;
  };
  readonly origin: string;
}

/** The example client of README.md, as far as tests use it. */
export interface NodeClient {
  select(callId: string): Promise<Answer>;
  lookup(callId: string): Promise<Answer>;
  move(callId: string, generation: number, reason: string): Promise<Answer>;
  release(callId: string): Promise<{ readonly found: boolean }>;
  close(): void;
}

type Constructor = new (target: string, protos: string) => NodeClient;

/** A client of these replicas, from the very file that users copy. */
export async function openNodeClient(scope: Scope, addresses: readonly string[]): Promise<NodeClient> {
  const module = await import(pathToFileURL(join(clientFiles, 'holdfast.js')).href);
  const Holdfast = module.Holdfast as Constructor;
  const client = new Holdfast(`ipv4:${addresses.join(',')}`, join(repository, 'proto'));
  scope.teardown(() => client.close());
  return client;
}
