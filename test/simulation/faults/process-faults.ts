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

export const processFaults = {
  'replica-kill': {
    weight: 3,
    draw: ({ replicas }, random) => {
      const replica = random.pick(replicas);
      return gone(
        replica.name,
        [replica.name],
        false,
        () => replica.kill(),
        () => replica.start(),
      );
    },
  },
  'replica-freeze': {
    weight: 3,
    draw: ({ replicas }, random) => {
      const replica = random.pick(replicas);
      return gone(
        replica.name,
        [replica.name],
        false,
        () => replica.process?.freeze(),
        () => replica.process?.thaw(),
      );
    },
  },
  'node-kill': {
    weight: 2,
    draw: ({ relays }, random) => {
      const relay = random.pick(relays);
      return gone(
        relay.id,
        [relay.id],
        true,
        () => relay.killNode(),
        () => relay.startNode(),
      );
    },
  },
  'node-freeze': {
    weight: 2,
    draw: ({ relays }, random) => {
      const relay = random.pick(relays);
      return gone(
        relay.id,
        [relay.id],
        true,
        () => relay.node?.freeze(),
        () => relay.node?.thaw(),
      );
    },
  },
  'relay-kill': {
    weight: 3,
    draw: ({ relays }, random) => {
      const relay = random.pick(relays);
      return gone(
        relay.id,
        [relay.id],
        true,
        () => relay.killMedia(),
        () => relay.startMedia(),
      );
    },
  },
  'relay-freeze': {
    weight: 2,
    draw: ({ relays }, random) => {
      const relay = random.pick(relays);
      return gone(
        relay.id,
        [relay.id],
        true,
        () => relay.media?.freeze(),
        () => relay.media?.thaw(),
      );
    },
  },
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
