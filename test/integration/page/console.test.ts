import type { ExecutionContext } from 'ava';
import { RelayState } from '../../../proto/generated/holdfast/v1/relay.js';
import { openPage } from '../../support/browser.js';
import { aRelay, deleteRelay, eventually } from '../../support/registry.js';
import { listRelays, lookup, openReplica, replicaScene, select } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { runHoldfast, startHoldfast } from '../../support/stack.js';

/** Two replicas of one etcd, and the console of both. */
async function scene(t: ExecutionContext) {
  const one = await replicaScene(t, [{ id: 'media-1' }, { id: 'media-2' }]);
  const other = await openReplica(t, one.etcd.endpoint, one.keys);
  await other.ready;
  const args = ['console', '--listen', '127.0.0.1:0', '--server', `${one.grpc},${other.grpc}`];
  const child = await startHoldfast(t, args, { USER: 'jo' });
  const line = await child.waitForLine('open http');
  const url = /http:\S+/.exec(line)?.[0] ?? '';
  return { ...one, other, child, url };
}

const row = (relay: string) => `#relays tr[data-key="${relay}"]`;

testWith.serial(
  ['chromium'],
  'a console shows all replicas as one, and drains, resumes and moves with a reason',
  async (t) => {
    const { selection, relays, url } = await scene(t);
    const callId = 'a84b4c76e66710@pc33.example.org';
    await select(selection, { callId, excludedRelayIds: ['media-2'] });
    const opened = await openPage(t, url);
    const { page } = opened;
    await page.waitForSelector('#summary.ok');
    await page.waitForSelector('#replica:has-text("2 of 2 replicas answer")');
    await page.click(`${row('default/media-2')} button`);
    await page.click('button.act:has-text("Drain")');
    await page.fill('#action-reason', 'new <b>kernel</b>');
    await page.click('#action button[type="submit"]');
    await page.waitForSelector(
      '#action-result:has-text("default/media-2 is draining: new <b>kernel</b>, by jo")',
    );
    await page.click('#action-close');
    await page.waitForSelector(`${row('default/media-2')}.draining`);
    const drained = (await listRelays(relays)).relays.find(({ id }) => id === 'media-2');
    t.is(drained?.state, RelayState.DRAINING);
    t.is(drained?.reason, 'new <b>kernel</b>');
    t.is(drained?.actor, 'jo (unverified)');
    await page.click('button.act:has-text("Resume")');
    await page.fill('#action-reason', 'done');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#action-result:has-text("takes new calls again")');
    await page.keyboard.press('Escape');
    await page.waitForSelector(`${row('default/media-2')}.active`);
    await page.fill('#call', callId);
    await page.keyboard.press('Enter');
    await page.click('button.act:has-text("Move")');
    await page.fill('#action-reason', 'one-way audio');
    await page.fill('#action-target', 'media-2');
    await page.click('#action button[type="submit"]');
    await page.waitForSelector('#action-result:has-text("the call is on default/media-2, generation 2")');
    const { binding } = await lookup(selection, callId);
    t.is(binding?.relay?.id, 'media-2');
    t.like(binding?.moves[0], { reason: 'one-way audio', actor: 'jo (unverified)' });
    t.deepEqual(opened.complaints, []);
    t.true(opened.requests.every((address) => address.startsWith(url) || address.startsWith('data:')));
    t.is(await page.locator('b').count(), 0);
  },
);

testWith.serial(['chromium'], 'another site that the operator has open has nothing done', async (t) => {
  const { relays, url } = await scene(t);
  const evil = await openPage(t, 'data:text/html,another site');
  const tried = await evil.page.evaluate(async (address) => {
    const action = `${address}api/v1/actions/drain?set=default&id=media-1&reason=x`;
    const post = (options: RequestInit) =>
      fetch(action, { method: 'POST', ...options }).then(
        () => 'sent',
        () => 'kept back',
      );
    return [await post({ mode: 'no-cors' }), await post({ headers: { 'x-holdfast-token': 'guess' } })];
  }, url);
  t.is(tried[1], 'kept back', 'the browser asks before it sends a header of its own');
  const bare = await fetch(`${url}api/v1/actions/drain?set=default&id=media-1&reason=x`, { method: 'POST' });
  t.is(bare.status, 403);
  t.is((await listRelays(relays)).relays.find(({ id }) => id === 'media-1')?.state, RelayState.ACTIVE);
  const onReplica = await fetch(`${url}api/v1/actions/none`, { method: 'PUT' });
  t.is(onReplica.status, 405);
});

testWith.serial(
  ['chromium'],
  'a console goes on with the replicas that are left, and says which is not',
  async (t) => {
    const { client, keys, other, url, child } = await scene(t);
    const { page } = await openPage(t, url);
    await page.waitForSelector('#summary.ok');
    await other.stop();
    await page.waitForSelector('#summary.warning:has-text("does not answer")');
    await deleteRelay(client, keys, aRelay({ id: 'media-2' }));
    await page.waitForSelector(`${row('default/media-2')}.gone`);
    await eventually(
      async () => ((await page.textContent('#events')) ?? '').includes('relay default/media-2 left'),
      'the event',
    );
    child.signal('SIGINT');
    t.is((await child.exited).code, 0);
    await page.waitForSelector('#summary.stale');
    const beyond = await runHoldfast(t, ['console', '--listen', '0.0.0.0:7490']);
    t.is(beyond.code, 2);
    t.regex(beyond.output, /allowed: HOST:PORT of a loopback address/);
  },
);
