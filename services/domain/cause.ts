/** Why something was done, and by whom, as people read it: `one-way audio, by jo`; less where less is known. */
export function causeText(reason: string, by: string): string {
  return [reason, by && `by ${by}`].filter(Boolean).join(', ');
}
