const maxLength = 64;

/** Who asks, for other operators: the login name, also of somebody who is root by sudo; empty where there is none. */
export function actor(): string {
  const { SUDO_USER: before, USER: now = '' } = process.env;
  return (before ?? now).slice(0, maxLength);
}
