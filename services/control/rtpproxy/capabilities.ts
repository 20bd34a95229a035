/** The version of the protocol's base, which every rtpproxy has told since 2004. */
export const baseVersion = '20040107';

/**
 * Additions to the protocol, named by the day on which each was made: `VF` asks for one. Which of them a relay has is among its
 * features.
 */
export const capabilities = [
  '20040107',
  '20050322',
  '20060704',
  '20071116',
  '20071218',
  '20080403',
  '20081102',
  '20081224',
  '20090810',
  '20140323',
  '20140617',
  '20141004',
  '20150330',
  '20150420',
  '20150617',
  '20191015',
  '20200226',
  '20230205',
  '20230314',
  '20230424',
  '20250523',
  '20251015',
  '20260306',
  '20260308',
  '20260309',
] as const;

/** The feature of a relay that has this addition. */
export const capabilityFeature = (day: string): string => `vf-${day}`;
