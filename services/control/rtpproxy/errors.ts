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
  statisticsModifier: 9,
  infoModifier: 18,
  unknownSession: 50,
  noSession: 72,
  /** Not rtpproxy's own: rtp_cluster says it of a member that does not answer. */
  relaySilent: 997,
} as const;
export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes];

export function errorReply(code: ErrorCode): Buffer {
  return Buffer.from(`E${code}\n`);
}
