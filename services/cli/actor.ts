const maxLength = 64;

/** The caller, as other operators are told: the login name, also of somebody who is root by sudo; empty where there is none. */
export function actor(): string {
  const { SUDO_USER: before, USER: now = '' } = process.env;
  return (before ?? now).slice(0, maxLength);
}
