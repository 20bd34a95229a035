import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RtpproxyDriver } from '../../../relay-node/relays/rtpproxy.js';
import { parseControlUrl } from '../../../services/control/control-address.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { freeTcpPort } from '../../support/ports.js';
import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { rtpproxyPrograms, sessionsOn, startRtpproxy } from '../../support/rtpproxy.js';
import { rtpproxyGateway } from './rtpproxy-scene.js';

const isMedia = /^[1-9]\d{4} 127\.0\.0\.1$/;

/** `unix` sockets take one command each; `cunix` ones are like TCP. */
for (const kind of ['tcp', 'unix', 'cunix']) {
  testWith.serial(rtpproxyPrograms, `an rtpproxy is controlled over a ${kind} socket`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-control-'));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    const at = kind === 'tcp' ? `127.0.0.1:${await freeTcpPort()}` : join(directory, 'rtpproxy.sock');
    const engine = await startRtpproxy(t, { engine: ['-l', '127.0.0.1', '-s', `${kind}:${at}`] });
    const controlUrl = `${kind === 'tcp' ? 'tcp' : 'unix'}:${at}`;

    const control = parseControlUrl(controlUrl);
    if (!control) {
      throw new Error(controlUrl);
    }
    const relay = new RtpproxyDriver({
      control,
      advertise: undefined,
      clock: systemClock,
      log: silentLogger,
    });
    t.teardown(() => relay.stop());
    await relay.start();
    await relay.ping();
    t.is(relay.controlUrl, controlUrl);
    t.true((await relay.features()).includes('vf-20050322'));
    const instance = await relay.recall(undefined);
    t.like(await relay.status(), { instance, calls: 0 });

    const { ask } = await rtpproxyGateway(t, [{ id: 'r1', controlUrl }]);
    const calls = Array.from({ length: 40 }, (_, i) => `${kind}-${i}@h`);
    const replies = await Promise.all(calls.map((callId) => ask(`U ${callId} 127.0.0.1 4000 f;1`)));
    t.true(
      replies.every((reply) => isMedia.test(reply)),
      replies.join(),
    );
    t.like(await relay.status(), { instance, calls: 40 });
    t.regex(await ask('Ib'), /^sessions created: \d+\nactive sessions: 41\n/);
    t.deepEqual([...new Set(await Promise.all(calls.map((callId) => ask(`D ${callId} f`))))], ['0']);
    // A busy relay may not have answered all of them in time: those are repeated.
    await eventually(async () => (await sessionsOn(engine, 1)) === 0, 'end of all sessions');

    await engine.pause();
    t.is(await ask('U silent@h 127.0.0.1 4000 f;1'), 'E72', 'in time');
    await t.throwsAsync(relay.ping());
    engine.resume();
    await eventually(
      () =>
        relay.ping().then(
          () => true,
          () => false,
        ),
      'an answer',
    );
    t.regex(await ask('U later@h 127.0.0.1 4000 f;1'), isMedia);
    await engine.kill();
    await t.throwsAsync(relay.ping());
    t.is(await ask('U dead@h 127.0.0.1 4000 f;1'), 'E72');
  });
}
