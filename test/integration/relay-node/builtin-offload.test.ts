import test from 'ava';
import type { MediaSource, Offload } from '../../../relay-node/media/offload.js';
import { established, until } from './builtin-scene.js';

/** Carries everything, as far as the sessions can see. */
class EverythingOffload implements Offload {
  countedUntilMs = 0;
  readonly streams = 0;
  readonly rebuilds = 0;
  readonly sources = new Set<MediaSource>();
  forwarded(source: MediaSource): void {
    this.sources.add(source);
  }
  takeBack(source: MediaSource): void {
    this.sources.delete(source);
  }
  takenBack(): undefined {}
  carries(source: MediaSource): boolean {
    return this.sources.has(source);
  }
  counted() {
    return { packets: 0, bytes: 0 };
  }
  async count(): Promise<void> {
    for (const source of this.sources) {
      source.countOffloaded(3, 300);
    }
  }
}

async function offloaded(t: Parameters<typeof established>[0]) {
  const offload = new EverythingOffload();
  const call = await established(t, { offload });
  await call.caller.sendRtp(call.forCaller);
  await call.callee.rtp.nth(1);
  await call.callee.sendRtp(call.forCallee);
  await call.caller.rtp.nth(1);
  await call.caller.sendRtp(call.forCaller);
  await until(() => offload.sources.size === 2);
  return { ...call, offload };
}

test('a call whose media were not counted for a while is not taken for silent', async (t) => {
  const { relay, clock, offload } = await offloaded(t);
  offload.countedUntilMs = clock.monotonicMs();
  clock.advance(70_000);
  t.is(relay.media.sessions.size, 1);
  offload.countedUntilMs = clock.monotonicMs();
  clock.advance(1000);
  t.is(relay.media.sessions.size, 0);
  t.is(offload.sources.size, 0, 'its media are taken back');
});

test('packets that are counted elsewhere keep a call, and are in its reports', async (t) => {
  const { relay, proxy, call, clock, offload } = await offloaded(t);
  for (let minute = 0; minute < 5; minute++) {
    clock.advance(50_000);
    await offload.count();
    offload.countedUntilMs = clock.monotonicMs();
  }
  t.is(relay.media.sessions.size, 1);
  const totals = (await proxy.query(call))['totals'];
  t.deepEqual(totals, {
    RTP: { packets: 3 + 2 * 6 * 3, bytes: 3 * 172 + 2 * 6 * 300, errors: 0 },
    RTCP: { packets: 0, bytes: 0, errors: 0 },
  });
});
