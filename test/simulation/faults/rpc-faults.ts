import { status } from '@grpc/grpc-js';
import type { CallSite, InjectedStatus } from '../network/rpc-server.js';
import type { Weighted } from './grammar.js';

const paths = ['/Range', '/Txn', '/LeaseGrant', '/LeaseKeepAlive', '/Watch', '/LeaseRevoke', '/'];

/** Any status with which a call can fail. */
const codes = Object.values(status).filter(
  (code): code is status => typeof code === 'number' && code !== status.OK,
);

export const rpcFaults = {
  /** Some calls of one kind get a status of their own, before or after they were carried out, whatever it means. */
  'rpc-status': {
    weight: 4,
    draw: (world, random) => {
      const client = random.pick<{ readonly name: string; readonly host: CallSite['client']['host'] }>([
        ...world.replicas,
        ...world.relays.map(({ id, host }) => ({ name: id, host })),
      ]);
      const path = random.pick(paths);
      const share = random.pick([0.1, 0.5, 1]);
      const code = random.pick(codes);
      const isDone = random.chance(0.5);
      const injected: InjectedStatus = { code, details: `injected ${status[code]}`, isDone };
      const draws = world.fork();
      return {
        subject: `${client.name}: ${Math.round(share * 100)} % of ${path} ${isDone ? 'after' : 'before'} ${status[code]}`,
        touches: [client.name],
        promised: 'nothing',
        graceMs: 10_000,
        excusesMoves: true,
        begin: () => {
          world.rpc.statusFault = (site) =>
            site.path.startsWith('/etcdserverpb.') &&
            site.path.includes(path) &&
            site.client.host === client.host &&
            draws.chance(share)
              ? injected
              : undefined;
        },
        end: () => {
          world.rpc.statusFault = () => undefined;
        },
      };
    },
  },
} satisfies Readonly<Record<string, Weighted>>;
