import test from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import { Retry } from '../../../services/selection/retry.js';
import { ManualClock } from '../../support/clock.js';

function scene() {
  const clock = new ManualClock();
  const etcd: { lost: HoldfastError | undefined } = { lost: undefined };
  let refreshed = 0;
  const directory = { refresh: async () => void refreshed++ };
  const retry = new Retry(etcd, directory, clock);
  return { clock, etcd, retry, refreshes: () => refreshed };
}

/** The registry had changed before it was written. */
const refused = { written: false, guardsHeld: false, found: undefined } as never;

test('a request is tried six times where the registry changes each time', async (t) => {
  const { retry, refreshes } = scene();
  let attempts = 0;
  const error = await t.throwsAsync(
    retry.run(undefined, async () => {
      attempts++;
      return refused;
    }),
    { instanceOf: HoldfastError, message: 'the registry changed 6 times while this was decided' },
  );
  t.is(error.code, 'unavailable');
  t.is(attempts, 6);
  t.is(refreshes(), 6, 'with a new view of the relays each time');
});

test('no attempt begins later than 2 s after the request came', async (t) => {
  const { clock, retry } = scene();
  const begunMs: number[] = [];
  const startMs = clock.monotonicMs();
  const asked = retry.run(undefined, async () => {
    begunMs.push(clock.monotonicMs() - startMs);
    clock.advance(900);
    throw new HoldfastError('unavailable', 'etcd did not answer');
  });
  asked.catch(() => undefined);
  await clock.pass(10_000);
  await t.throwsAsync(asked, { message: 'etcd did not answer' });
  t.true(begunMs.length > 1 && begunMs.length < 6, `${begunMs.length} attempts`);
  t.true(begunMs.every((ms) => ms <= 2000 + 700));
});

test('none is made once etcd is lost', async (t) => {
  const { etcd, retry } = scene();
  etcd.lost = new HoldfastError('unavailable', 'etcd is lost');
  let attempts = 0;
  const attempt = async () => {
    attempts++;
    return refused;
  };
  await t.throwsAsync(retry.run(undefined, attempt), { message: 'etcd is lost' });
  t.is(attempts, 0);
});
