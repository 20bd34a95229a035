import { EtcdConnection } from '../../../services/etcd/connection.js';
import { MemberFollower } from '../../../services/etcd/member-follower.js';
import type { Logger } from '../../../services/runtime/log.js';
import type { SimProcess } from '../kernel/process.js';
import type { RpcNetwork } from '../network/rpc-channel.js';

export const etcdTimeoutMs = 2000;

export interface ConnectionOptions {
  readonly rpc: RpcNetwork;
  readonly etcd: readonly string[];
  readonly log: (process: SimProcess) => Logger;
}

/** A process's connection to etcd, which follows its members, with the clock and the log of the process. */
export function connect(process: SimProcess, options: ConnectionOptions) {
  const { rpc, etcd: endpoints } = options;
  const { clock } = process;
  const log = options.log(process);
  const channel = (address: string) => rpc.channel(process, address);
  const connection = new EtcdConnection({ endpoints, timeoutMs: etcdTimeoutMs, channel });
  new MemberFollower({ connection, clock, log }).start();
  return { connection, clock, log };
}
