import type { AuthServer, ClusterServer, MaintenanceServer } from '../../proto/generated/etcd/rpc.js';
import type { Logger } from '../runtime/log.js';
import { authNotEnabled } from './errors.js';
import { unary } from './handlers.js';
import { type EtcdState, raftTerm } from './state.js';

/** The etcd release whose behavior this server follows, for clients that choose features by it. */
const protocolVersion = '3.4.23';

/** Serves `etcdctl endpoint status`, `endpoint health` and `alarm list`. */
export function maintenanceService(state: EtcdState, log: Logger): MaintenanceServer {
  return {
    status: unary(log, () => {
      const revision = BigInt(state.keyspace.revision);
      return {
        header: state.header(),
        version: protocolVersion,
        dbSize: BigInt(state.usedBytes),
        dbSizeInUse: BigInt(state.keyspace.liveBytes),
        leader: state.memberId,
        raftIndex: revision,
        raftTerm,
        raftAppliedIndex: revision,
      };
    }),
    alarm: unary(log, () => ({ header: state.header() })),
    defragment: unary(log, () => ({ header: state.header() })),
  };
}

export function clusterService(state: EtcdState, log: Logger, endpoint: () => string): ClusterServer {
  return {
    memberList: unary(log, () => ({
      header: state.header(),
      members: [{ id: state.memberId, name: 'embedded', clientUrls: [`http://${endpoint()}`] }],
    })),
  };
}

/** There are no users here: only the loopback interface protects the data. */
export function authService(state: EtcdState, log: Logger): AuthServer {
  return {
    authStatus: unary(log, () => ({ header: state.header(), enabled: false, authRevision: 1n })),
    authDisable: unary(log, () => ({ header: state.header() })),
    authenticate: unary(log, () => {
      throw authNotEnabled();
    }),
  };
}
