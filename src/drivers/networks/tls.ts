// TLS as a client of `node:tls`: from a TlsTarget to options, and from a socket to what is known of it.
//
// The user's options pass through, in a copy. What decides whom we talk to (name, ALPN, host, socket) cannot be
// overridden by them, and only `rejectUnauthorized: false` itself turns verification off: undefined, null, 0 and the
// environment do not. Who may have which name is the platform's check; there is none of our own.
//
// A resumed session is not verified again. So sessions are kept under everything that decided about the first
// handshake: the address, the name, ALPN and each option. The certificate is kept with them: it is not sent again either.
import type { Socket, SocketConnectOpts } from 'node:net'
import type { ConnectionOptions, PeerCertificate, SecureContext, TLSSocket } from 'node:tls'
import type { OwnedBytes } from '../../http/index.ts'
import type { LinkInfo, TlsTarget } from '../../pool/lean.ts'
import { needed } from '../shared/builtin.ts'
import { checkType } from '../shared/options.ts'
import { soon } from '../shared/soon.ts'

/** Sessions and contexts that are kept; the one used longest ago goes first. */
const MAX_KEPT = 100

/** What is between us and the peer: an address to dial, or a socket that is connected. */
export interface Carrier {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly path?: string | undefined
  readonly localAddress?: string | undefined
  readonly socket?: Socket | undefined
  readonly onread?: SocketConnectOpts['onread']
}

interface Kept {
  readonly session: Buffer
  readonly certificate: OwnedBytes | undefined
}
/** What each socket may resume. */
const offered = new WeakMap<TLSSocket, Kept>()

/** Opens TLS sockets, and remembers sessions and contexts for the next one. One per network. */
export class TlsClient {
  readonly #sessions = new RecentMap<Kept>()
  readonly #contexts = new RecentMap<SecureContext>()

  /**
   * Throws what node:tls throws for options that it cannot use.
   * @param peer what tells connections apart: the address that is or was dialled, the handshakes before this one
   */
  connect(target: TlsTarget, carrier: Carrier, peer: string): TLSSocket {
    // RFC 7301 §3.1. Node does not check it, and the process would end.
    if (target.alpn.includes('')) throw new TypeError('alpn must be a list of names, none of them empty')
    const { keylog, ...options } = copyOf(target.options)
    const wanted = signature(options)
    // For a tunnel to an IP literal there is no name that tells which peer it leads to: its session is not kept.
    const key =
      carrier.socket !== undefined && target.serverName === undefined
        ? undefined
        : JSON.stringify([peer, carrier.localAddress, target.serverName, target.alpn, wanted])
    const kept = key === undefined ? undefined : this.#sessions.get(key)
    const socket = needed('node:tls').connect({
      secureContext: this.#context(options, wanted),
      ...(kept === undefined ? undefined : { session: kept.session }),
      ...options,
      ...NOT_THE_USERS,
      ...carrier,
      ...nameOf(target, options),
      ...(target.alpn.length === 0 ? undefined : { ALPNProtocols: [...target.alpn] }),
      rejectUnauthorized: options.rejectUnauthorized !== false,
    } as ConnectionOptions)
    if (kept !== undefined) offered.set(socket, kept)
    if (key !== undefined) this.#keepSession(socket, key)
    if (keylog !== undefined) socket.on('keylog', (line: Buffer) => logTo(keylog, line, socket))
    return socket
  }

  #context(options: ConnectionOptions, wanted: string): SecureContext {
    if (options.secureContext !== undefined) return options.secureContext
    const kept = this.#contexts.get(wanted)
    if (kept !== undefined) return kept
    const context = needed('node:tls').createSecureContext(options)
    this.#contexts.set(wanted, context)
    return context
  }

  /** A session is worth nothing until its peer was verified, and less than nothing when it was refused. */
  #keepSession(socket: TLSSocket, key: string): void {
    let secured = false
    let early: Buffer | undefined
    const keep = (session: Buffer): void => this.#sessions.set(key, { session, certificate: peerCertificate(socket) })
    socket.on('session', (session: Buffer) => {
      if (secured) keep(session)
      else early = session
    })
    socket.once('secureConnect', () => {
      secured = true
      if (early !== undefined) keep(early)
    })
    socket.once('error', () => {
      if (!secured) this.#sessions.delete(key)
    })
  }
}

type Check = NonNullable<ConnectionOptions['checkServerIdentity']>

/** Never sent as a name (RFC 6066 §3): the dot that ends one, and an IP literal. The certificate is checked for both. */
function nameOf({ serverName }: TlsTarget, { checkServerIdentity: own }: ConnectionOptions): ConnectionOptions {
  const check = own === undefined ? ownCheck : guarded(own)
  const plain = serverName?.replace(/\.$/, '') ?? ''
  const literal = needed('node:net').isIP(plain) !== 0
  // The zone of an address means nothing to its peer.
  const name = literal ? plain.replace(/%.*/, '') : plain
  return {
    servername: literal ? '' : name,
    // Where no name is sent Node takes what was dialled for it: that is with whom TLS is only where no other was given.
    checkServerIdentity: (dialled, certificate) => check(serverName ? name : dialled, certificate),
  }
}
/** Node's. In 22.23 it takes no IPv6 address for one: OpenSSL knows which addresses a certificate has. */
function ownCheck(name: string, certificate: PeerCertificate): Error | undefined {
  if (needed('node:net').isIPv6(name) && 'raw' in certificate) {
    const { X509Certificate } = needed('node:crypto')
    if (new X509Certificate(certificate.raw).checkIP(name) !== undefined) return undefined
  }
  return needed('node:tls').checkServerIdentity(name, certificate)
}
/** What it throws it has against the peer. Node does not expect it to, and the handshake would never end. */
function guarded(check: Check): Check {
  return (name, certificate) => {
    try {
      return check(name, certificate)
    } catch (error) {
      return asError(error)
    }
  }
}
function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

