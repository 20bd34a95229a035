import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Scope } from '../support/process.js';
import { repository } from '../support/repository.js';
import './tools.js';
import { type Container, containersOf, type Manifest, type PodTemplate, podTemplate } from './manifest.js';

export const chart = join(repository, 'helm/holdfast');
export const namespace = 'sip';

/** The oldest Kubernetes that Chart.yaml allows: newer ones accept what is rendered for it. */
const common = ['--namespace', namespace, '--kube-version', '1.30.0'];

const valueFile = (name: string) => join(chart, 'ci', `${name}.yaml`);

/** The value files in the chart's `ci` directory, by name. */
export const valueFiles = readdirSync(join(chart, 'ci')).map((file) => file.replace(/\.yaml$/, ''));

export type Values = Readonly<Record<string, unknown>>;

/** What `helm install` would send, validated like the API server and Pod Security admission. */
export class Rendered {
  constructor(
    readonly objects: readonly Manifest[],
    /** Reasons for which the API server would reject an object, by "Kind/name". */
    readonly refused: Readonly<Record<string, readonly string[]>>,
    /** Violations of the "restricted" Pod Security Standard, by "Kind/name". */
    readonly restricted: Readonly<Record<string, readonly string[]>>,
  ) {}

  /** "Kind/name" of every object, sorted. */
  get names(): string[] {
    return this.objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
  }

  /** @throws Error if there is no such object */
  find(kind: string, name: string): Manifest {
    const found = this.objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (!found) {
      throw new Error(`no ${kind}/${name} among ${this.names.join(', ')}`);
    }
    return found;
  }

  /** @throws Error if the object has no pod template */
  pod(kind: string, name: string): PodTemplate {
    const template = podTemplate(this.find(kind, name));
    if (!template) {
      throw new Error(`${kind}/${name} has no pod template`);
    }
    return template;
  }

  /** The pod that helm runs at this event, such as `test`. @throws Error if there is none */
  hook(event: string): PodTemplate {
    const found = this.objects.find(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === event);
    const template = found && podTemplate(found);
    if (!template) {
      throw new Error(`no pod for ${event} among ${this.names.join(', ')}`);
    }
    return template;
  }

  get pods(): PodTemplate[] {
    return this.objects.map(podTemplate).filter((template) => template !== undefined);
  }

  get containers(): Container[] {
    return this.pods.flatMap(containersOf);
  }
}

/**
 * Renders the chart with one of its value files, and values that override it.
 * @param cluster URL of the Kubernetes API that templates look objects up in; without it they find none
 */
export async function render(file = 'defaults', values: Values = {}, cluster?: string): Promise<Rendered> {
  const more = cluster === undefined ? [] : ['--dry-run=server', '--kube-apiserver', cluster];
  const manifests = await helmTemplate(file, values, chart, more);
  if (manifests.code !== 0) {
    throw new Error(manifests.errors);
  }
  const checked = await run('holdfast-chart-checker', [], manifests.output);
  if (checked.code !== 0) {
    throw new Error(checked.errors);
  }
  const { objects, refused, restricted } = JSON.parse(checked.output);
  return new Rendered(objects, refused, restricted);
}

/** The chart's error for values; fails if it accepts them. */
export async function refusal(values: Values): Promise<string> {
  const { code, errors } = await helmTemplate('defaults', values);
  if (code === 0) {
    throw new Error(`accepted: ${JSON.stringify(values)}`);
  }
  return errors;
}

export function lint(file: string): Promise<Finished> {
  return run('helm', ['lint', '--strict', chart, ...common, '-f', valueFile(file)]);
}

/**
 * The notes of `helm install`. Without a cluster helm does not render them, so a copy of the chart has them in a ConfigMap.
 */
export async function notes(scope: Scope, file: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-notes-'));
  scope.teardown(() => rm(directory, { recursive: true, force: true }));
  const copy = join(directory, 'holdfast');
  await cp(chart, copy, { recursive: true });
  await rename(join(copy, 'templates/NOTES.txt'), join(copy, 'notes'));
  const data = '{ text: {{ tpl (.Files.Get "notes") . | toJson }} }';
  await writeFile(join(copy, 'templates/notes.yaml'), `kind: ConfigMap\ndata: ${data}\n`);
  const { output, errors } = await helmTemplate(file, {}, copy, ['--show-only', 'templates/notes.yaml']);
  const [, json] = /^data: \{ text: (.*) \}$/m.exec(output) ?? [];
  if (json === undefined) {
    throw new Error(errors);
  }
  return JSON.parse(json) as string;
}

function helmTemplate(
  file: string,
  values: Values,
  from = chart,
  more: readonly string[] = [],
): Promise<Finished> {
  const files = ['-f', valueFile(file), '-f', '-'];
  return run('helm', ['template', 'holdfast', from, ...common, ...files, ...more], JSON.stringify(values));
}

export interface Finished {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

async function run(program: string, args: readonly string[], input = ''): Promise<Finished> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, output, errors };
}
