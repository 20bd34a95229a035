import { type Caller, callerName } from './certificate-names.js';
import { parseText } from './requests.js';

const maxActorLength = 64;

/**
 * The caller: the name in the client's certificate, else what the client says, marked as such; empty if it says nothing.
 *
 * @param said the request's `actor`
 * @throws HoldfastError `invalid-argument` if it is too long
 */
export function actorOf(said: string, caller: Caller): string {
  const name = parseText('actor', said, maxActorLength);
  return callerName(caller) ?? (name && `${name} (unverified)`);
}
