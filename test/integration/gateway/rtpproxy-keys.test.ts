import { selfHost } from '../../../services/control/rtpproxy/notify-socket.js';
import { notifiedSocket } from '../../support/notified-socket.js';
import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { PacketSocket } from '../../support/rtp.js';
import { rtpproxyPrograms, startRtpproxy } from '../../support/rtpproxy.js';
import { type Ask, notifyingEngines } from './rtpproxy-scene.js';

/** Keys that are pressed during a call (RFC 4733), as an rtpproxy tells them: tag, digit, volume, duration, side. */

const pauseMs = 20;
const payloadTypes = { pcmu: 0, event: 101 };

function rtp(sequence: number, timestamp: number, type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(0x80, 0);
  header.writeUInt8(type, 1);
  header.writeUInt16BE(sequence, 2);
  header.writeUInt32BE(timestamp, 4);
  header.writeUInt32BE(4711, 8);
  return Buffer.concat([header, payload]);
}

/** Whether the key is let go, and for how long it was pressed, in samples. */
function key(digit: number, isEnd: boolean, duration: number): Buffer {
  const payload = Buffer.from([digit, (isEnd ? 0x80 : 0) | 10, 0, 0]);
  payload.writeUInt16BE(duration, 2);
  return payload;
}

/** Sound, and the packets of an event: all have the timestamp of its beginning (RFC 4733 section 2.2). */
async function pressKey(party: PacketSocket, digit: number, port: number): Promise<void> {
  const sound = Array.from({ length: 3 }, () => [payloadTypes.pcmu, Buffer.alloc(160)] as const);
  const event = [160, 320, 480, 480, 480].map(
    (duration) => [payloadTypes.event, key(digit, duration === 480, duration)] as const,
  );
  for (const [i, [type, payload]] of [...sound, ...event].entries()) {
    const sequence = i + 1;
    await party.send(rtp(sequence, 160 * Math.min(sequence, 4), type, payload), port, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** A call whose caller presses 5, and whose callee presses 7. @param notify what the `U` says of who is told */
async function press(ask: Ask, call: string, notify: string, tags: { caller: string; callee: string }) {
  const [caller, callee] = [await PacketSocket.open('127.0.0.1'), await PacketSocket.open('127.0.0.1')];
  try {
    const offer = `Uc0,101 ${call} 127.0.0.1 ${caller.port} f;1 t;1 ${notify} && M3:1 ${tags.caller}`;
    const answer = `Lc0,101 ${call} 127.0.0.1 ${callee.port} f;1 t;1 && M3:1 ${tags.callee}`;
    const [toCallee, toCaller] = [await ask(offer), await ask(answer)].map((reply) =>
      Number.parseInt(reply, 10),
    );
    await callee.send(rtp(0, 0, payloadTypes.pcmu, Buffer.alloc(160)), toCallee ?? 0, '127.0.0.1');
    await pressKey(caller, 5, toCaller ?? 0);
    await pressKey(callee, 7, toCallee ?? 0);
    await Promise.all([caller, callee].map((party) => party.nth(6)));
  } finally {
    await Promise.all([caller.close(), callee.close()]);
  }
}

testWith.serial(
  rtpproxyPrograms,
  'a key that is pressed is told to the proxy that has asked for it',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const engine = await startRtpproxy(t, { engine: ['-l', '127.0.0.1', '-n', proxy.name] });
    const behind = await notifiedSocket(t);
    const sockets = [behind.name.replace('127.0.0.1', selfHost)];
    const { ask } = await notifyingEngines(t, 1, { ttl: 30, sockets });

    await press(engine.ask, 'direct@h', `${proxy.name} T1`, { caller: 'Dd%201', callee: 'Dd%202' });
    await press(ask, 'gateway@h', `${behind.name} T1`, { caller: 'Dg%201', callee: 'Dg%202' });
    await eventually(() => proxy.heard.length >= 2 && behind.heard.length >= 2, 'keys');
    const direct = [...proxy.heard].sort();
    t.regex(direct.join('\n'), /^Dd [12] 5 10 480 [01]\nDd [12] 7 10 480 [01]$/);
    t.deepEqual(
      [...behind.heard].sort(),
      direct.map((line) => line.replace('Dd', 'Dg')),
    );
  },
);
