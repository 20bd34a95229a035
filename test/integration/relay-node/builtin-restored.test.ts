import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { audioSdp, newCall, relayedTo } from '../../support/ng.js';
import { established, party, scene, sdpOf } from './builtin-scene.js';

function directories(t: { teardown(task: () => void): void }): [string, string] {
  const base = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  return [mkdtempSync(join(base, 'a-')), mkdtempSync(join(base, 'b-'))];
}

/** As if the process had been killed now: what it has written by then is all that is left. */
function copyState(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    copyFileSync(join(from, name), join(to, name));
  }
}

test('after a kill the next process has the instance, the calls and their ports', async (t) => {
  const [first, second] = directories(t);
  const before = await established(t, { stateDirectory: first });
  const { call, caller, callee, forCaller, forCallee } = before;
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  // Another branch, which shares the port of the callee's side.
  const other = await party(t);
  const fork = { ...call, toTag: `${call.toTag}-fork` };
  const forkPort = relayedTo(await before.proxy.answer(fork, sdpOf(other)));
  copyState(first, second);
  const { instance } = before.relay;
  const report = await before.proxy.query(call);
  await before.proxy.stop();
  await before.relay.stop();
  t.deepEqual(readdirSync(first), [], 'an orderly end leaves nothing');

  const { portMin, portMax } = before;
  const after = await scene(t, { stateDirectory: second, portMin, portMax });
  t.is(after.relay.instance, instance);
  const found = await after.proxy.query(call);
  t.deepEqual(found['tags'] && Object.keys(found['tags']), report['tags'] && Object.keys(report['tags']));
  t.deepEqual(found['created'], report['created']);

  await caller.sendRtp(forCaller);
  await callee.rtp.nth(2);
  await caller.sendRtp(forkPort);
  await other.rtp.nth(1);
  const moved = await party(t, '127.0.0.3');
  const again = relayedTo(await after.proxy.offer(call, sdpOf(moved, 2), { inDialog: true }));
  t.is(again.port, forCallee.port, 'a re-INVITE keeps the ports');
  await callee.sendRtp(forCallee);
  await moved.rtp.nth(1);
  await after.proxy.delete(call);
  await after.proxy.delete(fork);
  t.deepEqual(await after.proxy.list(), []);
});

test('a call that was put on hold, deleted or never answered goes on as that', async (t) => {
  const [first, second] = directories(t);
  const before = await established(t, { stateDirectory: first, deleteDelayMs: 30_000 });
  const { call, caller, callee, proxy } = before;
  const onHold = audioSdp({ address: '0.0.0.0', port: caller.port, version: 2 });
  await proxy.offer(call, onHold, { inDialog: true });
  const deleted = newCall();
  await proxy.offer(deleted, sdpOf(caller));
  await proxy.answer(deleted, sdpOf(callee));
  await proxy.delete(deleted);
  const unanswered = newCall();
  await proxy.offer(unanswered, sdpOf(caller));
  copyState(first, second);
  await before.proxy.stop();
  await before.relay.stop();

  const { portMin, portMax } = before;
  const after = await scene(t, { stateDirectory: second, portMin, portMax });
  t.is(after.relay.media.sessions.size, 3);
  t.is(after.relay.media.sessions.active, 2);
  after.clock.advance(31_000);
  t.deepEqual((await after.proxy.list()).sort(), [call.callId, unanswered.callId].sort());
  after.clock.advance(300_000);
  t.deepEqual(await after.proxy.list(), [call.callId], 'on hold: an hour of silence');
});

test('a party that sends from elsewhere is heard, and hears, as before', async (t) => {
  const [first, second] = directories(t);
  const before = await scene(t, { stateDirectory: first });
  const [hears, sends, callee] = [await party(t), await party(t), await party(t)];
  const call = newCall();
  const offered = await before.proxy.offer(call, sdpOf(hears), { extra: { flags: ['asymmetric'] } });
  const forCallee = relayedTo(offered);
  const forCaller = relayedTo(await before.proxy.answer(call, sdpOf(callee)));
  await sends.sendRtp(forCaller);
  await callee.rtp.nth(1);
  copyState(first, second);
  await before.proxy.stop();
  await before.relay.stop();

  const { portMin, portMax } = before;
  await scene(t, { stateDirectory: second, portMin, portMax });
  await callee.sendRtp(forCallee);
  await hears.rtp.nth(1);
  await sends.sendRtp(forCaller);
  await callee.rtp.nth(2);
  t.is(sends.rtp.heard.length, 0);
});

test('a call whose ports are taken meanwhile is left out, with a line of the log', async (t) => {
  const [first, second] = directories(t);
  const before = await established(t, { stateDirectory: first });
  copyState(first, second);
  const { portMin, portMax } = before;
  const after = await scene(t, { stateDirectory: second, portMin, portMax });
  t.is(after.relay.media.sessions.size, 0);
  t.is(after.relay.media.load().portPairsFree, after.relay.media.load().portPairs);
});
