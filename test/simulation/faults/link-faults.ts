import type { Random } from '../../chaos/plan/random.js';
import type { Host } from '../kernel/process.js';
import { healthy, type LinkState } from '../network/network.js';
import type { World } from '../world/world.js';
import type { Fault, Weighted } from './grammar.js';

interface End {
  readonly name: string;
  readonly host: Host;
}

const deadConnectionMs = 10_000;

/** A client of etcd and one member. */
function toEtcd({ replicas, relays, etcd }: World, random: Random): { from: End; to: End } {
  const from = random.pick<End>([...replicas, ...relays.map(({ id, host }) => ({ name: id, host }))]);
  const member = random.pick(etcd.members);
  return { from, to: { name: member.endpoint, host: member.host } };
}

/** Two ends that send each other datagrams. */
function ofDatagrams({ replicas, relays, proxies }: World, random: Random): { from: End; to: End } {
  const relay = random.pick(relays.map(({ id, host }) => ({ name: id, host })));
  const from = random.pick<End>([...replicas, ...proxies]);
  const to = proxies.includes(from as never) ? random.pick<End>([...replicas, relay]) : relay;
  return { from, to };
}

const both = { there: true, back: true };

function linkFault(
  world: World,
  { from, to }: { from: End; to: End },
  state: Partial<LinkState>,
  ways: typeof both,
  more: Pick<Fault, 'promised' | 'graceMs'>,
): Fault {
  const set = (next: LinkState) => {
    if (ways.there) {
      world.network.setLink(from.host, to.host, next);
    }
    if (ways.back) {
      world.network.setLink(to.host, from.host, next);
    }
  };
  return {
    subject: `${from.name} ${ways.there ? (ways.back ? '<->' : '->') : '<-'} ${to.name}`,
    touches: [from.name, to.name],
    // A relay node that does not hear from etcd in time takes its relay out.
    excusesMoves: true,
    begin: () => set({ ...healthy, ...state }),
    end: () => set(healthy),
    ...more,
  };
}

/** There are other members, unless there is only one. */
const minor = ({ etcd }: World) =>
  ({ promised: etcd.members.length > 1 ? 'fresh' : 'answered', graceMs: deadConnectionMs }) as const;
const lasting = { promised: 'nothing', graceMs: deadConnectionMs } as const;

export const linkFaults = {
  'etcd-cut': {
    weight: 2,
    draw: (world, random) =>
      linkFault(world, toEtcd(world, random), { carries: 'refused' }, both, minor(world)),
  },
  'etcd-silence': {
    weight: 3,
    draw: (world, random) =>
      linkFault(world, toEtcd(world, random), { carries: 'nothing' }, both, minor(world)),
  },
  'etcd-half-open': {
    weight: 2,
    draw: (world, random) => {
      const there = random.chance(0.5);
      return linkFault(
        world,
        toEtcd(world, random),
        { carries: 'nothing' },
        { there, back: !there },
        minor(world),
      );
    },
  },
  'etcd-delay': {
    weight: 2,
    draw: (world, random) =>
      linkFault(world, toEtcd(world, random), { delayMs: random.between(20, 900) }, both, lasting),
  },
  'replica-cut-off': {
    weight: 2,
    draw: (world, random) => {
      const replica = random.pick(world.replicas);
      const each = world.etcd.members.map((member) =>
        linkFault(
          world,
          { from: replica, to: { name: member.endpoint, host: member.host } },
          { carries: 'nothing' },
          both,
          lasting,
        ),
      );
      return {
        subject: `${replica.name} from etcd`,
        touches: [replica.name],
        promised: 'answered',
        graceMs: deadConnectionMs,
        excusesMoves: false,
        begin: () => each.map(({ begin }) => begin()),
        end: () => each.map(({ end }) => end()),
      };
    },
  },
  'datagram-loss': {
    weight: 3,
    draw: (world, random) =>
      linkFault(
        world,
        ofDatagrams(world, random),
        {
          loss: random.next() * 0.4,
          duplicates: random.next() * 0.4,
          reorders: random.next() * 0.4,
        },
        both,
        lasting,
      ),
  },
  'datagram-errno': {
    weight: 2,
    draw: (world, random) =>
      linkFault(
        world,
        ofDatagrams(world, random),
        { errno: random.pick(['ENETUNREACH', 'EHOSTUNREACH', 'EPERM', 'ENOBUFS', 'EACCES', 'EINVAL']) },
        { there: true, back: false },
        lasting,
      ),
  },
} satisfies Readonly<Record<string, Weighted>>;
