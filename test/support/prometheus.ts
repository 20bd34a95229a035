/** One sample of Prometheus text format 0.0.4. */
interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const sampleLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)",?/g;

/** Parses the body of /metrics as strictly as Prometheus: a line that does not parse is an error. */
export class Scrape {
  readonly #samples: Sample[] = [];
  readonly types = new Map<string, string>();

  constructor(text: string) {
    if (!text.endsWith('\n')) {
      throw new Error('the last line does not end with a newline');
    }
    for (const line of text.split('\n').filter((each) => each !== '')) {
      const [, type, kind] = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(line) ?? [];
      if (type && kind) {
        this.types.set(type, kind);
      } else if (!line.startsWith('# HELP ')) {
        this.#samples.push(parseSample(line));
      }
    }
    for (const { name } of this.#samples) {
      if (!this.types.has(name) && !this.types.has(name.replace(/_(bucket|sum|count)$/, ''))) {
        throw new Error(`${name} has no type`);
      }
    }
  }

  static async of(http: string): Promise<Scrape> {
    return new Scrape(await (await fetch(`http://${http}/metrics`)).text());
  }

  /** The sum of the samples with this name and these labels; undefined if there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.#samples.filter(
      (each) =>
        each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value),
    );
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }
}

function parseSample(line: string): Sample {
  const [, name = '', inner = '', number = ''] = sampleLine.exec(line) ?? [];
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  const labels = Object.fromEntries([...inner.matchAll(label)].map(([, key, text]) => [key, text]));
  // Prometheus uses Go's ParseFloat, which ignores case; prom-client writes "Nan".
  if (name === '' || number === '' || (Number.isNaN(value) && !/^nan$/i.test(number))) {
    throw new Error(`not a sample: ${line}`);
  }
  if (inner.replaceAll(label, '') !== '') {
    throw new Error(`bad labels: ${line}`);
  }
  return { name, labels, value };
}
