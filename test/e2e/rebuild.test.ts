import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { each } from '../../services/runtime/each.js';
import { type RealEtcd, startRealEtcdCluster } from '../support/etcd.js';
import { restoreSnapshot, saveSnapshot } from '../support/etcd-snapshot.js';
import { audioSdp, type CallTags, newCall, ProxyClient } from '../support/ng.js';
import { findProgram } from '../support/program.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { mediaNetwork, startRelay, type TestRelay } from './gateway-relays.js';
import { GatewayReplica } from './gateway-replica.js';
import { ownTurn } from './gateway-turn.js';

const liveCalls = 1000;
const endedCalls = 60;
const movedCalls = 30;
/** Asked at once; a gateway takes about a thousand. */
const atOnce = 50;
const relayKinds = ['rtpengine', 'rtpengine', 'builtin', 'builtin', 'builtin', 'builtin'] as const;

/** Where a call was before etcd lost it. */
interface Known {
  readonly tags: CallTags;
  readonly relay: string;
  readonly generation: number;
  /** It began before the snapshot. */
  readonly isKept: boolean;
}

class Stage {
  constructor(
    readonly etcd: RealEtcd,
    readonly replicas: readonly GatewayReplica[],
    readonly proxies: readonly ProxyClient[],
    readonly relays: readonly TestRelay[],
  ) {}

  static async start(t: ExecutionContext, program = 'etcd'): Promise<Stage> {
    const [etcd] = await startRealEtcdCluster(t, 1, [], undefined, findProgram(program));
    if (!etcd) {
      throw new Error('no etcd was started');
    }
    const network = mediaNetwork();
    const replicas = await Promise.all([1, 2, 3].map(() => GatewayReplica.start(t, etcd.endpoint)));
    const relays = await Promise.all(
      relayKinds.map((kind, i) =>
        startRelay(t, { id: `media-${i + 1}`, kind }, `${network}.${i + 1}`, etcd.endpoint),
      ),
    );
    const proxies = replicas.map(({ ngPort }) => new ProxyClient('127.0.0.1', ngPort));
    for (const proxy of proxies) {
      await proxy.start();
      t.teardown(() => proxy.stop());
    }
    for (const { client } of replicas) {
      await eventually(async () => (await client.listRelays('default')).relays.length === 6, 'six relays');
    }
    return new Stage(etcd, replicas, proxies, relays);
  }

  async setUp(tags: CallTags, at: number, inDialog = false): Promise<void> {
    const proxy = this.proxies[at % 3] as ProxyClient;
    const phone = (port: number) => audioSdp({ address: '127.0.0.1', port });
    // A proxy, too, tries again where a busy machine has no answer in time.
    for (let left = 4; ; left--) {
      const offered = await proxy.offer(tags, phone(50_000), { inDialog });
      const answered = await proxy.answer(tags, phone(50_002));
      if (offered['result'] === 'ok' && answered['result'] === 'ok') {
        return;
      }
      if (left === 0) {
        throw new Error(`not set up: ${JSON.stringify([offered, answered])}`);
      }
    }
  }

  /** Where a replica says that the call is; undefined if it knows no such call, or says that it has ended. */
  async where(tags: CallTags, at: number): Promise<{ relay: string; generation: number } | undefined> {
    const { client } = this.replicas[at % 3] as GatewayReplica;
    try {
      const { binding } = await client.lookup({ callId: tags.callId });
      return binding && !binding.released
        ? { relay: String(binding.relay?.id), generation: Number(binding.generation) }
        : undefined;
    } catch {
      return undefined;
    }
  }
}

function forEach<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  const numbered = items.map((item, index) => ({ item, index }));
  return each(numbered, atOnce, ({ item, index }) => work(item, index));
}

const calls = (count: number) => Array.from({ length: count }, () => newCall());

