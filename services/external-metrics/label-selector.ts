export type Labels = Readonly<Record<string, string>>;

interface Requirement {
  readonly key: string;
  readonly value: string;
  readonly equal: boolean;
}

/** Equality-based requirements of a label selector of Kubernetes, `set=default,release!=other`: those of a `matchLabels`. */
export class LabelSelector {
  private constructor(private readonly requirements: readonly Requirement[]) {}

  /** @param text empty selects all @returns undefined if it is none of these */
  static parse(text: string): LabelSelector | undefined {
    const requirements: Requirement[] = [];
    for (const part of text === '' ? [] : text.split(',')) {
      const [, key, operator, value] = /^\s*([\w./-]+)\s*(==?|!=)\s*([\w.-]*)\s*$/.exec(part) ?? [];
      if (key === undefined || value === undefined) {
        return undefined;
      }
      requirements.push({ key, value, equal: operator !== '!=' });
    }
    return new LabelSelector(requirements);
  }

  matches(labels: Labels): boolean {
    return this.requirements.every(({ key, value, equal }) => (labels[key] === value) === equal);
  }
}
