import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { rtpproxyPrograms, startRtpproxy } from '../../support/rtpproxy.js';
import { rtpproxyGateway } from './rtpproxy-scene.js';

/** A relay knows a session by a tag, and this replica may not know by which: the call began at another one. */

testWith.serial(
  rtpproxyPrograms,
  'a delete by names that the relay does not know, or of one stream, leaves what the relay leaves',
  async (t) => {
    const engine = await startRtpproxy(t);
    const { ask, bindingOf } = await rtpproxyGateway(t, [{ id: 'r1', controlUrl: engine.controlUrl }]);
    await engine.ask('U one@h 127.0.0.1 4000 f');
    await engine.ask('U two@h 127.0.0.1 4002 f;1');
    await engine.ask('U two@h 127.0.0.1 4004 f;2');
    await engine.ask('U all@h 127.0.0.1 4006 f');
    t.not(await ask('L one@h 127.0.0.1 4010 f t'), '0');
    t.not(await ask('L two@h 127.0.0.1 4012 f;1 t;1'), '0');
    t.not(await ask('L all@h 127.0.0.1 4014 f t'), '0');
    t.is(await ask('D one@h t'), 'E50');
    t.is(await ask('D two@h f;2 t;2'), '0');
    t.is(await ask('D all@h t f'), '0');
    // What is done about these deletes takes equally long.
    await eventually(async () => (await bindingOf('all@h'))?.released === true, 'end of the third call');
    t.like(await bindingOf('one@h'), { relay: 'r1', released: false });
    t.like(await bindingOf('two@h'), { relay: 'r1', released: false });
  },
);

testWith.serial(
  rtpproxyPrograms,
  "a session is found by the tag of whoever began it, after the other party's re-INVITE is all that was seen",
  async (t) => {
    const engine = await startRtpproxy(t);
    const { ask, bindingOf } = await rtpproxyGateway(t, [{ id: 'r1', controlUrl: engine.controlUrl }]);
    await engine.ask('U c@h 127.0.0.1 4000 f');
    t.not(await ask('U c@h 127.0.0.1 4002 t f'), '0');
    t.is(await ask('D c@h x y'), 'E50');
    t.is(await ask('Dw c@h zz'), 'E50');
    await engine.ask('U all@h 127.0.0.1 4006 f');
    t.not(await ask('L all@h 127.0.0.1 4014 f t'), '0');
    t.is(await ask('D all@h f t'), '0');
    await eventually(async () => (await bindingOf('all@h'))?.released === true, 'end of the other call');
    t.like(await bindingOf('c@h'), { relay: 'r1', released: false });
    t.is(await ask('D c@h f t'), '0');
    t.is(await engine.ask('Q c@h f'), 'E50');
  },
);
