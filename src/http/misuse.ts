// The caller's mistakes, ready to be thrown.
import { LocalProtocolError } from './errors.ts'

/** Against the protocol. */
export function misuse(code: string, rule: string, message: string): LocalProtocolError {
  return new LocalProtocolError(message, { code, rule })
}

/** TypeError: what is given must be a string. */
export function requireString(what: string, value: unknown): void {
  if (typeof value !== 'string') throw new TypeError(`the ${what} must be a string, not ${typeof value}`)
}
