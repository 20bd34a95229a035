import type { RelayHost } from '../world/relay-host.js';
import type { Replica } from '../world/replica.js';
import type { Fault, Weighted } from './grammar.js';

const deadConnectionMs = 10_000;

const gone = (
  subject: string,
  touches: readonly string[],
  excusesMoves: boolean,
  begin: () => void,
  end: () => void,
): Fault => ({
  subject,
  touches,
  promised: 'nothing',
  graceMs: deadConnectionMs,
  excusesMoves,
  begin,
  end,
});

/** Something is done to one replica, and taken back later: no call moves for it. */
const ofReplica = (
  weight: number,
  begin: (replica: Replica) => void,
  end: (replica: Replica) => void,
): Weighted => ({
  weight,
  draw: ({ replicas }, random) => {
    const replica = random.pick(replicas);
    return gone(
      replica.name,
      [replica.name],
      false,
      () => begin(replica),
      () => end(replica),
    );
  },
});

/** The same with a relay or its node: its calls may move. */
const ofRelay = (
  weight: number,
  begin: (relay: RelayHost) => void,
  end: (relay: RelayHost) => void,
): Weighted => ({
  weight,
  draw: ({ relays }, random) => {
    const relay = random.pick(relays);
    return gone(
      relay.id,
      [relay.id],
      true,
      () => begin(relay),
      () => end(relay),
    );
  },
});

export const processFaults = {
  'replica-kill': ofReplica(
    3,
    (replica) => replica.kill(),
    (replica) => replica.start(),
  ),
  'replica-freeze': ofReplica(
    3,
    ({ process }) => process?.freeze(),
    ({ process }) => process?.thaw(),
  ),
  'node-kill': ofRelay(
    2,
    (relay) => relay.killNode(),
    (relay) => relay.startNode(),
  ),
  'node-freeze': ofRelay(
    2,
    ({ node }) => node?.freeze(),
    ({ node }) => node?.thaw(),
  ),
  'relay-kill': ofRelay(
    3,
    (relay) => relay.killMedia(),
    (relay) => relay.startMedia(),
  ),
  'relay-freeze': ofRelay(
    2,
    ({ media }) => media?.freeze(),
    ({ media }) => media?.thaw(),
  ),
  /** Shorter than a relay node takes to believe it: nothing may move. */
  'relay-pause': {
    weight: 3,
    draw: ({ relays, scheduler }, random) => {
      const relay = random.pick(relays);
      const pauseMs = random.between(100, 750);
      return gone(
        `${relay.id} for ${pauseMs} ms`,
        [relay.id],
        false,
        () => {
          const { media } = relay;
          media?.freeze();
          scheduler.after(pauseMs, relay.host.kernel, () => media?.thaw());
        },
        () => {},
      );
    },
  },
} satisfies Readonly<Record<string, Weighted>>;