/**
 * Calls that live, some of them moved, and calls that have ended. Half of the former begin, and the latter end, after
 * `snapshot`: as do the moves.
 */
async function populate(
  stage: Stage,
  snapshot: () => Promise<void> | void,
): Promise<{ known: Known[]; ended: CallTags[] }> {
  const [live, ended] = [calls(liveCalls), calls(endedCalls)];
  const setUp = (some: readonly CallTags[]) => forEach(some, (tags, at) => stage.setUp(tags, at));
  await setUp([...ended, ...live.slice(0, liveCalls / 2)]);
  await snapshot();
  await setUp(live.slice(liveCalls / 2));
  await forEach(ended, async (tags, at) => {
    await (stage.proxies[at % 3] as ProxyClient).delete(tags);
  });
  await forEach(live.slice(0, movedCalls), async (tags, at) => {
    const { client } = stage.replicas[at % 3] as GatewayReplica;
    await client.move({ callId: tags.callId, generation: 1n, reason: 'a test' });
    await stage.setUp(tags, at + 1, true);
  });
  await eventually(async () => {
    const still = await Promise.all(ended.map((tags, at) => stage.where(tags, at)));
    return still.every((where) => where === undefined);
  }, 'end of the calls that were deleted');
  const known: Known[] = [];
  await forEach(live, async (tags, at) => {
    const where = await stage.where(tags, at);
    if (where) {
      known.push({ tags, ...where, isKept: at < liveCalls / 2 });
    }
  });
  return { known, ended };
}

async function count(stage: Stage, known: readonly Known[], ended: readonly CallTags[]) {
  const sums = { own: 0, elsewhere: 0, unknown: 0, wentBack: 0, revived: 0 };
  await forEach(known, async ({ tags, relay, generation }, at) => {
    const where = await stage.where(tags, at + 1);
    if (!where) {
      sums.unknown++;
    } else {
      sums[where.relay === relay ? 'own' : 'elsewhere']++;
      sums.wentBack += where.generation < generation ? 1 : 0;
    }
  });
  await forEach(ended, async (tags, at) => {
    sums.revived += (await stage.where(tags, at + 1)) ? 1 : 0;
  });
  return sums;
}

/** Calls that begin, go on and end all the time. What they meet while etcd is away does not matter here. */
function traffic(stage: Stage): () => Promise<void> {
  let isOver = false;
  const run = async () => {
    for (let at = 0; !isOver; at++) {
      const [tags] = calls(1) as [CallTags];
      try {
        await stage.setUp(tags, at);
        await stage.setUp(tags, at + 1, true);
        await (stage.proxies[(at + 2) % 3] as ProxyClient).delete(tags);
      } catch {
        await delay(20);
      }
    }
  };
  const running = Promise.all([run(), run()]);
  return async () => {
    isOver = true;
    await running;
  };
}

/** Calls that another relay than their own carries. */
async function orphans(stage: Stage, known: readonly Known[]): Promise<string[]> {
  const own = new Map(known.map(({ tags, relay }) => [tags.callId, relay]));
  const found: string[] = [];
  for (const { id, ng } of stage.relays) {
    const { calls: carried } = await ng.request({ command: 'list', limit: 2000 });
    for (const callId of carried as string[]) {
      const relay = own.get(callId);
      if (relay !== undefined && relay !== id) {
        found.push(`${callId} of ${relay} on ${id}`);
      }
    }
  }
  return found;
}

interface Loss {
  readonly title: string;
  readonly etcd?: string;
  /** What is kept of etcd while calls come and go. */
  readonly keep?: (etcd: RealEtcd, file: string) => Promise<void>;
  /** All replicas are killed meanwhile, and nobody remembers anything. */
  readonly forgets?: boolean;
  /** What becomes of its data. */
  readonly lose: (etcd: RealEtcd, file: string) => Promise<void>;
}