/** What `keylog` threw: of a handshake that is over before its socket is destroyed for it. */
const unlogged = new WeakMap<TLSSocket, Error>()

/** What it throws ends the socket: Node calls it from within OpenSSL, and nobody else would catch it. */
function logTo(keylog: NonNullable<OwnOptions['keylog']>, line: Buffer, socket: TLSSocket): void {
  try {
    keylog(new Uint8Array(line))
  } catch (error) {
    const failure = asError(error)
    unlogged.set(socket, failure)
    soon(() => socket.destroy(failure))
  }
}

/** Why a handshake that went well is none all the same. */
export function refusal(socket: TLSSocket, target: TlsTarget): Error | undefined {
  return unlogged.get(socket) ?? refusedAlpn(socket, target)
}

function answerOf({ alpnProtocol }: TLSSocket): string | undefined {
  return alpnProtocol || undefined
}

/** An answer that was not offered is somebody else's protocol (RFC 7301 §3.2), and HTTP/2 needs TLS 1.2 (RFC 9113 §9.2). */
export function refusedAlpn(socket: TLSSocket, target: TlsTarget): Error | undefined {
  const answer = answerOf(socket)
  const wasOffered = answer === undefined || target.alpn.includes(answer)
  if (wasOffered && (answer !== 'h2' || !/^TLSv1(?:\.1)?$/.test(socket.getProtocol() ?? ''))) return undefined
  const why = wasOffered ? 'needs TLS 1.2' : 'was not offered'
  const error = new Error(`the peer chose the protocol ${JSON.stringify(answer)}, which ${why}`)
  return Object.assign(error, { code: `ERR_TLS_ALPN_${wasOffered ? 'INADEQUATE' : 'NOT_OFFERED'}` })
}

/** A snapshot: it stays true after the socket is gone. */
export function tlsInfo(socket: TLSSocket): LinkInfo {
  const cipher = socket.getCipher() as { standardName?: string; name?: string } | undefined
  return {
    tlsVersion: socket.getProtocol() ?? undefined,
    cipher: cipher?.standardName ?? cipher?.name,
    alpn: answerOf(socket),
    peerCertificate: peerCertificate(socket),
  }
}

function peerCertificate(socket: TLSSocket): OwnedBytes | undefined {
  const sent = (socket.getPeerCertificate() as { raw?: Uint8Array } | undefined)?.raw
  const der = sent ?? (socket.isSessionReused() ? offered.get(socket)?.certificate : undefined)
  return der === undefined ? undefined : new Uint8Array(der)
}

/** Set aside by undefined: each of them would lead elsewhere, or is the link's to decide. */
const NOT_THE_USERS = {
  host: undefined,
  port: undefined,
  path: undefined,
  socket: undefined,
  localAddress: undefined,
  lookup: undefined,
  family: undefined,
  onread: undefined,
  ALPNProtocols: undefined,
  isServer: undefined,
  signal: undefined,
  timeout: undefined,
  allowHalfOpen: true,
  autoSelectFamily: false,
}

/** Without what is undefined: node:tls takes an explicit undefined for a value here and there. */
function copyOf(options: unknown): OwnOptions {
  if (options === undefined || options === null) return {}
  if (typeof options !== 'object') throw new TypeError(`TLS options must be an object, not ${typeof options}`)
  const copy = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as OwnOptions
  // Node asks for the two latter when a socket was made, or when the peer has answered.
  for (const name of ['keylog', 'pskCallback', 'checkServerIdentity'] as const) checkType(name, copy[name], 'function')
  return copy
}

/** What node:tls gives only as an event of the socket, which nobody outside has. */
interface OwnOptions extends ConnectionOptions {
  /** Called with each line of the key log: NSS's format, ended by LF. */
  readonly keylog?: (line: Uint8Array) => void
}

const identities = new WeakMap<object, number>()
let lastIdentity = 0

/** Equal only for options that mean the same: text by its value, objects by their identity, lists by their members. */
function signature(options: ConnectionOptions): string {
  const entries = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(entries.map(([name, value]) => [name, mark(value)]))
}

function mark(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mark)
  if (typeof value === 'string') return `=${value}`
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return `${typeof value} ${value}`
  let identity = identities.get(value)
  if (identity === undefined) identities.set(value, (identity = ++lastIdentity))
  return identity
}

/** A map of bounded size that forgets what was used longest ago. */
class RecentMap<V> {
  readonly #entries = new Map<string, V>()

  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }
  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= MAX_KEPT) return
    const oldest = this.#entries.keys().next()
    if (oldest.done !== true) this.#entries.delete(oldest.value)
  }
  delete(key: string): void {
    this.#entries.delete(key)
  }
}
