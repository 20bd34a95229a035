import { text } from './fields.js';
import type { NgDictionary } from './message.js';

/**
 * The words by which a relay refuses an option that it does not have, so that whoever forwarded the request can try a
 * relay that has it.
 */
export function unsupportedOption(name: string): string {
  return `Option "${printable(name)}" is not supported by this relay`;
}

/**
 * Whether a reply says that the relay cannot do what was asked, while another kind of relay may: an option that it does
 * not have, or a command that it does not know (rtpengine's words).
 */
export function isUnsupported(reply: NgDictionary): boolean {
  const reason = text(reply['error-reason']);
  return reason !== undefined && text(reply['result']) === 'error' && refusal.test(reason);
}

const refusal = /^(?:Option ".*" is not supported by this relay|Unrecognized command)$/;

/** Names come from the network, and go into replies and logs. */
function printable(name: string): string {
  return name.replaceAll(/[^\x21\x23-\x7e]/g, '?').slice(0, 63);
}