async function rebuilt(
  t: ExecutionContext,
  { title, etcd: program, keep, lose, forgets = false }: Loss,
): Promise<void> {
  t.timeout(240_000);
  await ownTurn(t);
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-snapshot-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'snapshot');
  const stage = await Stage.start(t, program);
  const { known, ended } = await populate(stage, () => keep?.(stage.etcd, file));
  t.is(known.length, liveCalls);
  // A moved call leaves nothing on its first relay once its re-INVITE is answered.
  await eventually(
    async () => (await orphans(stage, known)).length === 0,
    'end of the sessions left by moves',
  );
  const endTraffic = traffic(stage);
  t.teardown(endTraffic);
  if (forgets) {
    await Promise.all(stage.replicas.map((replica) => replica.kill()));
  }
  await stage.etcd.kill();
  rmSync(stage.etcd.dataDirectory, { recursive: true });
  await lose(stage.etcd, file);
  await stage.etcd.restart();
  if (forgets) {
    await Promise.all(stage.replicas.map((replica) => replica.run()));
  }
  const backAt = performance.now();
  // What began after the snapshot, and nobody remembers, is found by its next request.
  const bound = forgets ? known.filter(({ isKept }) => isKept) : known;
  const first = await count(stage, bound, ended);
  await delay(Math.max(0, 1000 - (performance.now() - backAt)));
  const second = await count(stage, bound, ended);
  await delay(Math.max(0, 5000 - (performance.now() - backAt)));
  const last = await count(stage, bound, ended);
  await endTraffic();
  t.log(
    `${title}: at once ${JSON.stringify(first)}, after 1 s ${JSON.stringify(second)}, after 5 s ${JSON.stringify(last)}`,
  );
  t.true(last.own >= bound.length * 0.99, `${last.own} of ${bound.length} on their own relay`);
  // A replica that remembers nothing learns of it from relay nodes, which notice within their next report.
  for (const { wentBack, revived, elsewhere } of forgets ? [last] : [first, second, last]) {
    t.is(wentBack, 0, 'generations that went back');
    t.is(revived, 0, 'ended calls that came back');
    t.is(elsewhere, 0, 'calls on another relay');
  }
  t.deepEqual(await orphans(stage, known), [], 'sessions on relays that are not those of their calls');
  // The call goes on: its own relay answers a re-INVITE.
  await forEach(known.slice(0, 100), async ({ tags, relay }, at) => {
    await stage.setUp(tags, at, true);
    t.is((await stage.where(tags, at))?.relay, relay);
  });
}

testWith.serial(
  ['etcd', 'rtpengine'],
  'an etcd that was wiped is rebuilt from what relays and replicas know',
  (t) => rebuilt(t, { title: 'wiped', lose: async () => {} }),
);

testWith.serial(
  ['etcd', 'etcdctl', 'rtpengine'],
  'an etcd that was restored from an older state is corrected by what relays and replicas know',
  (t) =>
    rebuilt(t, {
      title: 'restored',
      keep: saveSnapshot,
      lose: (etcd, file) => restoreSnapshot([etcd], { program: 'etcdctl', file }),
    }),
);

testWith.serial(
  ['etcd-3.6', 'etcdctl', 'etcdutl-3.6', 'rtpengine'],
  'so is one whose revisions were raised by the restore',
  (t) =>
    rebuilt(t, {
      title: 'restored, with raised revisions',
      etcd: 'etcd-3.6',
      keep: saveSnapshot,
      lose: (etcd, file) => restoreSnapshot([etcd], { program: 'etcdutl-3.6', file, bumps: true }),
    }),
);

testWith.serial(
  ['etcd', 'etcdctl', 'rtpengine'],
  'so is one that was restored while every replica was killed',
  (t) =>
    rebuilt(t, {
      title: 'restored, and no replica remembers',
      keep: saveSnapshot,
      forgets: true,
      lose: (etcd, file) => restoreSnapshot([etcd], { program: 'etcdctl', file }),
    }),
);
