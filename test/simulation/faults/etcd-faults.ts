import { status } from '@grpc/grpc-js';
import { noSpace } from '../../../services/embedded-etcd/errors.js';
import type { Member, Refusal } from '../etcd/member.js';
import type { Fault, FaultKind, Weighted } from './grammar.js';

/** Clients find out after a ping and its timeout, 8 s, that a connection is dead, and go elsewhere. */
export const deadConnectionMs = 10_000;
const lossMs = 5000;

/** One member of several: the others go on. */
const minor = (subject: string, begin: () => void, end: () => void): Fault => ({
  subject,
  touches: ['etcd'],
  promised: 'fresh',
  graceMs: deadConnectionMs,
  excusesMoves: false,
  begin,
  end,
});

/** etcd as a whole does not write. */
const major = (subject: string, begin: () => void, end: () => void, graceMs = lossMs): Fault => ({
  ...minor(subject, begin, end),
  promised: 'answered',
  graceMs,
});

const anyMember = (hit: (member: Member) => void, heal: (member: Member) => void): FaultKind => {
  return ({ etcd }, random) => {
    // With one voter there is no other.
    if (etcd.members.filter(({ votes }) => votes).length < 3) {
      return undefined;
    }
    const member = random.pick(etcd.members);
    return minor(
      member.endpoint,
      () => hit(member),
      () => heal(member),
    );
  };
};

const mutates = (path: string, request: unknown): boolean =>
  /\/(Put|DeleteRange|LeaseGrant|LeaseRevoke)$/.test(path) ||
  (path.endsWith('/Txn') && writes(request, false));
const grows = (path: string, request: unknown): boolean =>
  /\/(Put|LeaseGrant)$/.test(path) || (path.endsWith('/Txn') && writes(request, true));

interface TxnShape {
  readonly success?: readonly OpShape[];
  readonly failure?: readonly OpShape[];
}
interface OpShape {
  readonly request?: { readonly $case: string; readonly value: unknown };
}

function writes(request: unknown, putsOnly: boolean): boolean {
  const { success = [], failure = [] } = (request ?? {}) as TxnShape;
  return [...success, ...failure].some(({ request: op }) => {
    if (op?.$case === 'txn') {
      return writes(op.value, putsOnly);
    }
    return op?.$case === 'put' || (!putsOnly && op?.$case === 'deleteRange');
  });
}

const refusing =
  (subject: string, refuses: (path: string, request: unknown) => boolean, refusal: Refusal): FaultKind =>
  ({ etcd }) =>
    major(
      subject,
      () => {
        etcd.refusal = (path, request) => (refuses(path, request) ? refusal : undefined);
      },
      () => {
        etcd.refusal = undefined;
      },
    );

const permissionDenied: Refusal = {
  code: status.PERMISSION_DENIED,
  details: 'etcdserver: permission denied',
};

export const etcdFaults = {
  'member-kill': {
    weight: 3,
    draw: anyMember(
      (member) => member.kill(),
      (member) => member.start(),
    ),
  },
  'member-freeze': {
    weight: 3,
    draw: anyMember(
      (member) => member.freeze(),
      (member) => member.thaw(),
    ),
  },
  'member-isolate': {
    weight: 3,
    draw: anyMember(
      (member) => member.isolate(),
      (member) => member.join(),
    ),
  },
  'leader-change': {
    weight: 2,
    draw: ({ etcd }) =>
      minor(
        'the leader steps down',
        () => etcd.changeLeader(),
        () => {},
      ),
  },
  compaction: {
    weight: 2,
    draw: ({ etcd }) =>
      minor(
        'all but the newest',
        () => etcd.compact(),
        () => {},
      ),
  },
  'etcd-outage': {
    weight: 3,
    draw: ({ etcd }, random) => {
      const isFrozen = random.chance(0.4);
      return major(
        isFrozen ? 'all members freeze' : 'all members die',
        () => {
          for (const member of etcd.members) {
            if (isFrozen) {
              member.freeze();
            } else {
              member.kill();
            }
          }
        },
        () => {
          for (const member of etcd.members) {
            member.thaw();
            member.start();
          }
        },
        deadConnectionMs,
      );
    },
  },
  'quorum-loss': {
    weight: 2,
    draw: ({ etcd }, random) => {
      const voters = etcd.members.filter(({ votes }) => votes);
      const spared = random.pick(voters);
      const lost = voters.filter((member) => member !== spared);
      return major(
        `all but ${spared.endpoint}`,
        () => lost.map((member) => member.kill()),
        () => lost.map((member) => member.start()),
        deadConnectionMs,
      );
    },
  },
  nospace: { weight: 3, draw: refusing('the space is exhausted', grows, noSpace()) },
  'read-only': { weight: 2, draw: refusing('the user may read', mutates, permissionDenied) },
  wipe: {
    weight: 2,
    draw: ({ etcd }) => ({
      ...major(
        'all members come back empty',
        () => {
          etcd.members.map((member) => member.kill());
          etcd.replace();
        },
        () => etcd.members.map((member) => member.start()),
      ),
      graceMs: deadConnectionMs,
    }),
  },
  restore: {
    weight: 2,
    draw: (world, random) => {
      const { etcd } = world;
      const keepsClusterId = random.chance(0.5);
      let snapshot = etcd.store.snapshot();
      // It is of this moment, or from before the fault.
      const ageMs = random.between(0, 30_000);
      const takenAtMs = Math.max(0, world.scheduler.nowMs - ageMs);
      const at = world.snapshots.findLast((each) => each.atMs <= takenAtMs);
      snapshot = at?.snapshot ?? snapshot;
      return {
        ...major(
          `all members come back as they were ${Math.round(ageMs / 1000)} s ago${keepsClusterId ? '' : ', as another cluster'}`,
          () => {
            etcd.members.map((member) => member.kill());
            etcd.replace(snapshot, keepsClusterId);
          },
          () => etcd.members.map((member) => member.start()),
        ),
        graceMs: deadConnectionMs,
      };
    },
  },
} satisfies Readonly<Record<string, Weighted>>;
