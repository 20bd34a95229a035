import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';
/** The pods of all nodes are below it. */
const ours = 'holdfast-cluster';

/** The kubelet's name of the group of a node's pods. */
export const groupOf = (node: string): string => `/${ours}/${node}`;

const isUnified = () => existsSync(join(root, 'cgroup.controllers'));

/** The directories in which groups are made: the one of version 2, or one for each controller of version 1. */
async function hierarchies(): Promise<string[]> {
  if (isUnified()) {
    return [root];
  }
  const entries = await readdir(root, { withFileTypes: true });
  return entries.filter((each) => each.isDirectory()).map(({ name }) => join(root, name));
}

/** Makes the group of a node's pods, which the kubelet expects. */
export async function createGroup(node: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const path = join(hierarchy, ours, node);
    await mkdir(path, { recursive: true });
    if (isUnified()) {
      const controllers = (await readFile(join(root, 'cgroup.controllers'), 'utf8')).trim().split(' ');
      const enabled = controllers.map((each) => `+${each}`).join(' ');
      for (const each of [root, join(root, ours), path]) {
        await writeFile(join(each, 'cgroup.subtree_control'), enabled);
      }
    }
    for (const set of ['cpuset.cpus', 'cpuset.mems']) {
      await inherit(hierarchy, [ours, node], set);
    }
  }
}

/** In version 1 a new group may use no CPU and no memory until it is told which. */
async function inherit(hierarchy: string, path: readonly string[], file: string): Promise<void> {
  if (isUnified() || !existsSync(join(hierarchy, file))) {
    return;
  }
  const all = await readFile(join(hierarchy, file), 'utf8');
  for (const depth of path.keys()) {
    await writeFile(join(hierarchy, ...path.slice(0, depth + 1), file), all.trim());
  }
}

/** Takes the groups away. Their processes have ended. */
export async function removeGroups(): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    await removeTree(join(hierarchy, ours));
  }
}

async function removeTree(path: string): Promise<void> {
  if (!existsSync(path)) {
    return;
  }
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) {
      await removeTree(join(path, entry.name));
    }
  }
  await rmdir(path);
}
