/**
 * The numbers behind the `E` of rtpproxy's error replies that this code gives or looks at, as version 3 has them. Version 1
 * had 0 to 10 alone, with other meanings: of a `U` it said 7 and 10 where it had no session left.
 */
export const errorCodes = {
  unknownCommand: 0,
  wordCount: 1,
  modifiers: 2,
  subCommand: 3,
  syntax: 5,
  deleteModifier: 8,
  statisticsModifier: 9,
  urlEncoding: 10,
  /** There is no second interface, for `e` and for `i`. */
  externalInterface: 11,
  internalInterface: 12,
  repacketization: 13,
  payloadTypes: 14,
  localAddress: 15,
  addressTowards: 16,
  playModifier: 17,
  infoModifier: 18,
  /** A modifier of `U` or `L` that is not known. */
  mediaModifier: 35,
  /** No address of that version of IP. */
  addressFamily: 36,
  address: 37,
  unknownSession: 50,
  /** The file cannot be played. */
  noPlayer: 60,
  queryCounter: 62,
  statisticsCounter: 68,
  /** No port for the second party of a session. */
  noSecondPort: 71,
  noSession: 72,
  overload: 98,
  /** Not rtpproxy's own: rtp_cluster says it of a member that does not answer. */
  relaySilent: 997,
} as const;
export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes];

export function errorReply(code: ErrorCode): Buffer {
  return Buffer.from(`E${code}\n`);
}
