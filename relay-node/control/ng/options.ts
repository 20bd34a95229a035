import type { NgDictionary } from '../../../services/control/ng/message.js';
import { optionsOf, sourceOf } from '../../../services/control/ng/options.js';
import type { RtcpAttribute } from './rewrite.js';

/** How an offer or answer is to be carried out. */
export interface MediaOptions {
  readonly replaceOrigin: boolean;
  readonly rtcpAttribute: RtcpAttribute;
  /** The address to believe more than the SDP's: where the SIP message came from. */
  readonly source: string | undefined;
}

/** Of a request that needs nothing beyond forwarding. */
export function mediaOptions(body: NgDictionary): MediaOptions {
  const options = optionsOf(body);
  const has = (key: string) => options.some((option) => option.key === key);
  const full = has('full-rtcp-attribute') ? 'full' : 'as-sent';
  return {
    replaceOrigin: has('replace-origin'),
    rtcpAttribute: has('no-rtcp-attribute') ? 'none' : full,
    source: sourceOf(body, options),
  };
}
