import test, { type ExecutionContext } from 'ava';
import { newCall, relayedTo } from '../../support/ng.js';
import { testWith } from '../../support/requirement.js';
import type { RtpParty, RtpTarget } from '../../support/rtp.js';
import { rtpproxyPrograms, startRtpproxy } from '../../support/rtpproxy.js';
import { suite } from './builtin-comparison.js';
import { mediaOf, rtpproxyScene, toldBy } from './builtin-rtpproxy-scene.js';
import { party, scene, sdpOf } from './builtin-scene.js';

/** A phone that sends from another port than the one at which it hears. */
interface Phone {
  readonly hears: RtpParty;
  readonly sends: RtpParty;
}

async function phone(t: ExecutionContext): Promise<Phone> {
  return { hears: await party(t), sends: await party(t) };
}

interface Call {
  readonly caller: Phone;
  readonly callee: Phone;
  readonly forCaller: RtpTarget;
  readonly forCallee: RtpTarget;
}

/** The caller is asymmetric; the callee sends from elsewhere than it has said, and is heard there. */
async function talk(t: ExecutionContext, { caller, callee, forCaller, forCallee }: Call): Promise<void> {
  await caller.sends.sendRtp(forCaller);
  await callee.hears.rtp.nth(1);
  await callee.sends.sendRtp(forCallee);
  await caller.hears.rtp.nth(1);
  await caller.sends.sendRtp(forCaller);
  await callee.sends.rtp.nth(1);
  await callee.sends.sendRtp(forCallee);
  await caller.hears.rtp.nth(2);
  t.is(caller.sends.rtp.heard.length, 0);
}

const asymmetric = { flags: ['asymmetric'] };

suite('an asymmetric party hears where it has signaled, wherever its packets come from', async (t, proxy) => {
  for (const asymmetricParty of ['offerer', 'answerer']) {
    const [caller, callee] = [await phone(t), await phone(t)];
    const call = newCall();
    const isOfferer = asymmetricParty === 'offerer';
    const offered = await proxy.offer(call, sdpOf(caller.hears), isOfferer ? { extra: asymmetric } : {});
    const answered = await proxy.answer(call, sdpOf(callee.hears), isOfferer ? {} : asymmetric);
    const [forCallee, forCaller] = [relayedTo(offered), relayedTo(answered)];
    await talk(
      t,
      isOfferer
        ? { caller, callee, forCaller, forCallee }
        : { caller: callee, callee: caller, forCaller: forCallee, forCallee: forCaller },
    );
    await proxy.delete(call);
  }
});

for (const kind of ['the built-in relay', 'rtp-io'] as const) {
  const body = async (t: ExecutionContext) => {
    const { ask } = kind === 'rtp-io' ? await startRtpproxy(t) : await rtpproxyScene(t);
    const [caller, callee] = [await phone(t), await phone(t)];
    const forCallee = toldBy(await ask(`UAc8 call ${mediaOf(caller.hears)} f`));
    const forCaller = toldBy(await ask(`Lc8 call ${mediaOf(callee.hears)} f t`));
    await talk(t, { caller, callee, forCaller, forCallee });
  };
  const title = `as an rtpproxy, an asymmetric party hears where it has signaled: ${kind}`;
  kind === 'rtp-io' ? testWith(rtpproxyPrograms, title, body) : test(title, body);
}

test('of an asymmetric party strangers are dropped as well, until it signals again', async (t) => {
  const { proxy } = await scene(t);
  const [caller, callee, stranger] = [await phone(t), await party(t), await party(t)];
  const call = newCall();
  await proxy.offer(call, sdpOf(caller.hears), { extra: asymmetric });
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee)));
  await caller.sends.sendRtp(forCaller);
  await callee.rtp.nth(1);
  await stranger.sendRtp(forCaller);
  await caller.sends.sendRtp(forCaller);
  await callee.rtp.nth(2);
  const ssrcs = () => callee.rtp.heard.map(({ data }) => data.readUInt32BE(8));
  t.deepEqual([...new Set(ssrcs())], [caller.sends.ssrc >>> 0]);
  await proxy.offer(call, sdpOf(caller.hears, 2), { inDialog: true, extra: asymmetric });
  await stranger.sendRtp(forCaller);
  await callee.rtp.nth(3);
});
