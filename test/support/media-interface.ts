import type { MediaInterface } from '../../relay-node/media/interfaces.js';

/** What a relay with this address alone is given. */
export function interfacesAt(address = '127.0.0.1', advertised = address): readonly MediaInterface[] {
  return [{ name: 'default', address, advertised }];
}
