import { baseVersion, type capabilities } from '../../../services/control/rtpproxy/capabilities.js';

/**
 * The additions to the protocol that the built-in relay has. Of that of 2005 it has the streams, and no music on hold: SIP
 * proxies use no rtpproxy without it.
 */
export const ownCapabilities: readonly (typeof capabilities)[number][] = [
  baseVersion,
  // `;2` behind a tag: a call of several streams.
  '20050322',
  // `VF`.
  '20060704',
  // `Q`.
  '20080403',
  // `c` with payload types.
  '20081102',
  // Timeouts are told.
  '20081224',
  // `r`: an address by which another one is reached.
  '20090810',
  // `Il`.
  '20140323',
  // `G`.
  '20141004',
];
