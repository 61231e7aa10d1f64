// The client's side of a SOCKS5 handshake (RFC 1928, RFC 1929) as a machine: reply bytes in, request bytes out, cut
// anywhere. It asks for CONNECT, offers only the method that it can answer, and keeps what comes after the reply.
//
// It knows no socket and no deadline. Names are octets; one that is too long is refused, never resolved elsewhere.
import { isIPv4, isIPv6, misuse, type Bytes } from '../http/index.ts'

export interface SocksCredentials {
  readonly username: Uint8Array
  readonly password: Uint8Array
}
/** What went wrong, in the proxy's words or about them. */
export interface SocksFault {
  readonly code: string
  readonly rule: string
  readonly message: string
}
export type SocksResult = 'more' | { readonly surplus: Bytes } | { readonly fault: SocksFault }

const VERSION = 5
const NO_AUTHENTICATION = 0
const USERNAME_PASSWORD = 2
const CONNECT = 1
const IPV4 = 1
const NAME = 3
const IPV6 = 4

/** RFC 1928 §6. */
const REPLIES: readonly string[] = [
  'succeeded',
  'general SOCKS server failure',
  'connection not allowed by ruleset',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'TTL expired',
  'command not supported',
  'address type not supported',
]

type Step = 'method' | 'authentication' | 'reply' | 'done'

export class Socks5Handshake {
  readonly #request: Uint8Array
  readonly #credentials: SocksCredentials | undefined
  /** The one that is offered. */
  readonly #method: number
  #step: Step = 'method'
  #held: Uint8Array = new Uint8Array(0)
  #output: Uint8Array[]

  /** LocalProtocolError: the host has more than 255 octets. */
  constructor(host: string, port: number, credentials: SocksCredentials | undefined) {
    this.#request = connectRequest(host, port)
    this.#credentials = credentials
    this.#method = credentials === undefined ? NO_AUTHENTICATION : USERNAME_PASSWORD
    this.#output = [new Uint8Array([VERSION, 1, this.#method])]
  }

  takeOutput(): Uint8Array[] {
    const output = this.#output
    this.#output = []
    return output
  }

  receive(bytes: Bytes): SocksResult {
    this.#held = new Uint8Array([...this.#held, ...bytes])
    for (;;) {
      const need = this.#needed()
      if (this.#held.length < need) return 'more'
      const message = this.#held.subarray(0, need)
      this.#held = this.#held.slice(need)
      const fault = this.#take(message)
      if (fault !== undefined) return { fault }
      if (this.#step === 'done') return { surplus: this.#held }
    }
  }

  /** How long the message is that comes next, as far as its beginning tells. */
  #needed(): number {
    if (this.#step !== 'reply') return 2
    const [version, , , type, first] = this.#held
    // What is no reply is refused by its first octets, not awaited.
    if (version !== VERSION) return 1
    if (type === undefined) return this.#held[1] === 0 ? 5 : 2
    if (type === NAME) return first === undefined ? 5 : 7 + first
    return type === IPV4 ? 10 : type === IPV6 ? 22 : 4
  }

  #take(message: Uint8Array): SocksFault | undefined {
    const [version, code] = message
    switch (this.#step) {
      case 'method':
        if (version !== VERSION) return fault('socks-version', 'RFC 1928 §3', 'the proxy does not speak SOCKS5')
        if (code !== this.#method) {
          const asked = code === 0xff ? 'refuses the method that we offer' : 'chose a method that we did not offer'
          return fault('socks-method', 'RFC 1928 §3', `the proxy ${asked}`)
        }
        this.#output.push(this.#credentials === undefined ? this.#request : authentication(this.#credentials))
        this.#step = this.#credentials === undefined ? 'reply' : 'authentication'
        return undefined
      case 'authentication':
        if (version !== 1) return fault('socks-version', 'RFC 1929 §2', 'the proxy answered with another version')
        if (code !== 0) return fault('socks-auth', 'RFC 1929 §2', 'the proxy refused the user name or the password')
        this.#output.push(this.#request)
        this.#step = 'reply'
        return undefined
      case 'reply':
        if (version !== VERSION) return fault('socks-version', 'RFC 1928 §6', 'the proxy answered with another version')
        if (code !== 0) {
          const reason = REPLIES[code as number] ?? `unassigned reply ${code}`
          return fault('socks-reply', 'RFC 1928 §6', `the proxy could not connect: ${reason}`)
        }
        if (message.length < 10 && message[3] !== NAME) {
          return fault('socks-address', 'RFC 1928 §5', `the proxy answered with address type ${message[3]}`)
        }
        this.#step = 'done'
        return undefined
      case 'done':
        return undefined
    }
  }
}

function connectRequest(host: string, port: number): Uint8Array {
  const address = isIPv4(host)
    ? [IPV4, ...host.split('.').map(Number)]
    : isIPv6(host)
      ? [IPV6, ...ipv6Octets(host)]
      : name(host)
  return new Uint8Array([VERSION, CONNECT, 0, ...address, port >> 8, port & 0xff])
}
function name(host: string): number[] {
  if (host.length > 255)
    throw misuse('socks-host', 'RFC 1928 §5', 'a host of more than 255 octets cannot be named to a SOCKS proxy')
  return [NAME, host.length, ...Array.from(host, (char) => char.charCodeAt(0))]
}

/** The sixteen octets of an address that `isIPv6` accepts; its zone means nothing elsewhere. */
function ipv6Octets(host: string): number[] {
  const zone = host.indexOf('%')
  const groups = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((piece) => {
          if (piece.includes('.')) return piece.split('.').map(Number)
          const value = Number.parseInt(piece, 16)
          return [value >> 8, value & 0xff]
        })
  const [head = '', tail] = (zone < 0 ? host : host.slice(0, zone)).split('::')
  const before = groups(head)
  if (tail === undefined) return before
  const after = groups(tail)
  return [...before, ...Array<number>(16 - before.length - after.length).fill(0), ...after]
}

/** RFC 1929 §2; lengths were checked when the options were. */
function authentication({ username, password }: SocksCredentials): Uint8Array {
  return new Uint8Array([1, username.length, ...username, password.length, ...password])
}

function fault(code: string, rule: string, message: string): SocksFault {
  return { code, rule, message }
}
