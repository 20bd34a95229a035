import type { CheckName } from '../check/history.js';
import type { FaultName } from '../faults/grammar.js';

/** A fix that is taken back: text of a compiled module, and what was there before. */
export interface Revert {
  /** Below `dist`. */
  readonly file: string;
  /** Stands there once. */
  readonly fixed: string;
  readonly broken: string;
}

export interface Bug {
  readonly name: string;
  readonly title: string;
  readonly reverts: readonly Revert[];
  /** The faults that expose it; any others would only take time. */
  readonly kinds: readonly FaultName[];
  readonly caughtBy: readonly CheckName[];
}

export const bugs: readonly Bug[] = [
  {
    name: 'failover-by-list',
    title: 'another member of etcd is asked only after UNAVAILABLE and DEADLINE_EXCEEDED',
    reverts: [
      {
        file: 'services/etcd/failover.js',
        fixed: 'return (code !== undefined && answers.has(code)) || answerTexts.test(text);',
        broken: 'return code !== status.UNAVAILABLE && code !== status.DEADLINE_EXCEEDED;',
      },
    ],
    kinds: ['member-kill', 'member-freeze', 'etcd-cut'],
    caughtBy: ['service', 'relays registered', 'live calls'],
  },
  {
    name: 'reads-prove-health',
    title: 'etcd counts as well while it answers reads',
    reverts: [
      {
        file: 'services/etcd/quorum-monitor.js',
        fixed: "if (kind === 'write') {",
        broken: 'if (kind) {',
      },
      {
        file: 'services/etcd/connection.js',
        fixed: 'return this.txn({ compare: [never], success: [put] }, { deadline: Date.now() + timeoutMs });',
        broken: 'return this.range({ key: never.key }, { deadline: Date.now() + timeoutMs });',
      },
    ],
    kinds: ['nospace', 'read-only'],
    caughtBy: ['service'],
  },
  {
    name: 'histories-mixed',
    title: 'nobody looks which cluster and which revision an answer is of',
    reverts: [
      {
        file: 'services/etcd/history.js',
        fixed: 'if (epoch !== this.#epoch) {',
        broken: 'if (header) {',
      },
    ],
    kinds: ['wipe', 'restore'],
    caughtBy: ['stickiness', 'media', 'live calls', 'service', 'order', 'agreement'],
  },
  {
    name: 'answered-call-moves',
    title: 'whether a call is in progress is read from the to-tag of its offer',
    reverts: [
      {
        file: 'services/gateway/offer.js',
        fixed: "isSetup = binding.state === 'setup' && !mayBeAnswered(request, answer);",
        broken: 'isSetup = request.parties?.toTag === undefined;',
      },
      { file: 'services/gateway/offer.js', fixed: 'inSetupOnly: true,', broken: 'inSetupOnly: false,' },
    ],
    kinds: ['relay-pause'],
    caughtBy: ['stickiness', 'media', 'live calls'],
  },
  {
    name: 'former-end-ends-call',
    title: 'a deletion that was put off ends whatever call there is by then',
    reverts: [
      {
        file: 'services/gateway/delete.js',
        fixed: 'if (!isVersionOf(binding, found.binding)) {',
        broken: 'if (!binding) {',
      },
      { file: 'services/gateway/delete.js', fixed: 'return !isBegunAgain;', broken: 'return true;' },
    ],
    kinds: ['relay-freeze', 'datagram-errno'],
    caughtBy: ['live calls', 'media', 'stickiness'],
  },
  {
    name: 'released-stays-released',
    title: 'a Select after Release is answered as a released binding',
    reverts: [
      {
        file: 'services/selection/ttl-policy.js',
        fixed: "return inDialog || requestId === beginning ? 'released' : 'setup';",
        broken: "return 'released';",
      },
    ],
    kinds: ['leader-change'],
    caughtBy: ['released', 'live calls', 'stickiness'],
  },
  {
    name: 'outage-counts',
    title: 'remembered bindings age while etcd is out of reach',
    reverts: [
      {
        file: 'services/selection/outage/lease-clock.js',
        fixed: 'this.#pausedAtMs ??= Math.max(sinceMs, this.#resumedAtMs);',
        broken: '',
      },
    ],
    kinds: ['etcd-outage', 'quorum-loss'],
    caughtBy: ['remembered', 'stickiness', 'media', 'live calls', 'service'],
  },
  {
    name: 'nothing-rebuilt',
    title: 'what etcd has lost is not written again',
    reverts: [
      {
        file: 'services/selection/engine.js',
        fixed: 'void this.rebuilder.rebuild().then(() => this.selector.goOn());',
        broken: '',
      },
    ],
    kinds: ['wipe', 'restore'],
    caughtBy: ['live calls', 'stickiness', 'media', 'order', 'agreement'],
  },
];
