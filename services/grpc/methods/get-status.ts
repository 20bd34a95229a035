import {
  type GetStatusRequest,
  type GetStatusResponse,
  StatusLevel,
} from '../../../proto/generated/holdfast/v1/relay.js';
import type { ReplicaStatus } from '../../domain/status.js';
import type { RelayServiceDeps } from '../deps.js';

const levels: Readonly<Record<ReplicaStatus['level'], StatusLevel>> = {
  ok: StatusLevel.OK,
  warning: StatusLevel.WARNING,
  critical: StatusLevel.CRITICAL,
};

/** `GetStatus`: how this replica is. */
export function getStatus({ status }: RelayServiceDeps): (request: GetStatusRequest) => GetStatusResponse {
  return () => {
    const { atMs, level, advice, problems, calls, traffic, bindings, etcd, replicas, ...told } = status();
    return {
      ...told,
      time: new Date(atMs),
      level: levels[level],
      advice: advice ?? '',
      problems: problems.map((problem) => ({ ...problem, level: levels[problem.level] })),
      calls: BigInt(calls),
      newPerSecond: traffic.newPerSecond,
      relayRates: [...traffic.newByRelay].sort().map(([key, newPerSecond]) => {
        const [set = '', relayId = ''] = key.split('/');
        return { set, relayId, newPerSecond };
      }),
      relayBindings: [...bindings].sort().map(([key, count]) => {
        const [set = '', relayId = ''] = key.split('/');
        return { set, relayId, bindings: BigInt(count) };
      }),
      p99Ms: traffic.p99Ms,
      etcd: {
        answers: etcd.answers,
        reason: etcd.reason ?? '',
        lostSeconds: etcd.lostForSeconds ?? 0,
        updates: etcd.updates,
      },
      replicas: replicas.map(({ name, isOwn, differing }) => ({
        name,
        self: isOwn,
        differingSettings: [...differing],
      })),
    };
  };
}
