import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Logger } from '../runtime/log.js';
import { authNotEnabled } from './errors.js';
import { unary } from './handlers.js';
import { type EtcdState, raftTerm } from './state.js';

/** The etcd release whose behavior this server follows, for clients that choose their ways by it. */
const protocolVersion = '3.4.23';

/** What `etcdctl endpoint status`, `endpoint health` and `alarm list` ask. */
export function maintenanceService(state: EtcdState, log: Logger): UntypedServiceImplementation {
  return {
    Status: unary(log, () => ({
      header: state.header(),
      version: protocolVersion,
      dbSize: state.usedBytes,
      dbSizeInUse: state.keyspace.liveBytes,
      leader: state.memberId,
      raftIndex: state.keyspace.revision,
      raftTerm,
      raftAppliedIndex: state.keyspace.revision,
    })),
    Alarm: unary(log, () => ({ header: state.header(), alarms: [] })),
    Defragment: unary(log, () => ({ header: state.header() })),
  };
}

export function clusterService(
  state: EtcdState,
  log: Logger,
  endpoint: () => string,
): UntypedServiceImplementation {
  return {
    MemberList: unary(log, () => ({
      header: state.header(),
      members: [{ ID: state.memberId, name: 'embedded', peerURLs: [], clientURLs: [`http://${endpoint()}`] }],
    })),
  };
}

/** There are no users here: the loopback interface is the only guard. */
export function authService(state: EtcdState, log: Logger): UntypedServiceImplementation {
  return {
    AuthStatus: unary(log, () => ({ header: state.header(), enabled: false, authRevision: 1 })),
    AuthDisable: unary(log, () => ({ header: state.header() })),
    Authenticate: unary(log, () => {
      throw authNotEnabled();
    }),
  };
}
