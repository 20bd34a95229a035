import type { ExecutionContext } from 'ava';
import type { Etcd3 } from 'etcd3';
import type { EtcdConnection } from '../../../services/etcd/connection.js';
import { InvalidValue } from '../../../services/etcd/invalid-value.js';
import { PrefixMirror } from '../../../services/etcd/prefix-mirror.js';
import { endOfPrefix } from '../../../services/etcd/range.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { type Logger, silentLogger } from '../../../services/runtime/log.js';
import { eventually, newKeyspace } from '../../support/registry.js';

export interface Told {
  readonly name: string;
  /** Undefined: it went away. */
  readonly value: string | undefined;
  readonly revision: number | undefined;
}

export interface Options {
  readonly prefix?: string;
  readonly log?: Logger;
  readonly keeps?: boolean;
}

/** A mirror of a prefix of its own, with all that it reported. Values that begin with "junk" are invalid. */
export function open(t: ExecutionContext, connection: EtcdConnection, options: Options = {}) {
  const { prefix = newKeyspace().relays, log = silentLogger, keeps = true } = options;
  const told: Told[] = [];
  const lives: boolean[] = [];
  const view = new PrefixMirror<string>(
    { connection, clock: systemClock, log },
    {
      prefix,
      decode: (_name, value) =>
        value.toString().startsWith('junk') ? new InvalidValue('it is junk') : value.toString(),
      onChange: (name, entry) => told.push({ name, value: entry?.value, revision: entry?.revision }),
      onLive: (live) => lives.push(live),
      keeps,
    },
  );
  t.teardown(() => view.stop());
  return { view, told, lives, prefix };
}

export const put = async (client: Etcd3, key: string, value: string): Promise<number> =>
  Number((await client.kv.put({ key: Buffer.from(key), value: Buffer.from(value) })).header.revision);
export const remove = (client: Etcd3, key: string) => client.kv.deleteRange({ key: Buffer.from(key) });

/** What etcd holds, as the view should show it. */
export async function truth(client: Etcd3, prefix: string): Promise<Record<string, string>> {
  const { kvs } = await client.kv.range({ key: Buffer.from(prefix), range_end: endOfPrefix(prefix) });
  return Object.fromEntries(
    kvs.map(({ key, value, mod_revision }) => [
      key.toString().slice(prefix.length),
      `${value}@${mod_revision}`,
    ]),
  );
}

export const shown = (view: PrefixMirror<string>): Record<string, string> =>
  Object.fromEntries(
    [...view.entries].sort().map(([name, { value, revision }]) => [name, `${value}@${revision}`]),
  );

export async function sees(
  t: ExecutionContext,
  view: PrefixMirror<string>,
  client: Etcd3,
  prefix: string,
): Promise<void> {
  await eventually(
    async () => JSON.stringify(shown(view)) === JSON.stringify(await truth(client, prefix)),
    'agreement of the view with etcd',
  );
  t.pass();
}

/** All revisions of one key are told in etcd's order, each once. */
export function inOrder(t: ExecutionContext, told: readonly Told[]): void {
  const last = new Map<string, number>();
  for (const { name, revision } of told) {
    if (revision === undefined) {
      continue;
    }
    t.true(revision > (last.get(name) ?? 0), `${name} was told at ${last.get(name)} and then at ${revision}`);
    last.set(name, revision);
  }
}
