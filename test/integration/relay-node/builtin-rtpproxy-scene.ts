import type { ExecutionContext } from 'ava';
import { UdpClient } from '../../../services/control/udp/client.js';
import { parseAddress } from '../../../services/runtime/address.js';
import type { RtpParty, RtpTarget } from '../../support/rtp.js';
import { type Scene, type SceneOptions, scene } from './builtin-scene.js';

export interface RtpproxyScene extends Scene {
  /** The reply to a command, without its end of line. */
  ask(command: string): Promise<string>;
}

/** A built-in relay with both fronts. */
export async function rtpproxyScene(t: ExecutionContext, options: SceneOptions = {}): Promise<RtpproxyScene> {
  const host = options.mediaAddress ?? '127.0.0.1';
  const stage = await scene(t, { rtpproxyListen: { host, port: 0 }, ...options });
  const address = parseAddress(stage.relay.rtpproxyUrl?.slice('udp:'.length) ?? '');
  if (!address) {
    throw new Error(`controlled as an rtpproxy at ${stage.relay.rtpproxyUrl}`);
  }
  const client = new UdpClient({ ...address, timeoutMs: 5000, retransmitMs: 1000 });
  await client.start();
  t.teardown(() => client.stop());
  const ask = async (command: string) =>
    (await client.request(Buffer.from(command, 'latin1'))).toString('latin1').replace(/\n$/, '');
  return { ...stage, ask };
}

/** What the reply to a `U` or `L` tells; RTCP has the next port (RFC 3550 section 11). */
export function toldBy(reply: string): RtpTarget {
  const [, port, address = ''] = /^([1-9]\d*) (\S+)(?: 6)?$/.exec(reply) ?? [];
  if (port === undefined) {
    throw new Error(`no port in the reply: ${reply}`);
  }
  return { address, port: Number(port), rtcpPort: Number(port) + 1 };
}

/** Two words of a `U` or `L`. */
export const mediaOf = ({ address, port }: RtpParty): string => `${address} ${port}`;
