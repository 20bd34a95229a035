import { z } from 'zod';
import {
  maxCapacity,
  maxFeatures,
  maxLabels,
  maxMediaAddresses,
  maxWeight,
  type Relay,
  relayKey,
  relayKinds,
} from '../../domain/relay.js';
import { type Codec, instanceId, jsonCodec, name, stringMap, text, time } from './codec.js';

const value = z.object({
  id: name,
  set: name,
  kind: z.enum(relayKinds),
  instance: instanceId,
  controlUrl: text(255).min(1),
  rtpproxyUrl: text(255).min(1).optional(),
  media: stringMap(maxMediaAddresses),
  state: z.enum(['active', 'draining']),
  weight: z.int().min(0).max(maxWeight),
  capacity: z.int().min(0).max(maxCapacity),
  zone: text(63).default(''),
  labels: stringMap(maxLabels).default({}),
  features: z.array(name).max(maxFeatures).default([]),
  version: text(255).default(''),
  startedAt: time,
});

const schema = z.codec(value, z.custom<Relay>(), {
  decode: ({ media, startedAt, ...rest }) => ({ ...rest, mediaAddresses: media, startedAtMs: startedAt }),
  encode: ({ mediaAddresses, startedAtMs, features, ...rest }) => ({
    ...rest,
    features: [...features],
    media: mediaAddresses,
    startedAt: startedAtMs,
  }),
});

/** A registration. It must name the set and id of its own key. */
export const relayCodec: Codec<Relay> = jsonCodec(schema, (key, { set, id }) =>
  relayKey(set, id) === key ? undefined : `it is the registration of ${relayKey(set, id)}`,
);
