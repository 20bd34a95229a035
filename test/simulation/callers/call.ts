/** A SIP call, as its proxy knows it. */
export interface SipCall {
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string;
  /** From the last fresh answer. */
  generation: number;
  /** The life of a relay that answered the last offer. */
  media: string | undefined;
  isAnswered: boolean;
  isEnded: boolean;
}

export function newCall(callId: string): SipCall {
  return {
    callId,
    fromTag: `f-${callId}`,
    toTag: `t-${callId}`,
    generation: 0,
    media: undefined,
    isAnswered: false,
    isEnded: false,
  };
}
