import type { BenchCase } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import { freshCalls } from '../stage/bindings.js';
import { startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { type Replica, startReplica } from '../stage/replica.js';
import { figure } from '../table.js';
import { cpuUsPerCall, otherCpuUsPerCall, streamTarget } from './speed-stage.js';

const x = { label: 'replicas', scale: 'linear' } as const;

/** New calls by several replicas on one etcd. They share this machine, so the CPU time per call counts. */
export const growthReplicas: BenchCase = {
  name: 'growth-replicas',
  title: 'growth: cost against replicas',
  async run(context) {
    const { scope, pick, progress } = context;
    const etcd = await startEtcd(scope);
    await RegisteredRelays.register(scope, etcd, 3);
    const load = LoadGenerator.start(scope);
    const durations = pick({ warmupMs: 1500, durationMs: 6000 }, { warmupMs: 200, durationMs: 500 });
    const replicas: Replica[] = [];
    const rate: [number, number][] = [];
    const replicaCpu: [number, number][] = [];
    const etcdCpu: [number, number][] = [];
    for (const count of pick([1, 2, 3, 4], [1, 2])) {
      progress(`${count} replicas`);
      while (replicas.length < count) {
        replicas.push(await startReplica(scope, etcd));
      }
      const [first] = replicas;
      if (!first) {
        break;
      }
      const result = await load.run({
        target: {
          ...streamTarget(first, freshCalls(), 4 * count),
          ports: replicas.map(({ grpcPort }) => grpcPort),
        },
        loop: { kind: 'closed', concurrency: 512, ...durations },
        watch: [...etcd.pids, ...replicas.map(({ pid }) => pid)],
      });
      progress(`${figure(result.perSecond)} calls/s`);
      rate.push([count, result.perSecond]);
      etcdCpu.push([count, cpuUsPerCall(result)]);
      replicaCpu.push([count, otherCpuUsPerCall(result)]);
    }
    return {
      rows: [],
      plots: [
        {
          file: 'replicas-rate.svg',
          title: 'New calls by SelectStream, all replicas on one machine',
          x,
          y: { label: 'calls per second', scale: 'linear' },
          series: [{ label: 'all replicas together', points: rate }],
        },
        {
          file: 'replicas-cpu.svg',
          title: 'CPU time of a new call by SelectStream',
          x,
          y: { label: 'µs per call', scale: 'linear' },
          series: [
            { label: 'replicas', points: replicaCpu },
            { label: 'etcd', points: etcdCpu },
          ],
        },
      ],
    };
  },
};
