import { z } from 'zod';
import { policyNames } from '../placement/placement.js';
import {
  addressSchema,
  type ConfigOf,
  commonSettings,
  type Settings,
  wholeNumber,
} from '../runtime/config.js';

export const selectionSettings = {
  grpcListen: {
    name: 'HOLDFAST_GRPC_LISTEN',
    flag: '--grpc <host:port>',
    description: 'where gRPC is served; port 0 takes a free one',
    allowed: 'HOST:PORT',
    fallback: '127.0.0.1:7400',
    schema: addressSchema,
  },
  placement: {
    name: 'HOLDFAST_PLACEMENT',
    flag: '--placement <policy>',
    description: 'how a relay is chosen for a new call',
    allowed: policyNames.join(', '),
    fallback: 'least-loaded',
    schema: z.enum(policyNames) as z.ZodType<(typeof policyNames)[number], string>,
  },
  setupTtlSeconds: {
    name: 'HOLDFAST_SETUP_TTL_SECONDS',
    flag: '--setup-ttl <seconds>',
    description: 'how long a binding lives at least after the request that made it, s',
    allowed: '10-86400',
    fallback: '300',
    schema: wholeNumber(10, 86_400),
  },
  callTtlSeconds: {
    name: 'HOLDFAST_CALL_TTL_SECONDS',
    flag: '--call-ttl <seconds>',
    description: 'how long a binding lives at least after any later use, s',
    allowed: '10-86400',
    fallback: '3600',
    schema: wholeNumber(10, 86_400),
  },
  lingerSeconds: {
    name: 'HOLDFAST_LINGER_SECONDS',
    flag: '--linger <seconds>',
    description: 'how long a released binding is kept, s; the same for all replicas',
    allowed: '5-600',
    fallback: '30',
    schema: wholeNumber(5, 600),
  },
  cacheEntries: {
    name: 'HOLDFAST_CACHE_ENTRIES',
    flag: '--cache-entries <count>',
    description: 'most bindings that a replica remembers',
    allowed: '0-10000000',
    fallback: '200000',
    schema: wholeNumber(0, 10_000_000),
  },
  stopDeadlineSeconds: {
    name: 'HOLDFAST_STOP_DEADLINE_SECONDS',
    flag: '--stop-deadline <seconds>',
    description: 'most that an orderly stop may take, s',
    allowed: '1-3600',
    fallback: '10',
    schema: wholeNumber(1, 3_600),
  },
  ...commonSettings,
} as const satisfies Settings;

export type SelectionConfig = ConfigOf<typeof selectionSettings>;
