// What may go to another thread: data. Functions and handles may not, and are refused by their names.

/** Text, numbers, bytes, and lists and plain objects of these. */
export type Data =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | ArrayBufferView
  | ArrayBuffer
  | readonly Data[]
  | { readonly [name: string]: Data }

/** TypeError that names what is not data: `tls.checkServerIdentity`. */
export function checkData(name: string, value: unknown): void {
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'function' || typeof value === 'symbol') refuse(name, `a ${typeof value}`)
    return
  }
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return
  if (!Array.isArray(value) && !isPlain(value)) refuse(name, 'a handle')
  for (const [key, member] of Object.entries(value)) checkData(`${name}.${key}`, member)
}

/** An object literal, of whichever realm. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function refuse(name: string, what: string): never {
  throw new TypeError(`${name} is ${what}: the blocking interface uses it on another thread, where only data can go`)
}
