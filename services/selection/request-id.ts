import { randomBytes } from 'node:crypto';

/** Random once per process, counted from there: asking for random bytes on each request would cost more than the rest. */
const prefix = randomBytes(9).toString('base64url');
let count = 0;

/** A name for a request that came without one; no other request of any replica has it. */
export function newRequestId(): string {
  return `${prefix}${(count++).toString(36)}`;
}
