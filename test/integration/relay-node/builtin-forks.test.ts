import type { NgDictionary } from '../../../services/control/ng/message.js';
import { type CallTags, newCall, type ProxyClient, relayedTo, reversed } from '../../support/ng.js';
import { suite } from './builtin-comparison.js';
import { party, sdpOf } from './builtin-scene.js';

interface ReportedParty {
  readonly 'via-branch'?: string;
  readonly subscriptions: readonly { readonly tag: string }[];
  readonly medias?: readonly { readonly streams: readonly NgDictionary[] }[];
}

/** Parties that have ports. rtpengine also shows those that have left, without any. */
async function parties(proxy: ProxyClient, call: CallTags): Promise<Record<string, ReportedParty>> {
  const { tags = {} } = (await proxy.query(call)) as { tags?: Record<string, ReportedParty> };
  const withPorts = ({ medias = [] }: ReportedParty) =>
    medias.some(({ streams }) => streams.some((stream) => stream['local port'] !== undefined));
  return Object.fromEntries(Object.entries(tags).filter(([, reported]) => withPorts(reported)));
}

const names = (reported: Record<string, ReportedParty>) => Object.keys(reported).sort();
const to = (call: CallTags, toTag: string): CallTags => ({ ...call, toTag });
const branch = (id: string) => ({ 'via-branch': id });
const warning = "Call-ID not found or tags didn't match";

suite('one offer, two answers: each answer has a port of its own for the caller', async (t, proxy) => {
  const [caller, one, other] = [await party(t), await party(t), await party(t)];
  const call = newCall();
  const [first, second] = [to(call, 'one'), to(call, 'other')];
  const forCallees = relayedTo(await proxy.offer(call, sdpOf(caller)));
  const toOne = relayedTo(await proxy.answer(first, sdpOf(one)));
  const toOther = relayedTo(await proxy.answer(second, sdpOf(other)));
  t.not(toOne.port, toOther.port);
  t.deepEqual(names(await parties(proxy, call)), [call.fromTag, 'one', 'other'].sort());

  const sent = await caller.sendRtp(toOther);
  t.deepEqual((await other.rtp.nth(1)).data, sent);
  await other.sendRtp(forCallees);
  await caller.rtp.nth(1);
  t.is((await proxy.delete(first))['result'], 'ok', 'the branch that lost');
  t.deepEqual(names(await parties(proxy, call)), [call.fromTag, 'other'].sort());
  const after = await caller.sendRtp(toOther);
  t.deepEqual((await other.rtp.nth(2)).data, after, 'the other goes on');
  t.deepEqual(relayedTo(await proxy.offer(reversed(second), sdpOf(other, 2), { inDialog: true })), toOther);
  t.is((await proxy.delete(second))['result'], 'ok');
  t.is((await proxy.query(call))['error-reason'], 'Unknown call-id');
});

suite('branches that are offered apart: the loser ends alone, with its ports', async (t, proxy) => {
  const [caller, one, other] = [await party(t), await party(t), await party(t)];
  const call = newCall();
  const forOne = relayedTo(await proxy.offer(call, sdpOf(caller), { extra: branch('b1') }));
  const forOther = relayedTo(await proxy.offer(call, sdpOf(caller), { extra: branch('b2') }));
  t.not(forOne.port, forOther.port);
  await proxy.answer(to(call, 'one'), sdpOf(one), branch('b1'));
  const toOther = relayedTo(await proxy.answer(to(call, 'other'), sdpOf(other), branch('b2')));
  const both = await parties(proxy, call);
  t.deepEqual([both['one']?.['via-branch'], both['other']?.['via-branch']], ['b1', 'b2']);
  t.is(both['other']?.subscriptions[0]?.tag, call.fromTag);
  t.deepEqual(
    both[call.fromTag]?.subscriptions.map(({ tag }) => tag).toSorted(),
    ['one', 'other'],
    'the caller hears both',
  );

  const lost = { command: 'delete', 'call-id': call.callId, 'from-tag': call.fromTag, ...branch('b1') };
  t.is((await proxy.request(lost))['warning'], undefined);
  t.deepEqual(names(await parties(proxy, call)), [call.fromTag, 'other'].sort());
  await caller.sendRtp(toOther);
  await other.rtp.nth(1);
  const again = await proxy.offer(to(call, 'other'), sdpOf(caller, 2), { inDialog: true });
  t.deepEqual(relayedTo(again), forOther);
  t.is((await proxy.delete(reversed(to(call, 'other'))))['warning'], undefined, 'a BYE of the callee');
  t.is((await proxy.query(call))['error-reason'], 'Unknown call-id');
});

suite('a branch that is given up before it was answered leaves the other', async (t, proxy) => {
  const [caller, other] = [await party(t), await party(t)];
  for (const toTag of [undefined, 'nobody']) {
    const call = newCall();
    await proxy.offer(call, sdpOf(caller), { extra: branch('b1') });
    const forOther = relayedTo(await proxy.offer(call, sdpOf(caller), { extra: branch('b2') }));
    const given = { 'call-id': call.callId, 'from-tag': call.fromTag, ...branch('b1') };
    await proxy.request({ command: 'delete', ...given, ...(toTag ? { 'to-tag': toTag } : {}) });
    const toOther = relayedTo(await proxy.answer(to(call, 'other'), sdpOf(other), branch('b2')));
    t.deepEqual(names(await parties(proxy, call)), [call.fromTag, 'other'].sort(), toTag);
    const heard = caller.rtp.heard.length;
    await other.sendRtp(forOther);
    t.is((await caller.rtp.nth(heard + 1)).from.port, toOther.port);
    t.is((await proxy.delete(to(call, 'other')))['warning'], undefined);
    t.is((await proxy.query(call))['error-reason'], 'Unknown call-id');
  }
});

suite('the caller ends all branches; a tag that nobody has ends none', async (t, proxy) => {
  const caller = await party(t);
  const call = newCall();
  await proxy.offer(call, sdpOf(caller));
  await proxy.answer(to(call, 'one'), sdpOf(await party(t)));
  await proxy.answer(to(call, 'other'), sdpOf(await party(t)));
  t.is((await proxy.delete(to(call, 'nobody')))['warning'], warning);
  t.is(names(await parties(proxy, call)).length, 3);
  await proxy.request({ command: 'delete', 'call-id': call.callId, 'from-tag': call.fromTag });
  t.is((await proxy.query(call))['error-reason'], 'Unknown call-id');
});
